// Where one writes: messages, and slash commands with completion.

import { h, iconButton, newId, note } from "./dom.js";
import { actionsMenu, openMenu } from "./layers.js";
import { act, nameOf, state } from "./live.js";

// What is not yet sent stays through a reload, as in Slack.
const drafts = {
  get: (name) => sessionStorage.getItem(`draft ${name}`) ?? "",
  set: (name, text) => (text ? sessionStorage.setItem(`draft ${name}`, text) : sessionStorage.removeItem(`draft ${name}`)),
};

export class Composer {
  // `where()` is { channel, thread_ts }; `local` shows what only Slack itself says.
  constructor({ where, placeholder, local }) {
    this.where = where;
    this.placeholder = placeholder;
    this.local = local;
    const list = newId("completion");
    this.list = list;
    this.input = h("textarea", { rows: 1, role: "combobox", "aria-autocomplete": "list", "aria-expanded": "false", "aria-controls": list,
      oninput: () => this.typed(), onkeydown: (event) => this.key(event), onblur: () => setTimeout(() => this.shown?.close(), 120) });
    this.sendButton = iconButton("send", "Send", () => this.send(), { class: "send" });
    this.shortcuts = iconButton("bolt", "Shortcuts and commands", () => this.openShortcuts());
    this.node = h("div", { class: "composer" }, this.input, h("div", { class: "composer-foot" }, this.shortcuts, h("span", { class: "composer-hint" }), this.sendButton));
  }

  name() { const { channel, thread_ts: thread } = this.where(); return `${state.me}/${channel}/${thread ?? ""}`; }

  show() {
    const name = this.name();
    if (this.shownName !== name) {
      this.shownName = name;
      this.input.value = drafts.get(name);
      this.grow();
    }
    const text = this.placeholder();
    this.input.placeholder = text;
    this.input.setAttribute("aria-label", text);
    this.sendButton.disabled = !this.input.value.trim() || this.busy;
  }

  grow() {
    this.input.style.height = "auto";
    this.input.style.height = `${Math.min(this.input.scrollHeight, 200)}px`;
  }

  typed() {
    this.grow();
    drafts.set(this.name(), this.input.value);
    this.sendButton.disabled = !this.input.value.trim() || this.busy;
    this.complete();
  }

  candidates() {
    const text = this.input.value.slice(0, this.input.selectionStart);
    const slash = text.match(/^\/\S*$/);
    if (slash) {
      return state.company.app.commands.filter((one) => one.command.startsWith(text)).map((one) => ({
        label: one.command, extra: one.usage_hint, hint: one.description, put: () => `${one.command} ` }));
    }
    const hinted = text.match(/^(\/\S+) (\S*)$/);
    const command = hinted && state.company.app.commands.find((one) => one.command === hinted[1]);
    if (command) {
      const words = command.usage_hint.match(/[a-z][a-z-]+/gi) ?? [];
      const found = words.filter((word) => word.startsWith(hinted[2]) && word !== hinted[2]);
      return found.map((word) => ({ label: `${command.command} ${word}`, put: () => `${command.command} ${word}` }));
    }
    const at = text.match(/(^|\s)@([\p{L}\p{N}._-]*)$/u);
    if (at) {
      const wanted = at[2].toLowerCase();
      return [...state.people.values()].filter((one) => !one.deleted && `${one.name} ${one.real_name}`.toLowerCase().includes(wanted)).slice(0, 8)
        .map((one) => ({ label: nameOf(one.id), hint: `@${one.name}`, put: () => `${text.slice(0, text.length - at[2].length)}${one.name} ` }));
    }
    return [];
  }

  complete() {
    const found = this.candidates();
    if (!found.length) { this.shown?.close(); return; }
    this.found = found;
    this.active = 0;
    this.menu = h("div", { class: "menu completion", role: "listbox", id: this.list, "aria-label": "Suggestions" }, found.map((one, index) =>
      h("div", { role: "option", id: `${this.list}-${index}`, class: "menu-item", onpointerdown: (e) => e.preventDefault(), onclick: () => this.take(index) },
        h("span", {}, one.label, one.extra && h("em", {}, ` ${one.extra}`)), one.hint && h("small", {}, one.hint))));
    this.shown = openMenu(this.input, this.menu, { onclose: () => { this.shown = null; this.found = null; } });
    this.found = found;
    this.move(0);
  }

  move(to) {
    this.active = (to + this.found.length) % this.found.length;
    [...this.menu.children].forEach((node, index) => {
      node.classList.toggle("active", index === this.active);
      node.setAttribute("aria-selected", String(index === this.active));
    });
    this.input.setAttribute("aria-activedescendant", `${this.list}-${this.active}`);
  }

  take(index) {
    const after = this.input.value.slice(this.input.selectionStart);
    const put = this.found[index].put();
    this.shown?.close();
    this.input.value = put + after;
    this.input.setSelectionRange(put.length, put.length);
    this.input.focus();
    this.typed();
  }

  key(event) {
    if (this.shown && this.found) {
      const known = { ArrowDown: () => this.move(this.active + 1), ArrowUp: () => this.move(this.active - 1), Tab: () => this.take(this.active) };
      if (event.key === "Escape") { this.shown.close(); event.stopPropagation(); event.preventDefault(); return; }
      if (known[event.key]) { event.preventDefault(); known[event.key](); return; }
      // Enter completes a word that is not yet whole; what is whole is sent.
      if (event.key === "Enter" && !event.shiftKey && this.found[this.active].put().trim() !== this.input.value.trim()) {
        event.preventDefault();
        this.take(this.active);
        return;
      }
    }
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) { event.preventDefault(); this.send(); }
  }

  openShortcuts() {
    const { commands, shortcuts } = state.company.app;
    const { channel } = this.where();
    actionsMenu(this.shortcuts, [
      ...shortcuts.filter((one) => one.type === "global").map((one) => ({ label: one.name, hint: one.description,
        act: () => act("shortcut", { callback_id: one.callback_id }).then((said) => said.ok || note(said.error, "bad")).catch((fault) => note(fault.message, "bad")) })),
      ...commands.flatMap((one) => [{ label: one.command, hint: one.description, act: () => this.put(`${one.command} `) },
        ...(one.usage_hint.match(/[a-z][a-z-]+/gi) ?? []).map((word) => ({ label: `${one.command} ${word}`, act: () => this.run(`${one.command} ${word}`, channel) }))]),
    ], "Shortcuts and commands");
  }

  put(text) {
    this.input.value = text;
    this.input.focus();
    this.typed();
  }

  async send() {
    const text = this.input.value.trim();
    if (!text || this.busy) return;
    const { channel, thread_ts: thread } = this.where();
    this.shown?.close();
    this.ondone?.();
    this.input.value = "";
    drafts.set(this.name(), "");
    this.grow();
    const kept = await (text.startsWith("/") && !thread ? this.run(text, channel) : this.post(text, channel, thread));
    if (kept === false && !this.input.value) this.put(text);
  }

  async post(text, channel, thread) {
    try {
      await act("post", { text, channel, ...(thread ? { ts: thread } : {}) });
    } catch (fault) {
      this.local(fault.message);
      return false;
    }
    return true;
  }

  async run(text, channel) {
    const [command] = text.split(/\s+/);
    if (!state.company.app.commands.some((one) => one.command === command)) {
      this.local(`${command} is not a valid command. In Slack, all messages that start with the “/” character are taken as commands.`);
      return false;
    }
    this.busy = true;
    this.node.classList.add("busy");
    this.show();
    try {
      await act("command", { command, text: text.slice(command.length).trim(), channel });
    } catch (fault) {
      this.local(fault.message);
      return false;
    } finally {
      this.busy = false;
      this.node.classList.remove("busy");
      this.show();
    }
    return true;
  }
}

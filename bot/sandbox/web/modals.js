// The stack of modals: the top one is shown, as Slack does.

import { acts } from "./acts.js";
import { draw, flush } from "./blocks.js";
import { button, h, icon, iconButton, keepFocus, newId, note, trap } from "./dom.js";
import { act, state } from "./live.js";
import { plain } from "./text.js";

const LABELS = { host: "host", port: "port", database: "database", user: "user", username: "user", login: "user", password: "password" };

// Finds a login in what a view says, line by line: “Host: 127.0.0.1”.
export function loginIn(view) {
  const found = {};
  for (const block of view?.blocks ?? []) {
    for (const section of block.type === "rich_text" ? block.elements : []) {
      const text = (section.elements ?? []).map((leaf) => leaf.text ?? "").join("");
      const [, label, value] = text.match(/^\s*([^:]+):\s*(.*)$/) ?? [];
      const name = LABELS[label?.trim().toLowerCase()];
      if (name && value) found[name] = value.trim();
    }
  }
  return found.user && found.password ? found : null;
}

export class Modals {
  constructor({ onlogin }) {
    this.onlogin = onlogin;
    this.node = h("div", { class: "veil of-modals", hidden: true });
    this.before = null;
    this.busy = false;
    document.getElementById("layers").append(this.node);
    this.node.addEventListener("keydown", (event) => { if (event.key === "Escape" && !this.busy) { event.stopPropagation(); this.close(false); } });
    trap(this.node);
  }

  show() {
    const stack = state.screen?.views ?? [];
    const view = stack.at(-1);
    if (!view) {
      if (this.view) {
        this.view = null;
        this.node.hidden = true;
        this.node.replaceChildren();
        (this.before?.isConnected ? this.before : document.querySelector(".main .composer textarea"))?.focus();
      }
      return;
    }
    const another = this.view?.id !== view.id;
    if (!this.view) this.before = document.activeElement;
    this.view = view;
    if (another) this.build(view, stack.length);
    this.fill(view, stack.length, another);
  }

  build(view) {
    const name = newId("title");
    this.title = h("h2", { id: name });
    this.banner = h("div", { class: "banner", role: "alert", hidden: true });
    this.blocks = h("div", { class: "blocks" });
    this.foot = h("div", { class: "dialog-foot" });
    this.back = iconButton("back", "Back", () => this.close(false), { hidden: true });
    const body = h("div", { class: "dialog-body" }, this.banner, this.blocks);
    this.box = h("div", { class: "dialog modal", role: "dialog", "aria-modal": "true", "aria-labelledby": name, tabindex: "-1", "data-view": view.id },
      h("header", {}, this.back, h("span", { class: "face app small", "aria-hidden": "true" }, icon("key")), this.title, iconButton("close", "Close", () => this.close(true), { class: "closing" })), body, this.foot);
    this.ctx = { ...acts({ view_id: view.id }, { submit: () => this.view.submit && this.submit(), failed: () => {} }), surface: "modal" };
    this.node.replaceChildren(this.box);
    this.node.hidden = false;
  }

  fill(view, depth, another) {
    const again = keepFocus(this.box);
    this.title.textContent = plain(view.title.text);
    this.back.hidden = depth < 2;
    this.box.classList.toggle("stacked", depth > 1);
    this.banner.hidden = !view.banner;
    if (this.banner.textContent !== view.banner) {
      this.banner.replaceChildren(view.banner ? icon("warn") : "", view.banner);
      if (view.banner) this.banner.scrollIntoView({ block: "nearest" });
    }
    draw(this.blocks, view.blocks, this.ctx, view.state.values, view.errors);
    const login = loginIn(view);
    const print = JSON.stringify([view.submit, view.close, login]);
    if (another || this.footPrint !== print) {
      this.footPrint = print;
      this.send = view.submit && button(h("span", {}, plain(view.submit.text)), () => this.submit(), { class: "primary", "data-focus": "submit" });
      this.foot.replaceChildren(...[
        login && button([icon("tools"), "Use in the sandbox"], () => this.close(true).then(() => this.onlogin(login)), { class: "sandboxed", title: "Log in with this in the Sandbox drawer" }),
        h("span", { class: "grow" }),
        button(plain(view.close?.text ?? "Close"), () => this.close(false), { "data-focus": "close" }), this.send].filter(Boolean));
    }
    if (another) this.focus(view);
    else if (!again()) this.box.focus({ preventScroll: true });
    const wrong = this.blocks.querySelector(".input.wrong [aria-invalid=true]");
    if (wrong && this.complained !== JSON.stringify(view.errors)) {
      wrong.focus({ preventScroll: true });
      wrong.closest(".input").scrollIntoView({ block: "nearest" }); // with its sentence
    }
    this.complained = JSON.stringify(view.errors);
  }

  focus(view) {
    const wanted = view.blocks.flatMap((block) => [block.element, block.accessory, ...(block.elements ?? [])]).find((one) => one?.focus_on_load);
    const node = (wanted && this.blocks.querySelector(`[data-action="${CSS.escape(wanted.action_id)}"]`)) || this.blocks.querySelector("input, textarea") || this.box;
    node.focus({ preventScroll: true });
  }

  async submit() {
    if (this.busy) return;
    this.setBusy(true);
    try {
      await flush(this.blocks);
      await act("submit", { view_id: this.view.id });
    } catch (fault) {
      note(fault.message, "bad");
    } finally {
      this.setBusy(false);
    }
  }

  async close(everything) {
    if (this.busy || !this.view) return;
    try {
      await act("close", { view_id: this.view.id, everything });
    } catch (fault) {
      note(fault.message, "bad");
    }
  }

  setBusy(on) {
    this.busy = on;
    this.send?.classList.toggle("busy", on);
    this.send?.setAttribute("aria-busy", String(on));
    this.box?.classList.toggle("sending", on);
  }
}

// Messages: a channel or a thread as a list that shows a window of it, and stays quick.

import { acts } from "./acts.js";
import { draw } from "./blocks.js";
import { button, h, icon, iconButton, keyed, note } from "./dom.js";
import { emoji, QUICK } from "./emoji.js";
import { face } from "./faces.js";
import { actionsMenu } from "./layers.js";
import { act, goOn, isApp, nameOf, read, state } from "./live.js";
import { clockTime, mrkdwn, plain } from "./text.js";

const TOGETHER = 5 * 60; // seconds within which somebody's messages stand under one name
const NEAR = 60; // pixels from the newest message within which one stays at it
const AHEAD = 400; // pixels from either end at which more is fetched
const moment = (ts) => new Date(Number(ts) * 1000);
const dayOf = (ts) => moment(ts).toDateString();

function dayLabel(ts) {
  const then = moment(ts), today = new Date(), days = Math.round((new Date(today.toDateString()) - new Date(then.toDateString())) / 86400000);
  return { 0: "Today", 1: "Yesterday" }[days] ?? then.toLocaleDateString("en", { weekday: "long", month: "long", day: "numeric" });
}

export class Messages {
  // `thread` lists show one thread; `onthread` opens one from a channel.
  constructor({ thread = false, onthread, intro } = {}) {
    this.intro = intro;
    this.thread = thread;
    this.onthread = onthread;
    this.rows = h("div", { class: "rows", role: "log", "aria-relevant": "additions", "aria-label": thread ? "Thread" : "Messages", tabindex: "0" });
    this.head = h("div", { class: "older" });
    this.box = h("div", { class: "scroller" }, this.head, this.rows);
    this.fresh = button("", () => this.toNewest(), { class: "fresh", hidden: true });
    this.node = h("div", { class: "messages" }, this.box, this.fresh);
    this.stuck = true; // at the newest message, and staying there
    this.box.addEventListener("scroll", () => this.scrolled());
    for (const node of [this.rows, this.box]) new ResizeObserver(() => this.stuck && this.bottom()).observe(node);
    document.addEventListener("visibilitychange", () => this.seen());
    addEventListener("focus", () => this.seen());
  }

  // A channel that is opened anew: whatever was read before stands over the line.
  reset(readUpTo = "") {
    this.readUpTo = readUpTo;
    this.stuck = true;
    this.unread = false;
    this.leaping = false;
    this.last = "";
    this.asked = null;
    this.above = null;
    this.fresh.hidden = true;
    this.rows.replaceChildren();
    this.head.replaceChildren();
  }

  list() { return this.thread ? state.thread : state.messages; }

  // Somebody who scrolls up leaves the newest message; a list that grows does not take them away.
  scrolled() {
    const { scrollTop, scrollHeight, clientHeight } = this.box;
    const left = scrollHeight - scrollTop - clientHeight;
    if (left < NEAR) this.stuck = !this.list()?.newer;
    else if (scrollTop < this.top) this.stuck = false;
    this.top = scrollTop;
    if (scrollTop < AHEAD) this.goOn("older");
    else if (left < AHEAD) this.goOn("newer");
    this.tell();
    this.seen();
  }

  goOn(way) {
    const list = this.list();
    if (!list?.loaded || !list[way] || this.asked === list.sorted) return;
    this.asked = list.sorted;
    goOn(this.thread ? "thread" : "messages", way);
  }

  toNewest() {
    this.leaping = Boolean(this.list()?.newer);
    if (this.leaping) { goOn(this.thread ? "thread" : "messages", "newest"); return; }
    this.stuck = true;
    this.bottom();
    this.tell();
    this.seen();
  }

  bottom() {
    this.box.scrollTop = this.box.scrollHeight;
    this.top = this.box.scrollTop;
  }

  tell() {
    if (this.stuck) this.unread = false;
    this.fresh.hidden = this.stuck || !(this.unread || this.list()?.newer);
    this.fresh.textContent = this.unread ? "New messages" : "To the newest";
  }

  seen() {
    const list = this.list();
    if (this.thread || !list?.loaded || list.newer || !this.stuck || document.hidden || !document.hasFocus()) return;
    if (!this.node.checkVisibility({ visibilityProperty: true })) return; // on a phone the list, or the drawer, is in its place
    const newest = list.sorted.at(-1)?.ts;
    if (newest && newest !== this.toldRead) { this.toldRead = newest; read(list.channel, newest); }
  }

  // The messages in sight, and where: what is drawn above them must not move them.
  inSight() {
    const top = this.box.getBoundingClientRect().top;
    return [...this.rows.querySelectorAll(".message")].map((node) => ({ ts: node.dataset.ts, at: node.getBoundingClientRect() }))
      .filter(({ at }) => at.bottom > top).slice(0, 12).map(({ ts, at }) => ({ ts, at: at.top }));
  }

  show() {
    const list = this.list();
    if (!list) return;
    this.node.classList.toggle("loading", !list.loaded);
    if (!list.loaded) return;
    const newest = list.sorted.at(-1);
    const grew = newest && this.last && newest.ts > this.last && !list.newer && !this.asked && !this.leaping;
    const before = this.stuck ? [] : this.inSight();
    this.rows.setAttribute("aria-live", grew ? "polite" : "off"); // older ones are not read out
    keyed(this.rows, this.items(list.sorted), { key: (one) => one.key, print: (one) => one.print, make: (one) => one.make() });
    const above = list.older ? `${list.older} older messages` : "";
    if (this.above !== above) {
      this.above = above;
      this.head.replaceChildren(above ? h("span", { class: "menu-status" }, above) : this.thread ? "" : this.intro());
    }
    if (this.asked !== list.sorted) this.asked = null;
    if (this.leaping && !list.newer) { this.leaping = false; this.stuck = true; }
    if (grew && newest.user === state.me) this.stuck = true;
    else if (grew && !this.stuck) this.unread = true;
    if (this.stuck) this.bottom();
    else this.hold(before);
    if (this.box.scrollHeight <= this.box.clientHeight) this.goOn("older"); // nothing to scroll
    this.last = newest?.ts ?? "";
    this.tell();
    this.seen();
  }

  hold(before) {
    for (const { ts, at } of before) {
      const node = this.rows.querySelector(`[data-ts="${ts}"]`);
      if (!node) continue;
      this.box.scrollTop += node.getBoundingClientRect().top - at;
      this.top = this.box.scrollTop;
      return;
    }
  }

  items(messages) {
    const out = [];
    let before = null, lined = false;
    for (const message of messages) {
      if (!before || dayOf(before.ts) !== dayOf(message.ts)) {
        out.push({ key: `day-${dayOf(message.ts)}`, print: dayLabel(message.ts), make: () => h("div", { class: "day", role: "separator" }, h("span", {}, dayLabel(message.ts))) });
        before = null;
      }
      const begins = message !== messages[0] || !this.list().older; // unread ones may lie above
      if (!lined && begins && this.readUpTo && message.ts > this.readUpTo && message.user !== state.me && !this.thread) {
        lined = true;
        out.push({ key: "new", print: "", make: () => h("div", { class: "new-line", role: "separator" }, h("span", {}, "New")) });
        before = null;
      }
      const together = before && before.user === message.user && before.private === message.private && Number(message.ts) - Number(before.ts) < TOGETHER
        && !(message.thread_ts && !this.thread) && !message.blocks.length && !before.blocks.length;
      const known = message; // drawn again only when something of it has changed
      out.push({ key: message.ts, print: `${together}${JSON.stringify(message)}`, make: () => this.message(known, together) });
      before = message;
    }
    return out;
  }

  message(message, together) {
    const body = h("div", { class: "body" });
    const trouble = h("div", { class: "trouble", role: "alert", hidden: true });
    const ctx = acts({ ts: message.ts, channel: message.channel }, {
      failed(text) { trouble.hidden = false; trouble.replaceChildren(icon("warn"), text); },
    });
    const blocks = h("div", { class: "blocks" });
    if (message.blocks.length) draw(blocks, message.blocks, { ...ctx, surface: "message" }, message.state);
    else blocks.append(h("div", { class: "text" }, mrkdwn(message.text)));
    const author = nameOf(message.user);
    const time = h("time", { datetime: moment(message.ts).toISOString(), title: moment(message.ts).toLocaleString() }, clockTime(moment(message.ts)));
    body.append(
      ...(message.private ? [h("div", { class: "private" }, icon("people"), "Only visible to you")] : []),
      ...(message.thread_ts && !this.thread ? [h("div", { class: "private" }, icon("reply"), "Replied in a thread")] : []),
      ...(together ? [] : [h("div", { class: "who" }, h("strong", {}, author), isApp(message.user) && h("span", { class: "badge" }, "APP"), time)]),
      blocks, trouble);
    for (const one of message.attachments ?? []) body.append(attachment(one, ctx));
    if (message.files.length) body.append(h("div", { class: "attached" }, message.files.map(file)));
    if (message.edited && !message.blocks.length) blocks.lastChild?.append(h("small", { class: "edited" }, " (edited)"));
    const reactions = Object.entries(message.reactions);
    if (reactions.length) body.append(h("div", { class: "reactions" }, reactions.map(([name, users]) => this.reaction(message, name, users))));
    if (message.replies && !this.thread) body.append(button([message.repliers.map((id) => face(id, "small")), h("span", {}, `${message.replies} ${message.replies === 1 ? "reply" : "replies"}`)],
      () => this.onthread?.(message.ts), { class: "thread-link" }));
    const node = h("article", { class: `message ${together ? "together" : ""} ${message.private ? "only" : ""}`, "aria-label": `${author}, ${clockTime(moment(message.ts))}`, "data-ts": message.ts },
      h("div", { class: "gutter" }, together ? time.cloneNode(true) : face(message.user)), body, message.private ? null : this.tools(message));
    return node;
  }

  reaction(message, name, users) {
    const mine = users.includes(state.me);
    return button([emoji(name), " ", String(users.length)], () => this.react(message, name, !mine),
      { class: `reaction ${mine ? "mine" : ""}`, "aria-pressed": String(mine), title: users.map(nameOf).join(", "), "aria-label": `${name}, ${users.length}` });
  }

  react = (message, name, added = true) =>
    act("react", { ts: message.ts, channel: message.channel, name, added }).catch((fault) => note(fault.message, "bad"));

  tools(message) {
    const react = iconButton("smile", "Add a reaction", () => actionsMenu(react, QUICK.map((name) => ({
      label: `${emoji(name)} ${name.replaceAll("_", " ")}`, act: () => this.react(message, name, !message.reactions[name]?.includes(state.me)) })), "Reactions"));
    const shortcuts = state.company.app.shortcuts.filter((one) => one.type === "message");
    const more = shortcuts.length && iconButton("more", "More", () => actionsMenu(more, shortcuts.map((one) => ({
      label: one.name, hint: `${one.description} · ${state.company.app.name}`,
      act: () => act("shortcut", { callback_id: one.callback_id, ts: message.ts, channel: message.channel }).catch((fault) => note(fault.message, "bad")) })), "Shortcuts"));
    return h("div", { class: "tools", role: "toolbar", "aria-label": "Message" }, react,
      this.onthread && !message.thread_ts && iconButton("reply", "Reply in a thread", () => this.onthread(message.ts)), more || null);
  }
}

function attachment(one, ctx) {
  const inside = h("div", { class: "blocks" });
  if (one.blocks) draw(inside, one.blocks, ctx);
  else inside.append(h("div", { class: "text" }, [one.pretext && h("div", {}, mrkdwn(one.pretext)), one.title && h("strong", {}, plain(one.title)), h("div", {}, mrkdwn(one.text ?? one.fallback ?? ""))]));
  return h("div", { class: "attachment", style: /^#?[0-9a-f]{6}$/i.test(one.color ?? "") ? `border-color:#${one.color.replace("#", "")}` : null }, inside);
}

function file(one) {
  if (one.mimetype.startsWith("image/")) return h("figure", { class: "image" }, h("figcaption", {}, one.title), h("img", { src: `/sandbox/files/${one.id}`, alt: one.alt || one.title }));
  return h("a", { class: "file", href: `/sandbox/files/${one.id}`, target: "_blank" }, "📄 ", one.title);
}


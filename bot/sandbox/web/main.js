// The window: who one is, where one looks, and what is put together to show that.

import { acts } from "./acts.js";
import { draw } from "./blocks.js";
import { Chooser } from "./chooser.js";
import { Composer } from "./composer.js";
import { arrows, button, h, icon, iconButton, note } from "./dom.js";
import { Drawer, ahead } from "./drawer.js";
import { face } from "./faces.js";
import { act, connect, dismiss, look, nameOf, onChange, state } from "./live.js";
import { Messages } from "./messages.js";
import { Modals } from "./modals.js";
import { clockTime, productNow, sayDatesAnew } from "./text.js";

const app = document.getElementById("app");
const where = () => Object.fromEntries(new URLSearchParams(location.search));

// --- where one looks: kept in the address ----------------------------------------------------

function go(changes, { replace = false } = {}) {
  const next = { ...where(), ...changes };
  const query = new URLSearchParams(Object.entries(next).filter(([, value]) => value));
  history[replace ? "replaceState" : "pushState"](null, "", `?${query}`);
  arrive();
}
addEventListener("popstate", () => { if (where().as !== as) start(); else arrive(); });

export const addressOf = (person) => `?${new URLSearchParams({ as: state.people.get(person)?.name ?? person })}`;

function become(person) {
  history.pushState(null, "", addressOf(person));
  localStorage.setItem("last", person);
  start();
}

let as = null, built = null, at = {};

function start() {
  as = where().as ?? null;
  built = null;
  at = {};
  state.screen = null;
  look("messages", null);
  look("thread", null);
  app.replaceChildren(h("p", { class: "starting" }, "Connecting …"));
  connect(as);
}

const channelNamed = (name) => {
  const { dm, channels } = state.screen;
  return [dm, ...channels].find((one) => one.id === name || one.name === name) ?? null;
};

function arrive() {
  if (!built || !state.screen) return;
  const asked = where();
  const phone = matchMedia("(max-width: 720px)").matches;
  const channel = channelNamed(asked.in ?? "") ?? state.screen.dm;
  const isDm = channel.id === state.screen.dm.id;
  const tab = isDm && state.company.app.home && asked.tab === "home" ? "home" : isDm && asked.tab === "about" ? "about" : "messages";
  const chosen = Boolean(asked.in || asked.tab);
  built.frame.classList.toggle("at-list", phone && !chosen);
  const came = { channel: channel.id, tab, thread: asked.thread ?? null, drawer: asked.drawer ?? null };
  const before = at;
  at = came;
  if (before.channel !== came.channel) {
    look("messages", { channel: came.channel });
    built.messages.reset(channel.unread ? (state.screen.marks?.[channel.id] ?? readMark(channel)) : "");
    built.local.replaceChildren();
  }
  if (before.thread !== came.thread || before.channel !== came.channel) {
    look("thread", came.thread ? { channel: came.channel, thread: came.thread } : null);
    built.threadList.reset();
  }
  if (isDm && (before.tab !== came.tab || before.channel !== came.channel) && came.tab !== "about") {
    act("home", { tab: came.tab }).catch((fault) => note(fault.message, "bad"));
  }
  draw_all();
  if (phone || built.modals.view) return;
  if (came.thread && before.thread !== came.thread) built.threadComposer.input.focus();
  else if (before.channel !== came.channel) built.composer.input.focus();
}

function openDrawer(name) {
  go({ drawer: name, thread: "" });
  built.aside.querySelector("[role=tab][aria-selected=true]")?.focus();
}

// Whoever closes what stands beside is back where they opened it.
function closeAside() {
  const opener = at.thread ? built.composer.input : built.top.querySelector("[data-focus=sandbox]");
  go({ drawer: "", thread: "" });
  (opener.isConnected ? opener : built.top.querySelector("[data-focus=sandbox]"))?.focus();
}

// The newest message that was read: whatever is older than the unread ones.
const readMark = (channel) => channel.read || "0";

// --- putting together ------------------------------------------------------------------------

function build() {
  const messages = new Messages({ onthread: (ts) => go({ thread: ts, drawer: "" }), intro: beginning });
  const threadList = new Messages({ thread: true });
  const local = h("div", { class: "local", "aria-live": "polite" });
  const tell = (text) => local.replaceChildren(h("div", { class: "message only" }, h("div", { class: "gutter" }, h("span", { class: "face bot" }, "S")),
    h("div", { class: "body" }, h("div", { class: "private" }, icon("people"), "Only visible to you"), h("div", { class: "who" }, h("strong", {}, "Slackbot")), h("div", { class: "text" }, text)),
    iconButton("close", "Dismiss", () => { local.replaceChildren(); dismiss(); })));
  const composer = new Composer({ where: () => ({ channel: at.channel }), local: tell,
    placeholder: () => `Message ${titleOf(channelNamed(at.channel))}` });
  composer.ondone = () => { local.replaceChildren(); if (state.screen.notices.length) dismiss(); messages.toNewest(); };
  const threadComposer = new Composer({ where: () => ({ channel: at.channel, thread_ts: at.thread }), placeholder: () => "Reply …", local: (text) => note(text, "bad") });
  threadComposer.ondone = () => threadList.toNewest();
  const drawer = new Drawer({ tab: (name) => go({ drawer: name, thread: "" }, { replace: true }), close: closeAside });
  const modals = new Modals({ onlogin(login) { go({ drawer: "access", thread: "" }); drawer.logIn(login); } });
  const home = h("div", { class: "home blocks" });
  const frame = h("div", { class: "frame" });
  const parts = {
    top: h("header", { class: "top" }), side: h("nav", { class: "side", "aria-label": "Conversations" }), head: h("header", { class: "head" }),
    main: h("main", { class: "main" }), aside: h("aside", { class: "aside" }), off: h("div", { class: "offline", role: "status", hidden: true }, "Connecting again …"),
  };
  frame.append(parts.top, parts.side, parts.main, parts.aside, parts.off);
  app.replaceChildren(frame);
  arrows(parts.side, "a, button");
  parts.aside.addEventListener("keydown", (event) => event.key === "Escape" && closeAside());
  built = { messages, threadList, composer, threadComposer, drawer, modals, home, frame, local, tell, ...parts, prints: {} };
}

const titleOf = (channel) => (channel.id === state.screen.dm.id ? state.company.app.name : channel.kind === "mpim"
  ? channel.members.filter((id) => id !== state.me).map(nameOf).join(", ") : `#${channel.name}`);

// Draws a part anew if what it shows has changed; the focus stays where it was.
function part(name, box, shows, make) {
  const print = JSON.stringify(shows);
  if (built.prints[name] === print) return;
  built.prints[name] = print;
  const held = box.contains(document.activeElement) && document.activeElement.dataset.focus;
  box.replaceChildren(...make().filter(Boolean));
  if (held) box.querySelector(`[data-focus="${CSS.escape(held)}"]`)?.focus();
}

function draw_all() {
  if (!built || !state.screen || !state.company || !state.sandbox) return;
  drawTop();
  drawSide();
  drawMain();
  drawAside();
  built.modals.show();
  tellNotices();
  built.messages.seen();
  sayDatesAnew();
}

// A phone has room for its sign alone.
const trouble = (text, name) => button([icon("warn"), h("span", {}, text)], () => openDrawer("faults"), { class: "pill bad", title: text, "aria-label": text, "data-focus": name });

function drawTop() {
  const now = clockTime(productNow()), moved = ahead(state.sandbox.clock);
  const troubles = state.sandbox.faults.length + state.sandbox.duplicates + (state.sandbox.lag ? 1 : 0);
  const { away } = state.sandbox.postgresql;
  part("top", built.top, [now, moved, troubles, away, state.me, state.sandbox.links, Boolean(at.drawer), state.company.team.name], () => [
    h("span", { class: "team" }, h("span", { class: "face app small", "aria-hidden": "true" }, icon("key")), h("span", { class: "team-name" }, state.company.team.name)),
    h("span", { class: "grow" }),
    !state.sandbox.links && trouble(`${state.company.app.name} is not connected`, "links"),
    away && trouble("PostgreSQL is down", "away"),
    troubles > 0 && trouble(`${troubles} fault${troubles === 1 ? "" : "s"} set`, "faults"),
    button([icon("clock"), now, moved && h("b", {}, moved)], () => (at.drawer === "clock" ? closeAside() : openDrawer("clock")),
      { class: `pill ${moved ? "moved" : ""}`, title: "The sandbox's clock", "aria-label": `The sandbox's clock: ${now} ${moved}`, "data-focus": "clock" }),
    button([icon("tools"), h("span", {}, "Sandbox")], () => (at.drawer ? closeAside() : openDrawer("clock")), { class: "pill", "aria-label": "Sandbox", "aria-expanded": String(Boolean(at.drawer)), "data-focus": "sandbox" }),
    iconButton("sun", "Light or dark", turn, { "data-focus": "theme" }),
    button([face(state.me, "small"), h("span", { class: "me-name" }, nameOf(state.me)), icon("down")], choose, { class: "pill me", title: "Be somebody else", "aria-label": `You are ${nameOf(state.me)}. Be somebody else`, "data-focus": "me" }),
  ]);
}

// What is counted as unread, as Slack does: what was said to oneself. Of channels one sees only that there is something.
const isCounted = (one) => one.kind === "im" || one.kind === "mpim";
const unreadIn = (all) => all.filter(isCounted).reduce((sum, one) => sum + one.unread, 0);
const unreadMark = (count) => h("span", { class: "unread-mark" }, count > 99 ? "99+" : String(count));

function drawSide() {
  const { channels, open, dm } = state.screen;
  const item = (one, name, mark) => {
    const here = at.channel === one.id;
    const address = new URLSearchParams({ ...where(), in: one.id, tab: "", thread: "" });
    return h("a", { href: `?${address}`, class: `item ${here ? "here" : ""} ${one.unread ? "unread" : ""}`, "aria-current": here ? "page" : null, "data-focus": one.id,
      "aria-label": `${name}${one.unread ? `, ${one.unread} unread` : ""}`,
      onclick: (event) => { if (event.metaKey || event.ctrlKey) return; event.preventDefault(); go({ in: one.id, tab: "", thread: "" }); } },
    mark, h("span", { class: "item-name" }, name), isCounted(one) && one.unread > 0 && unreadMark(one.unread));
  };
  const live = channels.filter((one) => !one.archived).sort((a, b) => a.name.localeCompare(b.name));
  const groups = live.filter((one) => one.kind === "mpim");
  part("side", built.side, [channels, open, dm, at.channel, state.me], () => [
    h("h2", {}, "Channels"),
    ...live.filter((one) => one.kind !== "mpim").map((one) => item(one, one.name, icon(one.kind === "channel" ? "hash" : "lock"))),
    ...open.slice(0, 30).map((one) => button([icon("plus"), h("span", { class: "item-name" }, `Join #${one.name}`)],
      () => act("join", { channel: one.id }).then(() => go({ in: one.id, tab: "" })).catch((fault) => note(fault.message, "bad")), { class: "item quiet", "data-focus": one.id })),
    groups.length > 0 && h("h2", {}, "Group messages"),
    ...groups.map((one) => item(one, titleOf(one), icon("people"))),
    h("h2", {}, "Apps"),
    item(dm, state.company.app.name, face(state.company.app.id, "small")),
    h("div", { class: "grow" }),
    h("p", { class: "side-note" }, "This is a sandbox on your own machine. Nothing here reaches Slack."),
  ]);
}

function drawMain() {
  const channel = channelNamed(at.channel);
  const isDm = at.channel === state.screen.dm.id;
  const others = [state.screen.dm, ...state.screen.channels].filter((one) => one !== channel && one.unread && !one.archived);
  const elsewhere = unreadIn(others);
  part("head", built.head, [channel, at.tab, state.company.app.home, others.length, elsewhere], () => {
    const tab = (name, label) => button(label, () => go({ in: at.channel, tab: name === "messages" ? "" : name, thread: "" }),
      { role: "tab", "aria-selected": String(at.tab === name), class: "tab", tabindex: at.tab === name ? "0" : "-1", "data-focus": `tab-${name}` });
    const row = h("div", { class: "tabs", role: "tablist" }, state.company.app.home && tab("home", "Home"), tab("messages", ["Messages", at.tab !== "messages" && channel.unread > 0 && unreadMark(channel.unread)]), tab("about", "About"));
    arrows(row, "button", { across: true });
    return [
      h("div", { class: "head-row" },
        button([icon("back"), elsewhere ? unreadMark(elsewhere) : others.length > 0 && h("span", { class: "unread-mark dot" })], () => go({ in: "", tab: "", thread: "" }),
          { class: "plain to-list", title: "All conversations", "data-focus": "to-list",
            "aria-label": `All conversations${elsewhere ? `, ${elsewhere} unread` : others.length ? ", some unread" : ""}` }),
        isDm ? face(state.company.app.id, "small") : icon(channel.kind === "channel" ? "hash" : channel.kind === "group" ? "lock" : "people"),
        h("h1", {}, isDm ? state.company.app.name : titleOf(channel).replace(/^#/, "")),
        isDm && h("span", { class: "badge" }, "APP"),
        !isDm && h("span", { class: "members", title: channel.members.map(nameOf).slice(0, 40).join(", ") }, icon("people"), String(channel.members.length))),
      isDm && row,
    ].filter(Boolean);
  });
  const shown = { home: [built.head, built.home], about: [built.head, about()], messages: [built.head, built.messages.node, built.local, channel.archived ? h("p", { class: "archived" }, "This channel is archived.") : built.composer.node] }[at.tab];
  const layout = `${at.tab}${channel.id}${channel.archived}`;
  if (built.prints.main !== layout) { built.prints.main = layout; built.main.replaceChildren(...shown); }
  if (at.tab === "home") drawHome();
  else if (at.tab === "messages") {
    built.messages.show();
    if (!channel.archived) built.composer.show();
  }
}

function beginning() {
  const channel = channelNamed(at.channel), { app: bot } = state.company;
  if (channel.id !== state.screen.dm.id) return h("div", { class: "beginning" }, h("h2", {}, titleOf(channel)), h("p", {}, "This is where it begins."));
  return h("div", { class: "beginning" }, face(bot.id, "large"), h("h2", {}, bot.name), h("p", {}, bot.about),
    h("p", {}, "Type ", h("b", {}, "/"), " to see what can be asked of it, or begin here:"),
    h("div", { class: "row wrap" }, bot.commands.flatMap((one) => (one.usage_hint.match(/[a-z][a-z-]+/gi) ?? [""]).map((word) =>
      button(`${one.command} ${word}`.trim(), () => built.composer.run(`${one.command} ${word}`, at.channel))))));
}

function about() {
  return h("div", { class: "about" }, face(state.company.app.id, "large"), h("h2", {}, state.company.app.name), h("p", {}, state.company.app.about),
    h("h3", {}, "Commands"), h("ul", {}, state.company.app.commands.map((one) => h("li", {}, h("code", {}, `${one.command} ${one.usage_hint}`), ` ${one.description}`))));
}

let homeActs = null, homeFor = "";
function drawHome() {
  const { home } = state.screen;
  if (!home) {
    homeFor = "";
    built.home.replaceChildren(h("div", { class: "empty" }, face(state.company.app.id, "large"), h("p", {}, `${state.company.app.name} has not put anything here yet.`)));
    return;
  }
  if (homeFor !== home.id) {
    homeFor = home.id;
    built.home.replaceChildren();
    homeActs = { ...acts({ view_id: home.id }, { failed: (text) => note(text, "bad") }), surface: "home" };
  }
  draw(built.home, home.blocks, homeActs, home.state.values, home.errors);
}

function drawAside() {
  const open = at.thread ? "thread" : at.drawer ? "drawer" : "";
  built.frame.classList.toggle("with-aside", Boolean(open));
  document.body.classList.toggle("beside", Boolean(open)); // a modal leaves the drawer within reach
  built.aside.hidden = !open;
  if (built.prints.aside !== open + (at.thread ?? "")) {
    built.prints.aside = open + (at.thread ?? "");
    built.aside.setAttribute("aria-label", open === "thread" ? "Thread" : "Sandbox");
    built.aside.replaceChildren(...(open === "thread"
      ? [h("header", { class: "aside-head" }, h("h2", {}, "Thread"), iconButton("close", "Close the thread", closeAside)), built.threadList.node, built.threadComposer.node]
      : open ? [built.drawer.node] : []));
  }
  if (open === "thread") { built.threadList.show(); built.threadComposer.show(); }
  built.drawer.show(open === "drawer" ? at.drawer : null);
}

// --- what Slack itself says ------------------------------------------------------------------

function tellNotices() {
  const text = state.screen.notices.at(-1);
  if (text === built.noticed) return;
  built.noticed = text;
  // What failed elsewhere is told where it failed; a command has no other place.
  if (text?.startsWith("/")) built.tell(text);
  else if (text) dismiss();
  else built.local.replaceChildren();
}

// --- light and dark, and who one is ----------------------------------------------------------

function turn() {
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const now = document.documentElement.dataset.theme ?? (dark ? "dark" : "light");
  setTheme(now === "dark" ? "light" : "dark");
}
function setTheme(name) {
  if (name) document.documentElement.dataset.theme = name;
  if (name) localStorage.setItem("theme", name);
}
setTheme(localStorage.getItem("theme"));

const chooser = new Chooser({ become, addressOf });
const choose = () => chooser.open();

onChange((what) => {
  if (built) built.off.hidden = state.connected;
  if (what === "connected") return;
  const left = state.people.get(state.me)?.deleted;
  if (what === "company" && as && (!state.me || left)) {
    const why = left ? `${nameOf(state.me)} has left the company, and Slack with it.` : `Nobody here is called “${as}”.`;
    built = null;
    app.replaceChildren(h("div", { class: "starting" }, h("p", {}, why), button("Choose somebody", () => { history.pushState(null, "", "/"); start(); }, { class: "primary" })));
    return;
  }
  if (!as) {
    if (state.company) chooser.page(app);
    document.title = state.company ? `${state.company.team.name} · Sandbox` : "Sandbox";
    return;
  }
  if (state.company && state.sandbox && state.screen && !built && !left) { build(); arrive(); }
  if (!built) return;
  if (at.channel && !channelNamed(at.channel)) go({ in: "", tab: "" }, { replace: true });
  const sought = channelNamed(where().in ?? "");
  if (sought && sought.id !== at.channel) arrive(); // it was just joined, and is known only now
  const unread = unreadIn([state.screen.dm, ...state.screen.channels]);
  document.title = `${unread ? `(${unread}) ` : ""}${nameOf(state.me)} · ${state.company.team.name}`;
  if (what === "journal" || what === "changes") { built.drawer.show(at.drawer); return; }
  if (what === "company") built.prints = { main: built.prints.main, aside: built.prints.aside };
  draw_all();
});
setInterval(() => { if (built && state.screen) drawTop(); built?.drawer.tick(); sayDatesAnew(); }, 1000);

start();

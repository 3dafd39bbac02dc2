// The drawer: what Slack has no word for. The clock, what went over the line, misbehaviour, and
// the protected database.

import { arrows, button, debounced, h, icon, iconButton, keyed, note } from "./dom.js";
import { control, endSession, entry, nameOf, openSession, runQuery, standing, state, watch } from "./live.js";
import { clockTime, dayName, productNow } from "./text.js";

const TABS = { clock: "Clock", access: "Use the access", inspector: "Inspector", faults: "Misbehave" };

export function ahead(seconds) {
  const minutes = Math.round(seconds / 60);
  if (!minutes) return "";
  const [days, hours, rest] = [Math.floor(minutes / 1440), Math.floor((minutes % 1440) / 60), minutes % 60];
  return `+${[days && `${days} d`, hours && `${hours} h`, rest && `${rest} min`].filter(Boolean).join(" ")}`;
}

const tried = (run, node) => async () => {
  node?.()?.classList.add("busy");
  try {
    return await run();
  } catch (fault) {
    note(fault.message, "bad");
    return null;
  } finally {
    node?.()?.classList.remove("busy");
  }
};

export class Drawer {
  constructor({ tab, close }) {
    this.tabs = h("div", { class: "tabs", role: "tablist", "aria-label": "Sandbox" }, Object.entries(TABS).map(([name, label]) =>
      button(label, () => tab(name), { role: "tab", class: "tab", "data-tab": name })));
    arrows(this.tabs, "button", { across: true });
    this.body = h("div", { class: "drawer-body", role: "tabpanel" });
    this.node = h("div", { class: "drawer" },
      h("header", { class: "aside-head" }, h("h2", {}, icon("tools"), "Sandbox"), iconButton("close", "Close the sandbox drawer", close)), this.tabs, this.body);
    this.panels = { clock: new ClockPanel(), access: new AccessPanel(), inspector: new Inspector(), faults: new Faults() };
    // Asked again whenever anything has happened: Latchkey's own database does not tell.
    this.learn = debounced(async () => {
      state.standing = await standing().catch((fault) => ({ known: false, fault: fault.message }));
      this.panels[this.open]?.learnt?.();
    }, 150);
  }

  show(name) {
    const open = name && !TABS[name] ? "clock" : name;
    const learns = Boolean(this.panels[open]?.learnt);
    watch("journal", open === "inspector");
    watch("changes", learns);
    if (open !== this.open) {
      this.open = open;
      for (const node of this.tabs.children) {
        node.setAttribute("aria-selected", String(node.dataset.tab === open));
        node.tabIndex = node.dataset.tab === open ? 0 : -1;
      }
      this.body.replaceChildren(...(open ? [this.panels[open].node] : []));
      this.body.setAttribute("aria-label", TABS[open] ?? "");
    }
    if (open) this.panels[open].show();
    if (learns) this.learn();
  }

  logIn(login) {
    this.panels.access.take(login);
    this.panels.access.open();
  }
  tick() { if (this.open) this.panels[this.open].tick?.(); }
}

// --- the clock, and who has what -------------------------------------------------------------

const MARKS = { pending: "⏳", pending_mfa: "🔐", scheduled: "📅", granting: "⚙️", active: "🔓", revoking: "🔄", expired: "🔒", returned: "↩️", revoked: "⛔", rejected: "❌", cancelled: "🚫", timed_out: "⌛", failed: "⚠️" };

class ClockPanel {
  constructor() {
    this.face = h("div", { class: "clock-face", role: "timer", "aria-live": "off" });
    this.day = h("div", { class: "clock-day" });
    this.told = h("span", { class: "unseen", "aria-live": "polite" });
    const by = (seconds, label) => button(label, tried(async () => {
      await control("advance", { seconds });
      this.told.textContent = `The clock is now ${clockTime(productNow())}.`;
    }), {});
    this.next = button("", tried(async () => {
      if (this.next.ariaDisabled === "true") return;
      await control("advance-to", { moment: state.standing.next.at });
      this.told.textContent = `The clock is now ${clockTime(productNow())}.`;
    }), { class: "next-event" });
    this.back = button("Back to real time", tried(async () => { await control("reset-clock"); }), { class: "quiet back", title: "Starts the bot again, whose clock never goes back by itself" });
    this.list = h("div", { class: "standing" }, h("p", { class: "hint" }, "One moment …"));
    this.node = h("div", {},
      h("section", { class: "panel" }, this.face, this.day, this.told,
        this.next, h("div", { class: "row" }, by(5 * 60, "+5 min"), by(3600, "+1 h"), by(86400, "+1 day")),
        h("p", { class: "hint" }, "Moves only what ", h("em", {}, "Latchkey"), " believes the time to be: requests escalate, lapse, start and end. Slack itself stays on real time."), this.back),
      h("section", { class: "panel" }, h("h3", {}, "Who has what"), this.list));
  }

  show() {
    this.tick();
    this.back.hidden = !state.sandbox.clock;
  }

  tick() {
    const now = productNow(), moved = ahead(state.sandbox.clock);
    const text = `${clockTime(now)}:${String(now.getSeconds()).padStart(2, "0")}`;
    this.face.replaceChildren(text, moved ? h("b", {}, moved) : "");
    this.day.textContent = now.toLocaleDateString("en", { weekday: "long", day: "numeric", month: "long" }) + (moved ? ", ahead of real time" : ", real time");
    this.learnt();
  }

  learnt() {
    this.next.hidden = !state.standing?.known;
    if (!state.standing) return;
    this.name_next(state.standing.next);
    this.list_requests();
  }

  // It stays where the focus is, and says so, when there is nothing to go to.
  name_next(event) {
    const now = productNow() / 1000, ahead = event && event.at > now;
    this.next.ariaDisabled = String(!ahead);
    this.next.textContent = !event ? "Nothing is to come by itself"
      : ahead ? `To the ${event.what} of ${event.code}, ${left(event.at - now)}` : `The ${event.what} of ${event.code} comes now`;
  }

  list_requests() {
    const { known, requests = [], fault } = state.standing;
    if (!known) { this.list.replaceChildren(h("p", { class: "hint" }, fault ?? "Known only where the sandbox itself runs the bot.")); return; }
    if (!requests.length) { this.list.replaceChildren(h("p", { class: "hint" }, "Nobody has asked for anything yet.")); return; }
    const now = productNow() / 1000;
    if (!this.list.firstChild?._key) this.list.replaceChildren();
    keyed(this.list, requests, {
      key: (one) => one.code,
      print: (one) => JSON.stringify([one, whenOver(one, now)]),
      make: (one) => h("div", { class: `stand ${one.live ? "" : "over"}` }, h("span", { class: "stand-mark", "aria-hidden": "true" }, MARKS[one.state] ?? "•"),
        h("div", {}, h("div", {}, h("strong", {}, one.for), ` ${one.state.replaceAll("_", " ")}`), h("small", {}, one.what.join(", ")),
          one.asked_by !== one.for && h("small", {}, `asked by ${one.asked_by}`), h("small", {}, [one.code, whenOver(one, now)].filter(Boolean).join(" · ")))),
    });
  }
}

// What is being given, or taken away, has no moment that would be true until it is.
const OVER = { pending_mfa: "lapses", pending: "lapses", scheduled: "starts", active: "ends" };
const whenOver = (one, now) => OVER[one.state] && one.until && `${OVER[one.state]} ${untilText(one.until)} (${left(one.until - now)})`;
const untilText = (stamp) => {
  const moment = new Date(stamp * 1000), day = dayName(moment, true);
  return day === "Today" ? clockTime(moment) : `${day.toLowerCase()} ${clockTime(moment)}`;
};
function left(seconds) {
  if (seconds <= 0) return "now";
  const minutes = Math.ceil(seconds / 60);
  return minutes < 120 ? `in ${minutes} min` : minutes < 2880 ? `in ${Math.round(minutes / 60)} h` : `in ${Math.round(minutes / 1440)} days`;
}

// --- using the access ------------------------------------------------------------------------

const FIELDS = [["host", "Host"], ["port", "Port"], ["database", "Database"], ["user", "User"], ["password", "Password"]];
const EXAMPLE = "select * from shop.customers limit 5";

// A login as it is pasted: an address, or lines of “Port: 5432”.
function pasted(text) {
  const url = text.trim().match(/^postgres(?:ql)?:\/\/([^:@/]+)(?::([^@]*))?@([^:/]+)(?::(\d+))?\/(\S+)/);
  if (url) return { user: decodeURIComponent(url[1]), password: decodeURIComponent(url[2] ?? ""), host: url[3], port: url[4] ?? "5432", database: url[5] };
  const found = {};
  for (const line of text.split("\n")) {
    const [, label, value] = line.match(/^\s*(host|port|database|dbname|user|username|login|password)\s*[:=]\s*(.+?)\s*$/i) ?? [];
    if (label) found[{ dbname: "database", username: "user", login: "user" }[label.toLowerCase()] ?? label.toLowerCase()] = value;
  }
  return Object.keys(found).length ? found : null;
}

class AccessPanel {
  constructor() {
    this.inputs = Object.fromEntries(FIELDS.map(([name]) => [name, h("input", { type: name === "password" ? "password" : "text", name, autocomplete: "off", spellcheck: "false",
      onpaste: (event) => {
        const login = pasted(event.clipboardData.getData("text"));
        if (login) { event.preventDefault(); this.take(login); }
      } })]));
    this.inputs.host.value = "127.0.0.1";
    this.trouble = h("div", { class: "trouble", role: "alert", hidden: true });
    this.login = h("button", { type: "submit", class: "primary" }, "Log in");
    this.form = h("form", { class: "panel login", onsubmit: (event) => { event.preventDefault(); this.open(); } },
      h("p", { class: "hint" }, "Press ", h("b", {}, "Show credentials"), " on an active card and then ", h("b", {}, "Use in the sandbox"), ", or paste a login here."),
      FIELDS.map(([name, label]) => h("label", {}, h("span", {}, label), this.inputs[name])), this.trouble, h("div", { class: "row" }, this.login));
    this.sessions = h("div", { class: "sessions" });
    this.known = new Map();
    this.node = h("div", {}, this.sessions, h("details", { class: "panel-details", open: true }, h("summary", {}, "Log in to PostgreSQL"), this.form));
    this.details = this.node.querySelector("details");
  }

  take(login) {
    for (const [name] of FIELDS) if (login[name] !== undefined) this.inputs[name].value = login[name];
    this.details.open = true;
    this.trouble.hidden = true;
    requestAnimationFrame(() => this.login.focus());
  }

  async open() {
    this.login.classList.add("busy");
    this.trouble.hidden = true;
    try {
      const said = await openSession(Object.fromEntries(FIELDS.map(([name]) => [name, this.inputs[name].value])));
      if (said.refused_by_server) this.refused(`PostgreSQL refuses the login: ${said.refused_by_server}`);
      else if (said.away) this.refused(`PostgreSQL does not answer: ${said.away}`);
      else this.details.open = false;
    } catch (fault) {
      this.refused(fault.message);
    } finally {
      this.login.classList.remove("busy");
    }
  }

  refused(text) {
    this.trouble.hidden = false;
    this.trouble.replaceChildren(icon("warn"), text);
  }

  show() {
    keyed(this.sessions, state.screen.sessions, {
      key: (one) => one.n,
      print: () => "",
      make: (one) => this.session(one),
    });
    for (const one of state.screen.sessions) this.known.get(one.n)?.(one);
    if (!state.screen.sessions.length && !this.details.open && this.had) this.details.open = true;
    this.had = state.screen.sessions.length > 0;
  }

  session({ n, name }) {
    const status = h("span", { class: "badge" });
    const query = h("textarea", { rows: 2, "aria-label": `Query as ${name}`, spellcheck: "false", onkeydown: (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); run(); }
    } });
    query.value = sessionStorage.getItem("query") ?? EXAMPLE;
    const answer = h("div", { class: "answer", "aria-live": "polite" });
    const run = async () => {
      go.classList.add("busy");
      sessionStorage.setItem("query", query.value);
      try {
        answer.replaceChildren(...result(await runQuery(n, query.value)));
      } catch (fault) {
        answer.replaceChildren(h("div", { class: "trouble" }, icon("warn"), fault.message));
      } finally {
        go.classList.remove("busy");
      }
    };
    const go = button("Run", run, { class: "primary" });
    const end = h("div", { class: "trouble", role: "alert", hidden: true });
    const node = h("section", { class: "panel session", "aria-label": `Session: ${name}` },
      h("div", { class: "session-head" }, icon("key"), h("strong", {}, name), status, iconButton("close", "Close this session", tried(() => endSession(n)))),
      end, query, h("div", { class: "row" }, go, h("small", {}, "Ctrl + Enter")), answer);
    this.known.set(n, (one) => {
      node.classList.toggle("ended", Boolean(one.ended));
      status.textContent = one.ended ? "ended" : "open";
      end.hidden = !one.ended;
      if (one.ended && end.dataset.said !== one.ended) { end.dataset.said = one.ended; end.replaceChildren(icon("warn"), `PostgreSQL ended this session: ${one.ended}`); }
    });
    return node;
  }
}

function result(said) {
  if (said.error) return [h("div", { class: "trouble" }, icon("warn"), h("span", {}, "PostgreSQL refuses: ", said.error), said.hint && h("small", {}, said.hint))];
  const time = `${Math.max(1, Math.round(said.seconds * 1000))} ms`;
  return [
    said.columns.length > 0 && h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Rows" }, h("table", { class: "grid" },
      h("thead", {}, h("tr", {}, said.columns.map((name) => h("th", {}, name)))),
      h("tbody", {}, said.rows.map((row) => h("tr", {}, row.map((cell) => (cell === null ? h("td", { class: "null" }, "null") : h("td", {}, cell)))))))),
    h("small", {}, [said.said, said.more ? `${said.more} more rows are not shown` : "", time].filter(Boolean).join(" · ")),
  ].filter(Boolean);
}

// --- the inspector ---------------------------------------------------------------------------

const KINDS = { all: () => true, calls: (one) => one.kind === "call", deliveries: (one) => one.kind === "delivery", refused: (one) => Boolean(one.error || one.fault) };

class Inspector {
  constructor() {
    this.kind = "all";
    this.picks = h("div", { class: "row picks", role: "group", "aria-label": "Show" }, [["all", "All"], ["deliveries", "To the app"], ["calls", "From the app"], ["refused", "Refused"]].map(([name, label]) =>
      button(label, () => { this.kind = name; this.show(); }, { class: "quiet", "data-kind": name })));
    this.list = h("div", { class: "journal", role: "list" });
    this.node = h("div", { class: "inspector" }, this.picks, this.list);
    this.opened = new Set();
  }

  show() {
    for (const node of this.picks.children) node.setAttribute("aria-pressed", String(node.dataset.kind === this.kind));
    const shown = [...state.journal.values()].filter(KINDS[this.kind]).sort((a, b) => b.n - a.n).slice(0, 200);
    if (!shown.length) { this.list.replaceChildren(h("p", { class: "hint" }, "Nothing yet. What goes to the app and what it asks of Slack is listed here as it happens.")); return; }
    if (!this.list.firstChild?._key) this.list.replaceChildren();
    keyed(this.list, shown, { key: (one) => one.n, print: (one) => JSON.stringify([one, concerned(one)]), make: (one) => this.entry(one) });
  }
  learnt() { this.show(); }

  entry(one) {
    const out = one.kind === "delivery";
    const bad = one.error || one.fault;
    const took = one.seconds === null ? (one.over ? "no answer" : "waiting …") : `${Math.round(one.seconds * 1000)} ms`;
    const inside = h("div", { class: "payload" });
    const details = h("details", { class: `entry ${bad ? "bad" : ""} ${out ? "out" : "in"}`, role: "listitem", open: this.opened.has(one.n), ontoggle: () => {
      if (!details.open) { this.opened.delete(one.n); return; }
      this.opened.add(one.n);
      this.load(one.n, inside);
    } }, h("summary", {},
      h("span", { class: "way", title: out ? "Slack tells the app" : "The app asks Slack" }, out ? "→" : "←"), h("span", { class: "entry-what" }, one.what, one.retry ? ` (again, ${one.retry})` : ""),
      bad && h("span", { class: "badge bad" }, (one.error || one.fault).split(/[:;[]/)[0]), h("small", {}, took), h("small", {}, new Date(one.time * 1000).toLocaleTimeString("en-GB")),
      h("span", { class: "entry-whom" }, concerned(one))), inside);
    if (details.open) this.load(one.n, inside);
    return details;
  }

  async load(n, box) {
    try {
      const one = await entry(n);
      const part = (title, value) => value !== null && value !== undefined && value !== "" && [h("h4", {}, title, iconButtonCopy(value)), h("pre", {}, typeof value === "string" ? value : JSON.stringify(value, null, 2))];
      const why = one.kind === "call" ? reasons(one) : one.refused || (one.outcome === "acked" ? "" : one.outcome);
      box.replaceChildren(...[
        why && h("div", { class: "trouble" }, icon("warn"), h("span", {}, why)),
        ...(one.kind === "call" ? [part("The app asked", one.arguments), part(`Slack answered${one.status ? ` ${one.status}` : ""}`, one.answer ?? "nothing")]
          : [part("Slack sent", one.payload), part("The app answered", one.ack ?? (one.outcome === "acked" ? "(empty)" : "nothing"))]),
      ].flat(2).filter(Boolean));
    } catch (fault) {
      box.replaceChildren(h("div", { class: "trouble" }, fault.message));
    }
  }
}

// Who acted, or for whom a call is; and whose request it speaks of.
function concerned({ kind, whom, request }) {
  const place = state.channels.get(whom);
  const who = whom && (place ? `in #${place.name}` : `${kind === "delivery" ? "by" : "for"} ${nameOf(whom)}`);
  const known = (state.standing?.requests ?? []).find((one) => one.code === request);
  const parties = known && `asked by ${known.asked_by}${known.for === known.asked_by ? "" : ` for ${known.for}`}`;
  return [who, [request, parties].filter(Boolean).join(" ")].filter(Boolean).join(" · ");
}

const RULES = { auth: "The token is not right", rate: "Too many calls", scope: "The app lacks a scope", arguments: "The arguments are not what Slack takes", state: "Slack's state does not allow it", fault: "You asked for this fault" };
function reasons(one) {
  if (!one.error && !one.fault && !one.rule) return "";
  const said = one.answer?.response_metadata?.messages ?? [];
  return h("span", {}, h("b", {}, one.error || one.fault), one.rule ? `. ${RULES[one.rule] ?? one.rule}.` : "", said.length > 0 && h("ul", {}, said.map((line) => h("li", {}, line.replace("[ERROR] ", "")))));
}

const iconButtonCopy = (value) => button("Copy", async (event) => {
  await navigator.clipboard.writeText(typeof value === "string" ? value : JSON.stringify(value, null, 2));
  event.target.textContent = "Copied";
}, { class: "quiet small" });

// --- misbehaviour ----------------------------------------------------------------------------

const WAYS = [
  ["rate_limited", "429, for 5 seconds", { retry_after: 5 }],
  ["error", "503, and does nothing", { status: 503 }],
  ["slow", "answers after 4 seconds", { seconds: 4 }],
  ["hang", "never answers", {}],
  ["done_but_timeout", "does it, never answers", {}],
  ["slack_error", "says internal_error", { code: "internal_error" }],
];

class Faults {
  constructor() {
    this.way = h("select", { "aria-label": "How" }, WAYS.map(([kind, label]) => h("option", { value: kind }, label)));
    this.method = h("select", { "aria-label": "Which calls" });
    this.times = h("select", { "aria-label": "How often" }, [["1", "the next one"], ["3", "the next 3"], ["10", "the next 10"], ["", "all, until you behave again"]].map(([value, label]) => h("option", { value }, label)));
    this.set = h("div", { class: "set-faults" });
    this.power = button("", tried(() => control(state.sandbox.postgresql.away ? "bring-up" : "take-down"), () => this.power), {});
    this.server = h("section", { class: "panel" }, h("h3", {}, "The protected PostgreSQL"), h("div", { class: "row" }, this.power),
      h("p", { class: "hint" }, "Taken down, it is stopped: sessions end, and nobody can log in. What has to be given or taken away waits until it is up again."));
    const send = (what, body) => tried(() => control(what, body));
    this.node = h("div", {},
      h("section", { class: "panel" }, h("h3", {}, "When the app calls Slack"),
        h("label", {}, h("span", {}, "Calls"), this.method), h("label", {}, h("span", {}, "Slack"), this.way), h("label", {}, h("span", {}, "How often"), this.times),
        h("div", { class: "row" }, button("Misbehave", tried(async () => {
          const [kind, , more] = WAYS.find(([name]) => name === this.way.value);
          await control("fault", { method: this.method.value, kind, times: this.times.value ? Number(this.times.value) : null, ...more });
        }), { class: "danger" }))),
      h("section", { class: "panel" }, h("h3", {}, "When Slack tells the app"),
        h("div", { class: "row wrap" }, button("Deliver the next one twice", send("duplicate", { times: 1 })), button("Disconnect", send("disconnect", { reason: "warning", close_old: true })),
          button("Go deaf", send("deafen", {})), button("History lags 10 s", send("lag-history", { seconds: 10 }))),
        h("p", { class: "hint" }, "Deaf links stay open and nothing passes, so that a click is not answered within 3 seconds; the app finds out and connects anew.")),
      this.server,
      h("section", { class: "panel" }, h("h3", {}, "What is set"), this.set, h("div", { class: "row" }, button("Behave again", send("clear-faults", {}), { class: "primary" }))));
  }

  show() {
    const methods = state.company.methods.join();
    if (this.methods !== methods) {
      this.methods = methods;
      this.method.replaceChildren(h("option", { value: "*" }, "every method"), ...state.company.methods.map((name) => h("option", { value: name }, name)));
    }
    const { faults, duplicates, lag, links, postgresql: { known, away } } = state.sandbox;
    this.server.hidden = !known;
    this.power.textContent = away ? "Bring PostgreSQL up" : "Take PostgreSQL down";
    this.power.classList.toggle("danger", !away);
    const label = (kind) => WAYS.find(([name]) => name === kind)?.[1] ?? kind;
    this.set.replaceChildren(h("ul", {},
      h("li", {}, `${links} live connection${links === 1 ? "" : "s"} of the app`),
      faults.map((one) => h("li", {}, `${one.method === "*" ? "every method" : one.method}: ${label(one.kind)}, ${one.times === null ? "always" : `${one.times} more`}`)),
      duplicates > 0 && h("li", {}, `${duplicates} delivered twice`), lag > 0 && h("li", {}, `history lags ${lag} s`),
      away && h("li", {}, "the protected PostgreSQL is down")));
  }
}

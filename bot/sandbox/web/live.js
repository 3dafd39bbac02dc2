// The line to the sandbox: what it tells this window, and what this window does.

export const state = {
  me: null, // the person's id
  company: null,
  people: new Map(),
  channels: new Map(),
  groups: new Map(),
  sandbox: null,
  screen: null,
  messages: null, // { channel, map, sorted, older, newer }
  thread: null,
  journal: new Map(),
  standing: null, // who has what, while somebody looks
  connected: false,
};

const listeners = new Set();
export const onChange = (run) => listeners.add(run);

// Nothing moves under a pressed pointer: what was pressed is what is clicked. A release that no
// event tells of (on a scroll bar) shows in the next move.
const late = new Set();
let pressed = false;
function tell(what) {
  if (pressed) late.add(what);
  else listeners.forEach((run) => run(what));
}
function released() {
  pressed = false;
  const told = [...late];
  late.clear();
  told.forEach(tell);
}
const afterTheClick = () => setTimeout(released);
addEventListener("pointerdown", (event) => { pressed = event.button === 0; }, true);
for (const name of ["pointerup", "pointercancel", "dragend"]) addEventListener(name, afterTheClick, true);
addEventListener("blur", afterTheClick); // of the window
addEventListener("pointermove", (event) => { if (pressed && !event.buttons) afterTheClick(); }, true);

let socket = null, wait = 200, as = null;
const asked = {}; // what is looked at, told again after a reconnect

export function connect(who) {
  as = who;
  socket?.close();
  const address = new URL("/page/live", location.href);
  address.protocol = location.protocol.replace("http", "ws");
  if (who) address.searchParams.set("as", who);
  const mine = socket = new WebSocket(address);
  mine.onopen = () => {
    wait = 200;
    state.connected = true;
    for (const list of [state.messages, state.thread]) if (list) list.stale = true;
    state.journal.clear();
    for (const [name, value] of Object.entries(asked)) say({ [name]: value });
    tell("connected");
  };
  mine.onmessage = (event) => take(JSON.parse(event.data));
  mine.onclose = () => {
    if (mine !== socket) return;
    state.connected = false;
    tell("connected");
    setTimeout(() => mine === socket && connect(as), wait);
    wait = Math.min(wait * 2, 3000);
  };
}

function take(said) {
  const { part, value } = said;
  if (part === "messages" || part === "thread") takeList(part, said);
  else if (part === "journal") for (const entry of value) state.journal.set(entry.n, entry);
  else state[part] = value;
  if (part === "company") {
    state.people = new Map(value.people.map((one) => [one.id, one]));
    state.channels = new Map(value.channels.map((one) => [one.id, one]));
    state.groups = new Map(value.groups.map((one) => [one.id, one]));
    state.me = as ? value.people.find((one) => one.id === as || one.name === as)?.id ?? null : null;
  }
  tell(part);
}

function takeList(part, { where, changed }) {
  const list = state[part];
  if (!list || list.channel !== where.channel || (list.thread ?? null) !== where.thread) return;
  if (list.stale) { list.map.clear(); list.stale = false; }
  for (const ts of where.gone) list.map.delete(ts);
  for (const message of changed) list.map.set(message.ts, message);
  list.older = where.older;
  list.newer = where.newer;
  list.loaded = true;
  list.sorted = [...list.map.values()].sort((a, b) => (a.ts < b.ts ? -1 : 1));
}

function say(what) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(JSON.stringify(what));
}

export function look(name, where) {
  state[name] = where && { ...where, map: new Map(), sorted: [], older: 0, newer: 0, loaded: false };
  asked[name] = where;
  say({ [name]: where });
}

// Shows what lies beyond: `way` is older, newer or newest.
export function goOn(name, way) {
  const { channel, thread } = state[name];
  say({ [name]: { channel, thread, way } });
}

// Asks to be told what only some look at: the journal, or that anything at all has changed.
export function watch(name, on) {
  if (Boolean(asked[name]) === on) return;
  if (name === "journal") state.journal.clear();
  asked[name] = on;
  say({ [name]: on });
}

export const dismiss = () => say({ dismiss: true });
export const read = (channel, ts) => say({ read: channel, ts });

async function ask(address, body, { method = "POST", keepalive = false } = {}) {
  const sent = body === undefined ? {} : { body: JSON.stringify(body), headers: { "content-type": "application/json" }, keepalive };
  let answer;
  try {
    answer = await fetch(address, { method, ...sent });
  } catch {
    throw new Error("The sandbox does not answer. Is it still running?");
  }
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(said.refused ?? `The sandbox answered ${answer.status}.`);
  return said;
}

export const act = async (what, body) => (await ask(`/sandbox/people/${state.me}/${what}`, body)).value;
// What was typed last is kept though the page goes.
export const hold = (body) => ask(`/page/${state.me}/hold`, body, { keepalive: true });
export const control = async (what, body = {}) => (await ask(`/sandbox/${what}`, body)).value;
export const entry = (n) => ask(`/page/journal/${n}`, undefined, { method: "GET" });
export const standing = () => ask("/page/standing", undefined, { method: "GET" });
export const openSession = (login) => ask(`/page/${state.me}/session`, login);
export const runQuery = (n, query) => ask(`/page/${state.me}/session/${n}`, { query });
export const endSession = (n) => ask(`/page/${state.me}/session/${n}`, undefined, { method: "DELETE" });

export const nameOf = (id) => state.people.get(id)?.real_name ?? id;
export const isApp = (id) => id === state.company?.app.id;

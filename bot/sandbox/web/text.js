// Slack's own text markup, as elements. What is not understood stays as it was written.

import { h } from "./dom.js";
import { emoji, EMOJI } from "./emoji.js";
import { state } from "./live.js";

export const unescaped = (text) => text.replace(/&(lt|gt|amp);/g, (_, name) => ({ lt: "<", gt: ">", amp: "&" })[name]);

const SAFE = /^(https?|mailto|tel|slack):/i;

export function link(url, label, props = {}) {
  if (!SAFE.test(url)) return document.createTextNode(label || url);
  return h("a", { href: url, target: "_blank", rel: "noopener noreferrer", ...props }, label || url.replace(/^mailto:/, ""));
}

const mention = (kind, label, mine) => h("span", { class: `mention ${mine ? "mine" : ""}` }, `${kind}${label}`);

export const person = (id, label) => mention("@", state.people.get(id)?.real_name ?? (label || id), id === state.me);
export const channelName = (id, label) => mention("#", state.channels.get(id)?.name ?? (label || id));
export const group = (id, label) => mention("@", state.groups.get(id)?.handle ?? (label || id).replace(/^@/, ""));

// --- dates -----------------------------------------------------------------------------------

const formats = new Map();
function formatted(moment, how) {
  const name = JSON.stringify(how);
  if (!formats.has(name)) formats.set(name, new Intl.DateTimeFormat("en", how));
  return formats.get(name).format(moment);
}
const two = (n) => String(n).padStart(2, "0");
export const clockTime = (moment) => `${two(moment.getHours())}:${two(moment.getMinutes())}`;
export const dayName = (moment, short = false) => {
  const day = new Date(moment.getFullYear(), moment.getMonth(), moment.getDate());
  const now = productNow();
  const days = Math.round((day - new Date(now.getFullYear(), now.getMonth(), now.getDate())) / 86400000);
  const near = { "-1": "Yesterday", 0: "Today", 1: "Tomorrow" }[days];
  return near ?? formatted(moment, short ? { month: "short", day: "numeric" } : { weekday: "long", month: "long", day: "numeric" });
};
// The product's clock, which the sandbox may have moved on: what is “today” to a card.
export const productNow = () => new Date(Date.now() + 1000 * (state.sandbox?.clock ?? 0));

function pretty(moment, plain) {
  const name = dayName(moment);
  return ["Yesterday", "Today", "Tomorrow"].includes(name) ? name.toLowerCase() : plain;
}

function ago(moment) {
  const minutes = Math.round((moment - productNow()) / 60000);
  const [n, unit] = Math.abs(minutes) < 60 ? [minutes, "minute"] : Math.abs(minutes) < 1440 ? [Math.round(minutes / 60), "hour"] : [Math.round(minutes / 1440), "day"];
  return new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(n, unit);
}

export function dateText(stamp, form) {
  const moment = new Date(stamp * 1000);
  const long = formatted(moment, { weekday: "long", year: "numeric", month: "long", day: "numeric" });
  const full = formatted(moment, { year: "numeric", month: "long", day: "numeric" });
  const short = formatted(moment, { year: "numeric", month: "short", day: "numeric" });
  const known = {
    date_num: () => `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}`,
    date_slash: () => `${two(moment.getMonth() + 1)}/${two(moment.getDate())}/${moment.getFullYear()}`,
    date_long: () => long,
    date_long_full: () => full,
    date_long_pretty: () => pretty(moment, long),
    date: () => full,
    date_pretty: () => pretty(moment, full),
    date_short: () => short,
    date_short_pretty: () => pretty(moment, short),
    day_divider_pretty: () => pretty(moment, formatted(moment, { weekday: "long", month: "long", day: "numeric" })),
    time: () => clockTime(moment),
    time_secs: () => `${clockTime(moment)}:${two(moment.getSeconds())}`,
    ago: () => ago(moment),
  };
  return form.replace(/\{(\w+)\}/g, (all, token) => known[token]?.() ?? all);
}

export function date(stamp, form, fallback, url) {
  const known = /^\d+$/.test(stamp) && form;
  const text = known ? dateText(Number(stamp), form) : fallback;
  const full = new Date(Number(stamp) * 1000).toString();
  return h("time", { title: full, "data-stamp": known ? stamp : null, "data-form": form }, url ? link(url, text) : text);
}

// What was “today” when it was drawn is said anew: the day goes by, and the clock is moved and reset.
export function sayDatesAnew() {
  for (const node of document.querySelectorAll("time[data-stamp]")) {
    const said = dateText(Number(node.dataset.stamp), node.dataset.form), box = node.querySelector("a") ?? node;
    if (box.textContent !== said) box.textContent = said;
  }
}

// --- mrkdwn ----------------------------------------------------------------------------------

function special(inside) {
  const [body, label] = [inside.split("|")[0], inside.includes("|") ? inside.slice(inside.indexOf("|") + 1) : ""];
  const shown = unescaped(label);
  if (body.startsWith("@")) return person(body.slice(1), shown);
  if (body.startsWith("#")) return channelName(body.slice(1), shown);
  if (body.startsWith("!")) {
    const [name, ...rest] = body.slice(1).split("^");
    if (name === "date") return date(rest[0] ?? "", unescaped(rest[1] ?? ""), shown, rest[2]);
    if (name === "subteam") return group(rest[0] ?? "", shown);
    return mention("@", shown || name, true);
  }
  return SAFE.test(body) ? link(unescaped(body), shown) : document.createTextNode(`<${unescaped(inside)}>`);
}

const STYLES = { "*": "strong", _: "em", "~": "del" };
const TOKEN = /<([^<>\n]+)>|`([^`\n]+)`|(?<![\w*_~`])([*_~])(?=\S)([^\n]*?[^\s])\3(?![\w*_~])|:([a-z0-9_+'-]+(?:::skin-tone-[2-6])?):|(https?:\/\/[^\s<>|]+[^\s<>|.,;:!?)\]'"])/g;

export function inline(text, { bare = true } = {}) {
  const out = [];
  let last = 0;
  const plain = (until) => until > last && out.push(unescaped(text.slice(last, until)));
  for (const found of text.matchAll(TOKEN)) {
    const [all, angle, code, mark, styled, name, url] = found;
    let node = null;
    if (angle !== undefined) node = special(angle);
    else if (code !== undefined) node = h("code", {}, unescaped(code));
    else if (mark !== undefined) node = h(STYLES[mark], {}, ...inline(styled, { bare }));
    else if (name !== undefined) node = EMOJI.has(name.split("::")[0]) ? emoji(name) : null;
    else if (url !== undefined && bare) node = link(unescaped(url));
    if (node === null) continue;
    plain(found.index);
    out.push(node);
    last = found.index + all.length;
  }
  plain(text.length);
  return out;
}

function lines(text, options) {
  const out = [];
  let quote = null;
  const parts = text.split("\n");
  parts.forEach((line, index) => {
    const quoted = line.match(/^(?:>|&gt;) ?(.*)$/);
    if (quoted) {
      if (!quote) out.push(quote = h("blockquote"));
      else quote.append(h("br"));
      quote.append(...inline(quoted[1], options));
      return;
    }
    if (index > 0 && !quote) out.push(h("br"));
    quote = null;
    out.push(...inline(line, options));
  });
  return out;
}

export function mrkdwn(text, { verbatim = false } = {}) {
  const options = { bare: !verbatim };
  return text.split(/```\n?([^]*?)\n?```/).flatMap((part, index) =>
    index % 2 ? h("pre", {}, unescaped(part)) : part ? lines(part.replace(/^\n|\n$/g, index ? "" : "$&"), options) : []);
}

export const plain = (text) =>
  unescaped(text).replace(/:([a-z0-9_+'-]+):/g, (all, name) => EMOJI.get(name) ?? all);

export function textOf(object, options = {}) {
  if (!object) return [];
  return object.type === "mrkdwn" ? mrkdwn(object.text, { verbatim: object.verbatim, ...options }) : [plain(object.text)];
}

// --- rich text -------------------------------------------------------------------------------

function leaf(one) {
  let node;
  switch (one.type) {
    case "text": node = one.text.split("\n").flatMap((part, i) => (i ? [h("br"), part] : [part])); break;
    case "link": node = [link(one.url, one.text)]; break;
    case "user": node = [person(one.user_id)]; break;
    case "usergroup": node = [group(one.usergroup_id)]; break;
    case "channel": node = [channelName(one.channel_id)]; break;
    case "broadcast": node = [mention("@", one.range, true)]; break;
    case "emoji": node = [one.unicode ? String.fromCodePoint(...one.unicode.split("-").map((c) => parseInt(c, 16))) : emoji(one.name)]; break;
    case "date": node = [date(String(one.timestamp), one.format, one.fallback ?? "", one.url)]; break;
    case "color": node = [h("span", { class: "swatch", style: /^#[0-9a-f]{3,6}$/i.test(one.value) ? `background:${one.value}` : null }), one.value]; break;
    default: node = [];
  }
  const style = one.style ?? {};
  const wrap = { code: "code", bold: "strong", italic: "em", strike: "del", underline: "u", highlight: "mark", client_highlight: "mark" };
  for (const [name, tag] of Object.entries(wrap)) if (style[name]) node = [h(tag, {}, ...node)];
  return node;
}

export function rich(element) {
  const inside = () => (element.elements ?? []).flatMap(leaf);
  switch (element.type) {
    case "rich_text": return h("div", { class: "rich" }, element.elements.map(rich));
    case "rich_text_section": return h("div", { class: "rich-section" }, inside());
    case "rich_text_preformatted": return h("pre", {}, inside());
    case "rich_text_quote": return h("blockquote", {}, inside());
    case "rich_text_list": {
      const ordered = element.style === "ordered";
      return h(ordered ? "ol" : "ul", { style: `margin-left:${1.4 * (element.indent ?? 0)}em`, start: ordered ? (element.offset ?? 0) + 1 : null },
        element.elements.map((one) => h("li", {}, rich(one))));
    }
    default: return h("span");
  }
}

// --- Markdown, for markdown blocks -----------------------------------------------------------

const MD = /`([^`]+)`|\*\*([^*]+)\*\*|__([^_]+)__|~~([^~]+)~~|\*([^*\s][^*]*)\*|(?<!\w)_([^_\s][^_]*)_(?!\w)|\[([^\]]+)\]\(([^)\s]+)\)|(https?:\/\/[^\s<>)]+)/g;

function mdInline(text) {
  const out = [];
  let last = 0;
  for (const found of text.matchAll(MD)) {
    const [all, code, bold, bold2, strike, italic, italic2, label, url, bare] = found;
    if (found.index > last) out.push(text.slice(last, found.index));
    last = found.index + all.length;
    if (code) out.push(h("code", {}, code));
    else if (bold ?? bold2) out.push(h("strong", {}, mdInline(bold ?? bold2)));
    else if (strike) out.push(h("del", {}, mdInline(strike)));
    else if (italic ?? italic2) out.push(h("em", {}, mdInline(italic ?? italic2)));
    else out.push(link(url ?? bare, label));
  }
  if (last < text.length) out.push(plain(text.slice(last)));
  return out;
}

export function markdown(text) {
  const out = [];
  const rows = text.replace(/\r/g, "").split("\n");
  const take = (test) => {
    const taken = [];
    while (rows.length && test.test(rows[0])) taken.push(rows.shift());
    return taken;
  };
  while (rows.length) {
    const row = rows[0];
    let found;
    if (/^```/.test(row)) {
      rows.shift();
      const code = [];
      while (rows.length && !/^```/.test(rows[0])) code.push(rows.shift());
      rows.shift();
      out.push(h("pre", {}, code.join("\n")));
    } else if ((found = row.match(/^(#{1,6}) (.*)$/))) {
      rows.shift();
      out.push(h("h3", { class: `md-${found[1].length}` }, mdInline(found[2])));
    } else if (/^(---+|\*\*\*+)\s*$/.test(row)) {
      rows.shift();
      out.push(h("hr"));
    } else if (/^> ?/.test(row)) {
      out.push(h("blockquote", {}, markdown(take(/^> ?/).map((r) => r.replace(/^> ?/, "")).join("\n"))));
    } else if (/^\s*[-*+] /.test(row)) {
      out.push(h("ul", {}, take(/^\s*[-*+] /).map((r) => h("li", {}, mdInline(r.replace(/^\s*[-*+] (\[[ x]\] )?/, (_, box) => (box ? (box[1] === "x" ? "☑\ufe0e " : "☐ ") : "")))))));
    } else if (/^\s*\d+[.)] /.test(row)) {
      out.push(h("ol", {}, take(/^\s*\d+[.)] /).map((r) => h("li", {}, mdInline(r.replace(/^\s*\d+[.)] /, ""))))));
    } else if (/^\|/.test(row) && /^\|?[\s:|-]+\|?$/.test(rows[1] ?? "")) {
      const cells = (r) => r.replace(/^\||\|\s*$/g, "").split("|").map((c) => c.trim());
      const [head, , ...body] = take(/^\|/);
      out.push(h("table", { class: "grid" }, h("thead", {}, h("tr", {}, cells(head).map((c) => h("th", {}, mdInline(c))))),
        h("tbody", {}, body.map((r) => h("tr", {}, cells(r).map((c) => h("td", {}, mdInline(c))))))));
    } else if (!row.trim()) {
      rows.shift();
    } else {
      const taken = [rows.shift()];
      while (rows.length && rows[0].trim() && !/^(```|#{1,6} |> ?|\s*[-*+] |\s*\d+[.)] |\|)/.test(rows[0])) taken.push(rows.shift());
      out.push(h("p", {}, taken.flatMap((r, i) => (i ? [h("br"), ...mdInline(r)] : mdInline(r)))));
    }
  }
  return out;
}

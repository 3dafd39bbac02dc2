// Interactive elements of Block Kit. Each returns { node, sync(state) }: the state is Slack's, as
// the sandbox holds it. Where an element is used, `ctx` says what that does.

import { button, debounced, h, icon, newId } from "./dom.js";
import { actionsMenu, confirmed } from "./layers.js";
import { select } from "./menus.js";
import { plain, textOf } from "./text.js";
import { nameOf, state } from "./live.js";

const option = (one, group) => ({ label: plain(one.text.text), value: one.value, hint: one.description && plain(one.description.text), group });
const matches = (one, query) => `${one.label} ${one.hint ?? ""}`.toLowerCase().includes(query.toLowerCase());

async function agreed(element) {
  const asks = element.confirm;
  return !asks || confirmed({ title: plain(asks.title.text), text: textOf(asks.text), confirm: plain(asks.confirm.text), deny: plain(asks.deny.text), style: asks.style });
}

// Runs an act with the element shown as busy, and what went wrong beside it.
async function busily(node, run) {
  if (node.classList.contains("busy")) return false;
  node.classList.add("busy");
  node.setAttribute("aria-busy", "true");
  try {
    return await run();
  } finally {
    node.classList.remove("busy");
    node.removeAttribute("aria-busy");
  }
}

const used = (element, block, ctx, value) => ctx.use(element, block, value);
const entered = (element, block, ctx, value) => ctx.enter(element, block, value);

// --- buttons ---------------------------------------------------------------------------------

function buttonElement(element, block, ctx) {
  const spoken = element.accessibility_label && plain(element.accessibility_label);
  const style = { primary: "primary", danger: "danger" }[element.style] ?? "";
  const node = button(h("span", {}, plain(element.text.text)), async () => {
    if (!await agreed(element)) return;
    if (element.url) open(element.url, "_blank", "noopener");
    await busily(node, () => used(element, block, ctx, element.value ?? null));
  }, { class: style, "aria-label": spoken, "data-focus": `${block.block_id}/${element.action_id}`, "data-action": element.action_id });
  return { node };
}

function iconButtonElement(element, block, ctx) {
  if (element.visible_to_user_ids && !element.visible_to_user_ids.includes(state.me)) return { node: h("span") };
  const label = plain(element.accessibility_label ?? element.text.text);
  const node = button(icon(element.icon), async () => {
    if (await agreed(element)) await busily(node, () => used(element, block, ctx, element.value ?? null));
  }, { class: "plain", "aria-label": label, title: plain(element.text.text), "data-focus": `${block.block_id}/${element.action_id}`, "data-action": element.action_id });
  return { node };
}

function feedback(element, block, ctx) {
  const one = (which, mark) => {
    const node = button(mark, () => busily(node, () => used(element, block, ctx, which.value)),
      { class: "plain", "aria-label": plain(which.accessibility_label ?? which.text.text), title: plain(which.text.text) });
    return node;
  };
  return { node: h("span", { class: "feedback" }, one(element.positive_button, "👍"), one(element.negative_button, "👎")) };
}

function overflow(element, block, ctx) {
  const node = button(icon("more"), () => actionsMenu(node, element.options.map((one) => ({
    ...option(one),
    act: async () => {
      if (!await agreed(element)) return;
      if (one.url) open(one.url, "_blank", "noopener");
      await busily(node, () => used(element, block, ctx, one.value));
    },
  })), "More actions"), { class: "overflow", "aria-label": "More actions", "aria-haspopup": "menu", "aria-expanded": "false", "data-focus": `${block.block_id}/${element.action_id}`, "data-action": element.action_id });
  return { node };
}

// --- choosing --------------------------------------------------------------------------------

function people() {
  return [...state.people.values()].filter((one) => !one.deleted && !one.is_bot)
    .map((one) => ({ label: one.real_name, value: one.id, hint: one.title || `@${one.name}` }));
}

function conversations(element) {
  const include = element.filter?.include ?? ["public", "private"];
  const listed = [...(state.screen?.channels ?? [])]
    .filter((one) => include.includes({ channel: "public", group: "private", mpim: "mpim" }[one.kind]));
  return listed.map((one) => ({ label: `#${one.name}`, value: one.id }));
}

const SOURCES = {
  static: (element) => [
    ...(element.options ?? []).map((one) => option(one)),
    ...(element.option_groups ?? []).flatMap((group) => group.options.map((one) => option(one, plain(group.label.text)))),
  ],
  users: people,
  conversations,
  channels: () => [...state.channels.values()].filter((one) => !one.private).map((one) => ({ label: `#${one.name}`, value: one.id })),
};

const FIELDS = {
  static: ["selected_option", "selected_options"],
  external: ["selected_option", "selected_options"],
  users: ["selected_user", "selected_users"],
  conversations: ["selected_conversation", "selected_conversations"],
  channels: ["selected_channel", "selected_channels"],
};

function menu(element, block, ctx) {
  const many = element.type.startsWith("multi_");
  const kind = element.type.replace(/^multi_/, "").replace(/_select$/, "");
  const field = FIELDS[kind][many ? 1 : 0];
  const named = (value) => {
    if (value && typeof value === "object") return option(value);
    return { label: state.people.has(value) ? nameOf(value) : `#${state.channels.get(value)?.name ?? value}`, value };
  };
  const label = ctx.label ?? plain(element.placeholder?.text ?? "Choose");
  const shown = select({
    label,
    many,
    remote: kind === "external",
    most: element.max_selected_items ?? 100,
    clearable: Boolean(block.optional),
    least: kind === "external" ? element.min_query_length ?? 3 : 0,
    placeholder: plain(element.placeholder?.text ?? (many ? "Select options" : "Select an option")),
    describedby: ctx.describedby,
    search: kind === "external"
      ? (query) => ctx.options(element, block, query)
      : (query) => SOURCES[kind](element).filter((one) => matches(one, query)),
    onpick: async (value) => {
      if (!await agreed(element)) return false;
      shown.busy(true);
      try {
        return await entered(element, block, ctx, value);
      } finally {
        shown.busy(false);
      }
    },
  });
  shown.input.dataset.action = element.action_id;
  shown.input.dataset.focus = `${block.block_id}/${element.action_id}`;
  return {
    node: shown.node,
    input: shown.input,
    sync(held) {
      const value = held?.[field];
      shown.sync(many ? (value ?? []).map(named) : value ? named(value) : null);
    },
  };
}

function boxes(element, block, ctx) {
  const single = element.type === "radio_buttons";
  const name = newId("boxes");
  const inputs = element.options.map((one) => h("input", { type: single ? "radio" : "checkbox", name, value: one.value,
    "data-action": element.action_id, "data-focus": `${block.block_id}/${element.action_id}/${one.value}`,
    onchange: async () => {
      const before = held;
      const picked = inputs.filter((box) => box.checked).map((box) => box.value);
      if (!await agreed(element)) return sync(before);
      return entered(element, block, ctx, single ? picked[0] ?? null : picked);
    } }));
  const node = h("div", { class: "boxes", role: single ? "radiogroup" : "group", "aria-label": ctx.label },
    element.options.map((one, index) => h("label", {}, inputs[index],
      h("span", {}, textOf(one.text), one.description && h("small", {}, textOf(one.description))))));
  let held = null;
  function sync(now) {
    held = now;
    const values = single ? [now?.selected_option?.value] : (now?.selected_options ?? []).map((one) => one.value);
    for (const box of inputs) box.checked = values.includes(box.value);
  }
  return { node, sync, input: inputs[0] };
}

// --- dates -----------------------------------------------------------------------------------

const two = (n) => String(n).padStart(2, "0");
const localStamp = (stamp) => {
  const moment = new Date(stamp * 1000);
  return `${moment.getFullYear()}-${two(moment.getMonth() + 1)}-${two(moment.getDate())}T${two(moment.getHours())}:${two(moment.getMinutes())}`;
};
const PICKERS = {
  datepicker: { type: "date", field: "selected_date", out: (v) => v, in: (v) => v },
  timepicker: { type: "time", field: "selected_time", out: (v) => v, in: (v) => v },
  datetimepicker: { type: "datetime-local", field: "selected_date_time", out: (v) => Math.floor(new Date(v) / 1000), in: localStamp },
};

function picker(element, block, ctx) {
  const how = PICKERS[element.type];
  const input = h("input", { type: how.type, class: "picker", "aria-label": ctx.label ?? plain(element.placeholder?.text ?? "Choose"),
    "aria-describedby": ctx.describedby, "data-action": element.action_id, "data-focus": `${block.block_id}/${element.action_id}` });
  let before = "";
  // While somebody types a date, each part of it makes a value: what counts is where they stop.
  const done = debounced(async () => {
    if (input.value === before) return;
    if (!await agreed(element)) { input.value = before; return; }
    before = input.value;
    await entered(element, block, ctx, input.value ? how.out(input.value) : null);
  }, 400);
  input.addEventListener("change", done);
  input.addEventListener("blur", () => done.flush());
  return {
    node: h("span", { class: "picking" }, input, element.timezone && h("small", {}, element.timezone)),
    input,
    flush: () => done.flush(),
    sync(held) {
      const value = held?.[how.field];
      before = value ? how.in(value) : "";
      if (document.activeElement !== input) input.value = before;
    },
  };
}

// --- typing ----------------------------------------------------------------------------------

const asRich = (text) => (text ? { type: "rich_text", elements: [{ type: "rich_text_section", elements: [{ type: "text", text }] }] } : null);
const fromRich = (value) => (value?.elements ?? []).flatMap((part) => part.elements ?? []).map((leaf) => leaf.text ?? leaf.url ?? "").join("");
const KINDS = { number_input: "text", email_text_input: "email", url_text_input: "url", plain_text_input: "text" };

function typed(element, block, ctx) {
  const isRich = element.type === "rich_text_input";
  const tall = element.multiline || isRich;
  const props = { placeholder: element.placeholder && plain(element.placeholder.text), "aria-label": ctx.label, "aria-describedby": ctx.describedby,
    "aria-required": block.optional ? null : "true", "data-action": element.action_id, "data-focus": `${block.block_id}/${element.action_id}`, spellcheck: "false" };
  const input = tall ? h("textarea", { rows: 3, ...props })
    : h("input", { type: KINDS[element.type], inputmode: element.type === "number_input" ? "decimal" : null, autocomplete: "off", ...props });
  const most = element.max_length;
  const count = most && most <= 1000 ? h("span", { class: "count", "aria-hidden": "true" }) : null;
  const value = () => (isRich ? asRich(input.value) : input.value);
  const left = () => {
    if (!count) return;
    const room = most - input.value.length;
    count.textContent = room < most * 0.2 || room < 20 ? String(room) : "";
    count.classList.toggle("over", room < 0);
  };
  const triggers = block.dispatch_action ? element.dispatch_action_config?.trigger_actions_on ?? ["on_enter_pressed"] : [];
  let sent = "", known = ""; // what the sandbox was told, and what it has told
  const keep = debounced(() => {
    if (input.value === sent) return undefined;
    sent = input.value;
    const tells = triggers.includes("on_character_entered");
    return tells ? entered(element, block, ctx, value()) : ctx.hold(element, block, value());
  }, 250);
  const grow = () => {
    if (!tall) return;
    input.style.height = "auto";
    input.style.height = `${Math.min(input.scrollHeight + 2, 240)}px`;
  };
  input.addEventListener("input", () => { left(); grow(); keep(); });
  input.addEventListener("blur", () => keep.flush());
  input.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || (tall && !event.metaKey && !event.ctrlKey)) return;
    event.preventDefault();
    if (triggers.includes("on_enter_pressed")) { sent = input.value; entered(element, block, ctx, value()); }
    else ctx.submit?.();
  });
  return {
    node: h("span", { class: "typing" }, input, count),
    input,
    flush: () => keep.flush(),
    // What is typed and not yet kept goes on in the element that is drawn instead of this one.
    draft: () => (input.value === known ? null : input.value),
    resume(text) {
      if (text === null) return;
      input.value = text;
      keep();
    },
    sync(held) {
      const now = known = (isRich ? fromRich(held?.rich_text_value) : held?.value) ?? "";
      if (document.activeElement !== input || input.value === sent) { input.value = now; sent = now; }
      left();
      requestAnimationFrame(grow);
    },
  };
}

function files(element, block, ctx) {
  const list = h("ul", { class: "files" });
  const input = h("input", { type: "file", multiple: (element.max_files ?? 10) > 1, "aria-label": ctx.label,
    accept: element.filetypes?.map((kind) => `.${kind}`).join(","), "data-action": element.action_id,
    onchange: () => busily(input, async () => {
      const chosen = await Promise.all([...input.files].map(async (file) => ({ name: file.name, content: latin1(await file.arrayBuffer()) })));
      await entered(element, block, ctx, chosen);
    }) });
  return {
    node: h("div", {}, input, list),
    input,
    sync(held) { list.replaceChildren(...(held?.files ?? []).map((file) => h("li", {}, file.title ?? file.name ?? file.id))); },
  };
}

const latin1 = (buffer) => {
  let out = "";
  for (const byte of new Uint8Array(buffer)) out += String.fromCharCode(byte);
  return out;
};

// --- all -------------------------------------------------------------------------------------

const MADE = {
  button: buttonElement, icon_button: iconButtonElement, feedback_buttons: feedback, overflow,
  radio_buttons: boxes, checkboxes: boxes, datepicker: picker, timepicker: picker, datetimepicker: picker,
  plain_text_input: typed, number_input: typed, email_text_input: typed, url_text_input: typed, rich_text_input: typed, file_input: files,
};

export function field(element, block, ctx) {
  const make = MADE[element.type] ?? (/_select$/.test(element.type) ? menu : null);
  if (!make) return { node: h("span", { class: "unknown" }, `[${element.type}]`) };
  const made = make(element, block, ctx);
  made.element = element;
  made.key = [block.block_id, element.action_id];
  return made;
}

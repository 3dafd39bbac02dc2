// Menus to choose from, with search: one or several, the options here or the app's.

import { button, debounced, h, icon, newId } from "./dom.js";
import { openMenu } from "./layers.js";

// options: { label, value, hint, group }. `search(query)` returns (a promise of) options.
export function select({ label, placeholder, search, least = 0, many = false, clearable = false, most = 100, describedby, onpick, remote = false }) {
  const list = newId("list");
  let chosen = many ? [] : null, found = [], active = -1, shown = null, asking = 0;

  const input = h("input", { type: "text", role: "combobox", "aria-label": label, "aria-expanded": "false", "aria-controls": list,
    "aria-autocomplete": "list", "aria-describedby": describedby, autocomplete: "off", spellcheck: "false" });
  const chips = h("span", { class: "chips" });
  const clear = button(icon("close"), () => { pick(null); input.focus(); }, { class: "plain clear", "aria-label": `Clear ${label}`, tabindex: "-1" });
  const box = h("div", { class: `select ${many ? "many" : ""}` }, many && chips, input, clearable && !many && clear, icon("down"));
  const options = h("div", { class: "menu", role: "listbox", id: list, "aria-label": label, "aria-multiselectable": many ? "true" : null });

  function draw() {
    if (many) {
      chips.replaceChildren(...chosen.map((one) => h("span", { class: "chip" }, one.label,
        button(icon("close"), (e) => { e.stopPropagation(); toggle(one); input.focus(); }, { class: "plain", "aria-label": `Remove ${one.label}` }))));
      input.placeholder = chosen.length ? "" : placeholder;
    } else {
      input.placeholder = placeholder;
      if (!shown) input.value = chosen?.label ?? "";
      box.classList.toggle("filled", Boolean(chosen));
    }
  }

  function status(text, kind = "") {
    found = [];
    active = -1;
    input.removeAttribute("aria-activedescendant");
    options.replaceChildren(h("div", { class: `menu-status ${kind}`, role: "status" }, text));
    shown?.place();
  }

  const has = (one) => (many ? chosen.some((c) => c.value === one.value) : chosen?.value === one.value);

  function offer(items) {
    found = items;
    if (!items.length) return status("No results");
    const nodes = [];
    let group = null, holder = options;
    items.forEach((one, index) => {
      if (one.group !== undefined && one.group !== group) {
        group = one.group;
        const name = newId("group");
        holder = h("div", { role: "group", "aria-labelledby": name }, h("div", { class: "menu-group", id: name }, group));
        nodes.push(holder);
      }
      const node = h("div", { role: "option", id: `${list}-${index}`, class: "menu-item", "aria-selected": String(has(one)),
        onpointerdown: (event) => event.preventDefault(),
        onclick: () => choose(one),
        onpointermove: () => move(index, false) },
        h("span", {}, one.label), one.hint && h("small", {}, one.hint), has(one) && icon("check"));
      if (holder === options) nodes.push(node);
      else holder.append(node);
    });
    options.replaceChildren(...nodes);
    const first = items.findIndex(has);
    move(many || first < 0 ? 0 : first);
    shown?.place();
    return undefined;
  }

  function move(to, scroll = true) {
    if (!found.length) return;
    active = (to + found.length) % found.length;
    options.querySelector(".active")?.classList.remove("active");
    const node = options.querySelector(`#${list}-${active}`);
    node.classList.add("active");
    input.setAttribute("aria-activedescendant", node.id);
    if (scroll) node.scrollIntoView({ block: "nearest" });
  }

  async function find(query) {
    const mine = ++asking;
    if (query.length < least) return status(`Type at least ${least} character${least === 1 ? "" : "s"} to search`);
    const slow = setTimeout(() => mine === asking && status("Loading …", "loading"), remote ? 120 : 1000);
    try {
      const items = await search(query);
      if (mine === asking && shown) offer(items);
    } catch (fault) {
      if (mine === asking && shown) status(fault.message, "failed");
    } finally {
      clearTimeout(slow);
    }
    return undefined;
  }
  const findSoon = debounced(find, remote ? 200 : 0);

  function open(query = "") {
    if (shown) return;
    status(remote ? "Loading …" : "", "loading");
    shown = openMenu(box, options, { onclose: () => { shown = null; asking++; input.setAttribute("aria-expanded", "false"); if (!many || !input.value) draw(); } });
    input.setAttribute("aria-expanded", "true");
    find(query);
  }

  function toggle(one) {
    const next = has(one) ? chosen.filter((c) => c.value !== one.value) : [...chosen, one];
    if (next.length > most) return status(`No more than ${most} can be chosen`);
    chosen = next;
    draw();
    onpick(chosen.map((c) => c.value), chosen);
    return undefined;
  }

  function choose(one) {
    if (many) {
      toggle(one);
      input.value = "";
      if (shown) find("");
      return;
    }
    shown?.close();
    if (!has(one)) pick(one);
    else draw();
  }

  async function pick(one) {
    const before = chosen;
    chosen = one;
    draw();
    if (await onpick(one?.value ?? null, one) === false) { chosen = before; draw(); }
  }

  input.addEventListener("click", () => { if (!many) input.select(); open(); });
  box.addEventListener("click", (event) => { if (event.target === box || event.target.closest(".icon-down")) { input.focus(); open(); } });
  input.addEventListener("input", () => { open(input.value); findSoon(input.value); });
  input.addEventListener("blur", () => { shown?.close(); if (!many) draw(); else input.value = ""; });
  input.addEventListener("keydown", (event) => {
    switch (event.key) {
      case "ArrowDown": shown ? move(active + 1) : open(); break;
      case "ArrowUp": shown ? move(active - 1) : open(); break;
      case "Home": if (!shown) return; move(0); break;
      case "End": if (!shown) return; move(found.length - 1); break;
      case "Enter": if (shown && found[active]) choose(found[active]); else if (!shown) open(); break;
      case "Escape": if (!shown) return; shown.close(); event.stopPropagation(); break;
      case "Backspace": if (many && !input.value && chosen.length) toggle(chosen.at(-1)); return;
      default: return;
    }
    event.preventDefault();
  });

  draw();
  return {
    node: box,
    input,
    sync(value) {
      if (shown) return;
      chosen = value;
      draw();
    },
    busy(on) { box.classList.toggle("busy", on); input.setAttribute("aria-busy", String(on)); },
  };
}

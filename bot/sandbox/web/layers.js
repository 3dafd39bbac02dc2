// What lies over the page: menus at an element, and small dialogs that ask.

import { button, dialogOnTop, h, newId, trap } from "./dom.js";

const layers = document.getElementById("layers");
let menu = null; // { close }

export function closeMenu() {
  menu?.close();
  menu = null;
}

// A list whose field was drawn anew belongs to nothing any more.
export const closeOrphan = () => menu && !menu.anchor.isConnected && !menu.box.contains(document.activeElement) && closeMenu();

document.addEventListener("pointerdown", (event) => {
  if (menu && !menu.box.contains(event.target) && !menu.anchor.contains(event.target)) closeMenu();
}, true);
addEventListener("resize", closeMenu);

// Puts `box` under `anchor`, or over it where there is no room below.
export function place(box, anchor, { wide = true } = {}) {
  const at = anchor.getBoundingClientRect();
  if (wide) box.style.minWidth = `${Math.min(at.width, innerWidth - 16)}px`;
  box.style.maxWidth = `${Math.min(Math.max(at.width, 340), innerWidth - 16)}px`;
  const below = innerHeight - at.bottom - 12, above = at.top - 12;
  const up = below < Math.min(260, box.scrollHeight) && above > below;
  box.style.maxHeight = `${Math.min(320, up ? above : below)}px`;
  const width = box.offsetWidth;
  box.style.left = `${Math.max(8, Math.min(at.left, innerWidth - width - 8))}px`;
  box.style.top = up ? "" : `${at.bottom + 4}px`;
  box.style.bottom = up ? `${innerHeight - at.top + 4}px` : "";
}

export function openMenu(anchor, box, { wide = true, onclose } = {}) {
  closeMenu();
  layers.append(box);
  place(box, anchor, { wide });
  const mine = { box, anchor, close() { box.remove(); anchor.setAttribute("aria-expanded", "false"); onclose?.(); } };
  menu = mine;
  anchor.setAttribute("aria-expanded", "true");
  return { close: () => { if (menu === mine) closeMenu(); }, place: () => place(box, anchor, { wide }) };
}

// A menu of things to do: [{ label, hint, act, danger }].
export function actionsMenu(anchor, items, label) {
  const close = () => { shown.close(); (anchor.isConnected ? anchor : dialogOnTop())?.focus(); };
  const box = h("div", { class: "menu", role: "menu", "aria-label": label },
    items.map((item) => button([h("span", {}, item.label), item.hint && h("small", {}, item.hint)], () => { close(); item.act(); },
      { role: "menuitem", class: `menu-item ${item.danger ? "danger" : ""}` })));
  box.addEventListener("keydown", (event) => {
    const stops = [...box.querySelectorAll("button")];
    const here = stops.indexOf(document.activeElement);
    const to = { ArrowDown: here + 1, ArrowUp: here - 1, Home: 0, End: stops.length - 1 }[event.key];
    if (to !== undefined) { stops[(to + stops.length) % stops.length]?.focus(); event.preventDefault(); }
    if (event.key === "Escape" || event.key === "Tab") { event.preventDefault(); event.stopPropagation(); close(); }
  });
  const shown = openMenu(anchor, box, { wide: false });
  box.querySelector("button")?.focus();
}

// Asks; resolves to whether it was confirmed.
export function confirmed({ title, text, confirm, deny, style }) {
  return new Promise((resolve) => {
    const before = document.activeElement;
    const name = newId("title");
    const done = (answer) => {
      veil.remove();
      (before.isConnected ? before : dialogOnTop())?.focus();
      resolve(answer);
    };
    const yes = button(confirm, () => done(true), { class: style === "danger" ? "danger solid" : "primary" });
    const box = h("div", { class: "dialog", role: "alertdialog", "aria-modal": "true", "aria-labelledby": name, tabindex: "-1" },
      h("h2", { id: name }, title), h("div", { class: "dialog-text" }, text),
      h("div", { class: "dialog-foot" }, button(deny, () => done(false)), yes));
    const veil = h("div", { class: "veil over", onpointerdown: (e) => e.target === veil && done(false) }, box);
    veil.addEventListener("keydown", (event) => {
      if (event.key === "Escape") { event.stopPropagation(); done(false); }
    });
    trap(box);
    layers.append(veil);
    yes.focus();
  });
}

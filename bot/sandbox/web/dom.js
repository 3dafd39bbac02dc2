// Making and keeping elements. Nothing here takes HTML: text is always text.

export function h(tag, props = {}, ...children) {
  const node = tag === "svg" || tag === "path" || tag === "circle" || tag === "rect" || tag === "g"
    || tag === "text" || tag === "line" || tag === "title" && props.svg
    ? document.createElementNS("http://www.w3.org/2000/svg", tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false || name === "svg") continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "class") node.setAttribute("class", value);
    else if (name === "value" && "value" in node) node.value = value;
    else if (name === "checked") node.checked = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(9).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

let numbers = 0;
export const newId = (what) => `${what}-${++numbers}`;

const PATHS = {
  close: "M6 6l12 12M18 6L6 18",
  back: "M15 5l-7 7 7 7",
  down: "M6 9l6 6 6-6",
  right: "M9 6l6 6-6 6",
  more: "M5 12h.01M12 12h.01M19 12h.01",
  send: "M4 12l16-8-5 16-3.5-6.5L4 12z",
  plus: "M12 5v14M5 12h14",
  hash: "M9 4L7 20M17 4l-2 16M4.5 9h16M3.5 15h16",
  lock: "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3",
  clock: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM12 7.5V12l3 2",
  tools: "M5 7h14M5 12h14M5 17h14M9 5v4M15 10v4M8 15v4",
  reply: "M4 6h16v10H11l-4 4v-4H4z",
  smile: "M12 3a9 9 0 1 0 0 18 9 9 0 0 0 0-18zM8.5 14.5c1.7 2.3 5.3 2.3 7 0M9 9.5h.01M15 9.5h.01",
  search: "M10.5 4a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13zM15.5 15.5L20 20",
  window: "M14 4h6v6M20 4l-9 9M18 14v6H4V6h6",
  bolt: "M13 3L5 14h6l-1 7 8-11h-6z",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13",
  up: "M8 12V5m0 0L5 8m3-3 3 3",
  sun: "M12 8a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM12 2v3M12 19v3M2 12h3M19 12h3M5 5l2 2M17 17l2 2M5 19l2-2M17 7l2-2",
  people: "M9 5a3.5 3.5 0 1 0 0 7 3.5 3.5 0 0 0 0-7zM3 20c0-4 2.5-6 6-6s6 2 6 6M16 5.5a3.2 3.2 0 0 1 0 6.2M17.5 14.3c2.2.7 3.5 2.6 3.5 5.7",
  check: "M5 12.5l4.5 4.5L19 7.5",
  warn: "M12 4l9 16H3zM12 10v4.5M12 17.5h.01",
  key: "M8 12a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM11 13l9-9M16 8l3 3",
};

export const icon = (name) =>
  h("svg", { viewBox: "0 0 24 24", class: `icon icon-${name}`, "aria-hidden": "true" },
    h("path", { d: PATHS[name] }));

export function button(label, onclick, props = {}, ...more) {
  return h("button", { type: "button", onclick, ...props }, label, ...more);
}

export function iconButton(name, label, onclick, props = {}) {
  return button(icon(name), onclick, { "aria-label": label, title: label, ...props,
    class: `plain ${props.class ?? ""}` });
}

// Notes what has the focus in `box`. What it returns is called when the box was drawn anew: it gives
// the focus back to the same element, or to what does the same there (a block that was sent anew has
// another id), with the caret where it was, and tells whether there is one.
export function keepFocus(box) {
  const here = document.activeElement;
  if (here === box || !box.contains(here)) return () => true;
  const { focus, action } = here.dataset, value = here.getAttribute("value"), { selectionStart: from, selectionEnd: to } = here;
  const alike = (root) => [...root.querySelectorAll("[data-action]")].filter((one) => one.dataset.action === action && one.getAttribute("value") === value);
  const item = itemOf(box, here)?._key, nth = alike(box).indexOf(here);
  return () => {
    const others = action ? alike(box) : [];
    const now = here.isConnected ? here
      : (focus && box.querySelector(`[data-focus="${CSS.escape(focus)}"]`)) || (item && others.find((one) => itemOf(box, one)._key === item)) || others[nth] || others[0];
    if (now && now !== document.activeElement) now.focus({ preventScroll: true });
    if (now && now !== here && Number.isInteger(from)) now.setSelectionRange?.(from, to);
    return Boolean(now);
  };
}
const itemOf = (box, node) => [...box.children].find((one) => one.contains(node));

// Shows `items` as children of `box`, keeping those whose print has not changed.
export function keyed(box, items, { key, print, make }) {
  const again = keepFocus(box);
  const old = new Map([...box.children].map((node) => [node._key, node]));
  let at = box.firstChild;
  for (const item of items) {
    const name = key(item), now = print(item);
    const was = old.get(name);
    let node = was;
    if (!was || was._print !== now) {
      node = make(item, was);
      node._key = name;
      node._print = now;
      if (was && was !== node) {
        if (was === at) at = at.nextSibling;
        was.remove();
      }
    }
    old.delete(name);
    if (node === at) at = at.nextSibling;
    else box.insertBefore(node, at);
  }
  for (const node of old.values()) node.remove();
  again();
}

// Keeps Tab within `box`, as a dialog does.
export function trap(box) {
  box.addEventListener("keydown", (event) => {
    if (event.key !== "Tab") return;
    const stops = [...box.querySelectorAll("button, input, textarea, select, summary, a[href], [tabindex='0']")]
      .filter((one) => !one.disabled && one.tabIndex >= 0 && one.offsetParent !== null);
    const first = stops[0], last = stops.at(-1), here = document.activeElement;
    const onDialog = here === box || here.matches("[aria-modal=true]");
    const to = event.shiftKey ? (onDialog || here === first) && last : (onDialog || here === last) && first;
    if (!to) return;
    to.focus();
    event.preventDefault();
  });
}

// The dialog on top, which the keys belong to.
export const dialogOnTop = () => [...document.querySelectorAll("[aria-modal=true]")].filter((one) => one.checkVisibility()).at(-1);

// What had the focus may be gone, or be of no use any more: then nothing has it, and no dialog would hear these keys.
document.addEventListener("keydown", (event) => {
  const dialog = event.isTrusted && document.activeElement === document.body && ["Tab", "Escape"].includes(event.key) && dialogOnTop();
  if (!dialog) return;
  event.preventDefault();
  dialog.focus();
  dialog.dispatchEvent(new KeyboardEvent("keydown", { key: event.key, shiftKey: event.shiftKey, bubbles: true, cancelable: true }));
});

// Arrow keys walk along a row of tabs or a list of buttons.
export function arrows(box, selector, { across = false } = {}) {
  const back = across ? "ArrowLeft" : "ArrowUp", on = across ? "ArrowRight" : "ArrowDown";
  box.addEventListener("keydown", (event) => {
    const stops = [...box.querySelectorAll(selector)].filter((one) => one.offsetParent !== null);
    const here = stops.indexOf(document.activeElement);
    const to = { [back]: here - 1, [on]: here + 1, Home: 0, End: stops.length - 1 }[event.key];
    if (here < 0 || to === undefined) return;
    event.preventDefault();
    stops[(to + stops.length) % stops.length]?.focus();
  });
}

const notes = document.getElementById("notes");
export function note(text, kind = "") {
  const shown = h("div", { class: `note ${kind}` }, text,
    iconButton("close", "Dismiss", () => shown.remove()));
  notes.append(shown);
  setTimeout(() => shown.remove(), 8000);
}

// `flush` runs what waits at once, and answers when nothing is under way any more.
export function debounced(run, wait) {
  let timer = 0, last = null, running;
  const go = () => {
    clearTimeout(timer);
    const args = last;
    last = null;
    running = Promise.all([running?.catch(() => {}), run(...args)]);
  };
  const later = (...args) => {
    last = args;
    clearTimeout(timer);
    timer = setTimeout(go, wait);
  };
  later.flush = () => {
    if (last) go();
    return running;
  };
  return later;
}

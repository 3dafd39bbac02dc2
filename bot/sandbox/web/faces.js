// People as pictures.

import { h, icon } from "./dom.js";
import { isApp, state } from "./live.js";

const hue = (id) => [...id].reduce((sum, letter) => (sum * 31 + letter.charCodeAt(0)) % 360, 7);
const initials = (name) => {
  const words = name.replace(/[^\p{L}\p{N}\s'-]/gu, "").trim().split(/\s+/);
  return (words.length > 1 ? [...words[0]][0] + [...words.at(-1)][0] : [...(words[0] ?? "?")].slice(0, words[0]?.match(/^[\p{Script=Latin}]/u) ? 2 : 1).join("")).toUpperCase();
};

export function face(id, size = "") {
  if (isApp(id)) return h("span", { class: `face app ${size}`, "aria-hidden": "true" }, icon("key"));
  const one = state.people.get(id);
  return h("span", { class: `face ${size}`, style: `--hue:${hue(id)}`, "aria-hidden": "true" }, one?.is_bot ? "🤖" : initials(one?.real_name ?? id));
}

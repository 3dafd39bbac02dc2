// Choosing who one is: a page at first, a dialog later.

import { arrows, h, icon, iconButton, trap } from "./dom.js";
import { face } from "./faces.js";
import { state } from "./live.js";

export class Chooser {
  constructor({ become, addressOf }) {
    this.become = become;
    this.addressOf = addressOf;
  }

  people(query) {
    const wanted = query.trim().toLowerCase();
    return [...state.people.values()].filter((one) => !one.is_bot && `${one.real_name} ${one.name} ${one.title} ${one.email}`.toLowerCase().includes(wanted));
  }

  list(done) {
    const rows = h("div", { class: "people", role: "list" });
    const row = (one, does) => h("div", { role: "listitem", class: "person-row" },
      h("a", { href: this.addressOf(one.id), class: `person ${one.id === state.me ? "here" : ""}`, "aria-disabled": one.deleted ? "true" : null,
        onclick: (event) => { if (event.metaKey || event.ctrlKey) return; event.preventDefault(); if (!one.deleted) { done(); this.become(one.id); } } },
      face(one.id), h("span", { class: "person-text" }, h("strong", {}, one.real_name), h("small", {}, does ?? one.title)),
      one.deleted && h("span", { class: "badge" }, "has left"), one.is_restricted && h("span", { class: "badge" }, "guest"), one.is_stranger && h("span", { class: "badge" }, "other company")),
      !one.deleted && h("a", { href: this.addressOf(one.id), target: "_blank", class: "other-window", title: "In another window", "aria-label": `${one.real_name} in another window` }, icon("window")));
    const show = () => {
      const found = this.people(search.value);
      const guide = search.value ? [] : (state.company.guide ?? []);
      rows.replaceChildren(
        ...(guide.length ? [h("h2", {}, "Try it with two windows"), ...guide.map((one) => row(state.people.get(one.who), one.does)), h("h2", {}, "Everybody")] : []),
        ...found.map((one) => row(one)), ...(found.length ? [] : [h("p", { class: "empty" }, "Nobody is called that.")]));
    };
    const search = h("input", { type: "search", placeholder: "Search by name or job", "aria-label": "Search the company", autocomplete: "off",
      oninput: show, onkeydown: (event) => {
        if (event.key === "Enter") rows.querySelector("a.person")?.click();
        if (event.key === "ArrowDown") { event.preventDefault(); rows.querySelector("a.person")?.focus(); }
      } });
    arrows(rows, "a.person");
    show();
    return { search, rows, show };
  }

  page(box) {
    if (this.shown?.isConnected) return;
    const { search, rows } = this.list(() => {});
    this.shown = h("div", { class: "choose" },
      h("header", {}, h("span", { class: "face app large", "aria-hidden": "true" }, icon("key")), h("div", {}, h("h1", {}, `${state.company.app.name} sandbox`),
        h("p", {}, `Be anybody at ${state.company.team.name}. Each window is one person; open a second one to answer yourself.`))),
      search, rows);
    box.replaceChildren(this.shown);
    search.focus();
  }

  open() {
    const before = document.activeElement;
    const close = () => { veil.remove(); before?.focus?.(); };
    const { search, rows } = this.list(close);
    const box = h("div", { class: "dialog choose", role: "dialog", "aria-modal": "true", "aria-label": "Be somebody else", tabindex: "-1" },
      h("header", {}, h("h2", {}, "Be somebody else"), iconButton("close", "Close", close)), search, rows);
    const veil = h("div", { class: "veil", onpointerdown: (event) => event.target === veil && close() }, box);
    veil.addEventListener("keydown", (event) => event.key === "Escape" && close());
    trap(box);
    document.getElementById("layers").append(veil);
    search.focus();
  }
}

// data_visualization blocks, drawn; the numbers stand beside the picture for who cannot see it.

import { h } from "./dom.js";

const WIDE = 480, TALL = 220, LEFT = 44, BOTTOM = 26, TOP = 10;
const tint = (index) => `var(--chart-${index % 6})`;

function legend(names) {
  return h("div", { class: "legend" }, names.map((name, index) => h("span", {}, h("i", { style: `background:${tint(index)}` }), name)));
}

function asTable(head, rows) {
  return h("table", { class: "grid unseen" }, h("thead", {}, h("tr", {}, head.map((cell) => h("th", {}, cell)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell) => h("td", {}, String(cell)))))));
}

function pie({ segments }) {
  const total = segments.reduce((sum, one) => sum + one.value, 0) || 1;
  let at = -Math.PI / 2;
  const slices = segments.map((one, index) => {
    const turn = (one.value / total) * 2 * Math.PI;
    const point = (angle) => `${110 + 100 * Math.cos(angle)} ${110 + 100 * Math.sin(angle)}`;
    const path = turn > 2 * Math.PI - 0.001
      ? h("circle", { cx: 110, cy: 110, r: 100, fill: tint(index) })
      : h("path", { d: `M110 110L${point(at)}A100 100 0 ${turn > Math.PI ? 1 : 0} 1 ${point(at + turn)}Z`, fill: tint(index) });
    at += turn;
    return path;
  });
  return [
    h("svg", { viewBox: "0 0 220 220", class: "chart round", "aria-hidden": "true" }, slices),
    legend(segments.map((one) => `${one.label} (${Math.round((100 * one.value) / total)} %)`)),
    asTable(["", ""], segments.map((one) => [one.label, one.value])),
  ];
}

function plot(kind, { series, axis_config: axis }) {
  const values = series.flatMap((one) => one.data.map((point) => point.value));
  const low = Math.min(0, ...values), high = Math.max(...values, low + 1);
  const y = (value) => TOP + (TALL - TOP - BOTTOM) * (1 - (value - low) / (high - low));
  const step = (WIDE - LEFT) / axis.categories.length;
  const x = (index) => LEFT + step * (index + 0.5);
  const marks = [low, (low + high) / 2, high].map((value) => h("g", {},
    h("line", { x1: LEFT, x2: WIDE, y1: y(value), y2: y(value), class: "axis" }),
    h("text", { x: LEFT - 6, y: y(value) + 4, "text-anchor": "end" }, Intl.NumberFormat("en", { notation: "compact" }).format(value))));
  const every = Math.ceil(axis.categories.length / 8);
  const names = axis.categories.map((name, index) => index % every ? null : h("text", { x: x(index), y: TALL - 8, "text-anchor": "middle" }, name));
  const drawn = series.map((one, n) => {
    if (kind === "bar") {
      const width = (step * 0.7) / series.length;
      return one.data.map((point, index) => h("rect", { x: x(index) - (step * 0.7) / 2 + n * width, width: Math.max(1, width - 1), rx: 2,
        y: Math.min(y(point.value), y(0)), height: Math.abs(y(point.value) - y(0)), fill: tint(n) }));
    }
    const line = one.data.map((point, index) => `${index ? "L" : "M"}${x(index)} ${y(point.value)}`).join("");
    const under = kind === "area" && h("path", { d: `${line}L${x(one.data.length - 1)} ${y(low)}L${x(0)} ${y(low)}Z`, fill: tint(n), opacity: 0.25 });
    return [under, h("path", { d: line, fill: "none", stroke: tint(n), "stroke-width": 2.5, "stroke-linejoin": "round" })];
  });
  return [
    axis.y_label && h("div", { class: "axis-label" }, axis.y_label),
    h("svg", { viewBox: `0 0 ${WIDE} ${TALL}`, class: "chart", "aria-hidden": "true" }, marks, names, drawn),
    axis.x_label && h("div", { class: "axis-label middle" }, axis.x_label),
    legend(series.map((one) => one.name)),
    asTable(["", ...axis.categories], series.map((one) => [one.name, ...one.data.map((point) => point.value)])),
  ];
}

export function chart({ title, chart: what }) {
  return h("figure", { class: "visual" }, h("figcaption", {}, title), what.type === "pie" ? pie(what) : plot(what.type, what));
}

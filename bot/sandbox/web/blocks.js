// Block Kit as elements. `draw(blocks, ctx)` fills a box and keeps what has not changed, so that
// nobody loses what they are typing when something else on the sheet changes.

import { button, h, icon, keepFocus, keyed, newId } from "./dom.js";
import { chart } from "./charts.js";
import { field } from "./fields.js";
import { closeOrphan } from "./layers.js";
import { link, markdown, plain, rich, textOf } from "./text.js";

function picture(source, props = {}) {
  const ours = source.slack_file?.id ?? source.slack_file?.url?.match(/-?(F[A-Z0-9]+)\//)?.[1];
  const image = h("img", { src: ours ? `/sandbox/files/${ours}` : source.image_url, alt: plain(source.alt_text ?? ""), loading: "lazy", referrerpolicy: "no-referrer", ...props });
  image.addEventListener("error", () => image.replaceWith(h("span", { class: "broken", role: "img", "aria-label": plain(source.alt_text ?? "") }, `🖼 ${plain(source.alt_text ?? "")}`)), { once: true });
  return image;
}

function placed(element, block, ctx, fields, more = {}) {
  if (element.type === "image") return picture(element, { class: "accessory-image" });
  const made = field(element, block, { ...ctx, ...more });
  fields.push(made);
  return made.node;
}

const DRAWN = {
  section(block, ctx, fields) {
    const text = block.text && h("div", { class: "text" }, textOf(block.text));
    const facts = block.fields && h("div", { class: "fields" }, block.fields.map((one) => h("div", { class: "text" }, textOf(one))));
    const beside = block.accessory && h("div", { class: "accessory" }, placed(block.accessory, block, ctx, fields,
      { label: block.accessory.type === "button" ? undefined : plain(block.text?.text ?? "").slice(0, 80) || undefined }));
    return h("div", { class: "section" }, h("div", { class: "section-main" }, text, facts), beside);
  },
  header: (block) => h("h3", { class: "header" }, plain(block.text.text)),
  context: (block) => h("div", { class: "context" }, block.elements.map((one) =>
    one.type === "image" ? picture(one) : h("span", {}, textOf(one)))),
  divider: () => h("hr"),
  actions: (block, ctx, fields) => h("div", { class: "actions" }, block.elements.map((one) => placed(one, block, ctx, fields))),
  context_actions: (block, ctx, fields) => h("div", { class: "actions quiet" }, block.elements.map((one) => placed(one, block, ctx, fields))),
  input(block, ctx, fields) {
    const name = plain(block.label.text), about = newId("about");
    const trouble = h("div", { class: "trouble", role: "alert", hidden: true });
    const element = placed(block.element, block, ctx, fields, { label: name, describedby: about });
    const made = fields.at(-1);
    const id = newId("field");
    if (made?.input && !["radio", "checkbox"].includes(made.input.type)) made.input.id = id;
    const node = h("div", { class: "input" },
      h("label", { for: id, class: "label" }, name, block.optional && h("span", { class: "optional" }, " (optional)")),
      element, trouble, h("div", { class: "hint", id: about }, block.hint && textOf(block.hint)));
    node.complain = (text) => {
      trouble.hidden = !text;
      if (trouble.textContent !== (text ?? "")) trouble.replaceChildren(text ? icon("warn") : "", text ?? "");
      node.classList.toggle("wrong", Boolean(text));
      made?.input?.setAttribute("aria-invalid", String(Boolean(text)));
    };
    return node;
  },
  image: (block) => h("figure", { class: "image" }, block.title && h("figcaption", {}, plain(block.title.text)), picture(block)),
  rich_text: (block) => rich(block),
  markdown: (block) => h("div", { class: "markdown" }, markdown(block.text)),
  table(block) {
    const aligned = (index) => block.column_settings?.[index]?.align;
    const kind = (one, index) => [one.type === "raw_number" && "number", block.column_settings?.[index]?.is_wrapped && "wrapped"].filter(Boolean).join(" ");
    const cell = (one) => (one.type === "rich_text" ? rich(one) : plain(one.text));
    const row = (cells, tag) => h("tr", {}, cells.map((one, index) =>
      h(tag, { style: aligned(index) ? `text-align:${aligned(index)}` : null, class: kind(one, index) || null }, cell(one))));
    const [head, ...rows] = block.rows;
    return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Table" },
      h("table", { class: "grid" }, h("thead", {}, row(head, "th")), h("tbody", {}, rows.map((one) => row(one, "td")))));
  },
  data_table: dataTable,
  data_visualization: (block) => chart(block),
  task_card: (block) => task(block),
  plan: (block) => h("div", { class: "plan" }, h("div", { class: "plan-title" }, plain(block.title)), (block.tasks ?? []).map(task)),
  card: (block, ctx, fields) => h("article", { class: "card" },
    block.hero_image && picture(block.hero_image, { class: "hero" }),
    h("div", { class: "card-body" }, block.icon && picture(block.icon, { class: "card-icon" }),
      h("div", {}, block.title && h("strong", {}, textOf(block.title)), block.subtitle && h("small", {}, textOf(block.subtitle)))),
    block.body && h("div", { class: "text" }, textOf(block.body)),
    block.actions && h("div", { class: "actions" }, block.actions.map((one) => placed(one, block, ctx, fields)))),
  carousel: (block, ctx, fields) => h("div", { class: "carousel", tabindex: "0", role: "region", "aria-label": "Cards" },
    block.elements.map((one) => DRAWN.card(one, ctx, fields))),
  container(block, ctx, fields) {
    const name = [block.icon && picture(block.icon, { class: "card-icon" }),
      h("strong", {}, block.rich_text_title ? rich(block.rich_text_title) : plain(block.title.text)), block.subtitle && h("small", {}, textOf(block.subtitle))];
    const inside = h("div", { class: "container-body" }, block.child_blocks.map((one) => one_block(one, ctx, fields)));
    return block.is_collapsible
      ? h("details", { class: `container ${block.width ?? ""}`, open: !block.default_collapsed }, h("summary", {}, name), inside)
      : h("section", { class: `container ${block.width ?? ""}` }, h("div", { class: block.has_header_divider ? "container-head line" : "container-head" }, name), inside);
  },
  video: (block) => h("figure", { class: "video" },
    h("figcaption", {}, h("strong", {}, block.title_url ? link(block.title_url, plain(block.title.text)) : plain(block.title.text)),
      block.author_name && h("small", {}, block.author_name), block.description && h("div", {}, plain(block.description.text))),
    h("a", { href: block.video_url, target: "_blank", rel: "noopener noreferrer", "aria-label": `Play ${plain(block.title.text)}` },
      picture({ image_url: block.thumbnail_url, alt_text: block.alt_text }))),
  alert: (block) => h("div", { class: `alert ${block.level ?? "default"}`, role: block.level === "error" ? "alert" : "note" }, h("div", {}, textOf(block.text))),
};

const STATUS = { pending: "Pending", in_progress: "In progress", complete: "Complete", error: "Failed" };
const task = (one) => h("details", { class: `task ${one.status}` },
  h("summary", {}, h("span", { class: "task-mark", role: "img", "aria-label": STATUS[one.status] }), plain(one.title)),
  one.details && rich(one.details), one.output && rich(one.output),
  one.sources?.length && h("div", { class: "sources" }, one.sources.map((source) => link(source.url, source.text))));

function dataTable(block) {
  const [head, ...rows] = block.rows;
  const size = block.page_size ?? 20;
  const cell = (one) => (one.type === "rich_text" ? rich(one) : plain(one.text));
  const worth = (one) => (one.type === "raw_number" ? one.value : one.type === "rich_text" ? rich(one).textContent : one.text);
  let page = 0, by = -1, down = false;
  const body = h("tbody"), foot = h("div", { class: "pages" });
  const heads = head.map((one, index) => h("th", { scope: "col", "aria-sort": "none" }, button([cell(one), h("span", { class: "sorted", "aria-hidden": "true" })], () => {
    down = by === index && !down;
    by = index;
    page = 0;
    show();
  }, { class: "plain" })));
  function show() {
    const compare = (a, b) => { const [x, y] = [worth(a[by]), worth(b[by])]; return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y)); };
    const sorted = by < 0 ? rows : [...rows].sort((a, b) => compare(a, b) * (down ? -1 : 1));
    const last = Math.max(0, Math.ceil(rows.length / size) - 1);
    heads.forEach((one, index) => {
      one.setAttribute("aria-sort", index !== by ? "none" : down ? "descending" : "ascending");
      one.querySelector(".sorted").textContent = index !== by ? "" : down ? " ↓" : " ↑";
    });
    body.replaceChildren(...sorted.slice(page * size, (page + 1) * size).map((row) => h("tr", {}, row.map((one, index) =>
      h(index === block.row_header_column_index ? "th" : "td", { class: one.type === "raw_number" ? "number" : null }, cell(one))))));
    foot.replaceChildren(...(last ? [
      button("Previous", () => { page--; show(); }, { disabled: page === 0 }), `${page + 1} of ${last + 1}`,
      button("Next", () => { page++; show(); }, { disabled: page === last })] : []));
  }
  show();
  return h("div", {}, h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": block.caption },
    h("table", { class: "grid" }, h("caption", {}, block.caption), h("thead", {}, h("tr", {}, heads)), body)), foot);
}

function one_block(block, ctx, fields) {
  const draw = DRAWN[block.type];
  return draw ? draw(block, ctx, fields) : h("div", { class: "unknown" }, `This block cannot be shown: ${block.type}`);
}

// Shows the blocks in `box`. `values` is Slack's state; `errors` are sentences by block_id.
export function draw(box, blocks, ctx, values = {}, errors = {}) {
  const again = keepFocus(box);
  keyed(box, blocks, {
    key: (block) => block.block_id,
    print: (block) => JSON.stringify(block),
    make(block, was) {
      const fields = [];
      const made = one_block(block, ctx, fields);
      for (const before of was?.fields ?? []) fields.find((one) => one.key?.[1] === before.key?.[1])?.resume?.(before.draft?.() ?? null);
      const node = h("div", { class: `block block-${block.type}` }, made);
      node.fields = fields;
      node.complain = made.complain;
      return node;
    },
  });
  for (const node of box.children) {
    for (const one of node.fields) one.sync?.(values[one.key[0]]?.[one.key[1]]);
    node.complain?.(errors[node._key] ?? null);
  }
  closeOrphan();
  again();
}

// What was typed and not yet kept is kept now.
export const flush = (box) =>
  Promise.all([...box.querySelectorAll(".block")].flatMap((node) => node.fields ?? []).map((one) => one.flush?.()));
addEventListener("pagehide", () => flush(document));


// Answers with every text in sight that stands out too little from its ground: less than 4.5 to 1,
// or 3 to 1 where it is large (WCAG 2.2, 1.4.3). What cannot be used is left out, and pictures.
() => {
  const parse = (text) => {
    const [r, g, b, a = 1] = text.match(/[\d.]+/g).map(Number);
    return [r, g, b, a];
  };
  const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3])).concat(1);
  const ground = (node) => {
    if (!node) return [255, 255, 255, 1];
    const own = parse(getComputedStyle(node).backgroundColor);
    return own[3] === 1 ? own : over(own, ground(node.parentElement));
  };
  const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
  const light = ([r, g, b]) => 0.2126 * linear(r / 255) + 0.7152 * linear(g / 255) + 0.0722 * linear(b / 255);
  const dimmed = (node) => (node ? Number(getComputedStyle(node).opacity) * dimmed(node.parentElement) : 1);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const says = [...node.childNodes].some((one) => one.nodeType === Node.TEXT_NODE && one.data.trim());
    if (!says || !node.checkVisibility({ visibilityProperty: true })) continue;
    if (node.closest(":disabled, svg, .face, noscript, .unseen")) continue;
    const style = getComputedStyle(node), back = ground(node);
    const ink = parse(style.color);
    ink[3] *= dimmed(node);
    const [less, more] = [light(over(ink, back)), light(back)].sort((a, b) => a - b);
    const ratio = (more + 0.05) / (less + 0.05), size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${node.className} ${node.textContent.slice(0, 40)}`);
  }
  return found;
}

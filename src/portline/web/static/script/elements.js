// How elements are made. Text of the server only ever becomes text nodes: there is no way here to
// write markup.

const SVG = "http://www.w3.org/2000/svg";

/**
 * Make an element. `props`: `class`, `text`, `on` ({event: listener}), `data`; all others are
 * attributes: true writes an empty one, false, null and undefined none. Children are nodes, texts,
 * or null for nothing.
 */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [key, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (key === "class") node.className = value;
    else if (key === "text") node.textContent = value;
    else if (key === "on")
      for (const [event, listener] of Object.entries(value)) node.addEventListener(event, listener);
    else if (key === "data") Object.assign(node.dataset, value);
    else node.setAttribute(key, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return node;
}

/** Nodes of a text in which `backticks` mark what is typed. */
export function prose(text) {
  return text.split("`").map((part, at) => (at % 2 ? el("code", { text: part }) : part));
}

/** Write a text where it is another one than before, so that nothing is laid out in vain. */
export function say(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** Write a text with `code` in it where it is another one than before. */
export function sayProse(node, text) {
  if (node.textContent !== text.replaceAll("`", "")) node.replaceChildren(...prose(text));
}

/** Set an attribute where it is another one; null takes it away. */
export function mark(node, name, value) {
  if (value === null || value === false) {
    if (node.hasAttribute(name)) node.removeAttribute(name);
  } else if (node.getAttribute(name) !== String(value)) node.setAttribute(name, value);
}

/** Show or hide. */
export function show(node, visible) {
  if (node.hidden === visible) node.hidden = !visible;
}

const PATHS = {
  plus: "M8 3v10M3 8h10",
  sun: "M8 1.5v1.6M8 12.9v1.6M1.5 8h1.6M12.9 8h1.6M3.4 3.4l1.1 1.1M11.5 11.5l1.1 1.1M3.4 12.6l1.1-1.1M11.5 4.5l1.1-1.1M8 5.2a2.8 2.8 0 1 0 0 5.6 2.8 2.8 0 0 0 0-5.6z",
  moon: "M13 9.8A5.6 5.6 0 0 1 6.2 3 5.6 5.6 0 1 0 13 9.8z",
  leave: "M6.5 2.5h-4v11h4M10 5l3 3-3 3M13 8H6",
  down: "m4 6 4 4 4-4",
  close: "m4 4 8 8M12 4l-8 8",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.2v9.6L12.5 8z",
  save: "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13h10",
  search: "M7 2.8a4.2 4.2 0 1 0 0 8.4 4.2 4.2 0 0 0 0-8.4zM10.2 10.2 13.4 13.4",
};

/** A line drawing of 16 by 16, for the eye only: whatever it is in has words. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 16 16");
  svg.setAttribute("aria-hidden", "true");
  svg.append(line(PATHS[name]));
  return svg;
}

function line(d) {
  const path = document.createElementNS(SVG, "path");
  for (const [key, value] of Object.entries({
    d,
    fill: "none",
    stroke: "currentColor",
    "stroke-width": "1.6",
    "stroke-linecap": "round",
    "stroke-linejoin": "round",
  }))
    path.setAttribute(key, value);
  return path;
}

/** A cable between a plug and a port: the picture of a page that has nothing to show yet. */
export function cablePicture() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 132 60");
  svg.setAttribute("aria-hidden", "true");
  svg.append(
    line("M6 18h34l-4 20a4 4 0 0 1-4 3H14a4 4 0 0 1-4-3z"),
    line("M14 26h.1M20 26h.1M26 26h.1M32 26h.1M17 33h.1M23 33h.1M29 33h.1"),
    line("M23 41v6c0 5 3 8 8 8h26c8 0 10-5 10-12V22c0-8 4-13 11-13h16"),
    line("M94 3h26a5 5 0 0 1 5 5v28a5 5 0 0 1-5 5H99a5 5 0 0 1-5-5z"),
    line("M101 12h18v9h-18zM102 30h.1M109 30h.1M116 30h.1"),
  );
  for (const path of svg.children) path.setAttribute("stroke-width", "2");
  return svg;
}

/** A button; `look` is its further classes. */
export function button(text, look, press, props = {}) {
  return el("button", { type: "button", class: `button ${look}`, on: { click: press }, ...props }, text);
}

/** A link that is followed within the page. */
export function link(href, text, look = "", props = {}) {
  return el("a", { href, class: look || null, ...props }, text);
}

/** A small switch with its word; `change(on)` is told. */
export function smallSwitch(text, checked, change) {
  return el(
    "label",
    { class: "switch small" },
    el("input", {
      type: "checkbox",
      role: "switch",
      checked,
      on: { change: (event) => change(event.target.checked) },
    }),
    text,
  );
}

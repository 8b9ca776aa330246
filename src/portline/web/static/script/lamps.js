// Signal lines as lamps: of a real port its own, of a virtual one those of its application.

import { el, mark, say } from "./elements.js";

const NAMES = ["dtr", "rts", "cts", "dsr", "dcd", "ri"];

/** The levels of a port as its status tells them; null where there are no lines, or none are known. */
export function levels(port) {
  if (!port.open || port.has_lines === false) return null;
  if (port.in_use === null || port.in_use === undefined)
    return { dtr: port.dtr, rts: port.rts, ...port.lines };
  // What a virtual port itself reads are the outputs of its application: DTR as DSR, RTS as CTS.
  return { dtr: port.lines.dsr, rts: port.lines.cts, ...(port.inputs ?? {}) };
}

/** Six lamps, and `update(levels)` for them. */
export class Lamps {
  #lamps = new Map();
  #told = "";

  constructor() {
    this.element = el("div", { class: "lamps", role: "img" });
    for (const name of NAMES) {
      const lamp = el("span", { class: "lamp", "aria-hidden": "true" }, el("i"), name.toUpperCase());
      this.#lamps.set(name, lamp);
    }
    this.update(null);
  }

  /** Show levels by name; null shows that there are none. */
  update(values) {
    const told = values
      ? NAMES.map((name) => `${name.toUpperCase()} ${values[name] ? "on" : "off"}`).join(", ")
      : "no signal lines";
    if (told === this.#told) return;
    this.#told = told;
    mark(this.element, "aria-label", told);
    if (!values) {
      this.element.classList.add("none");
      say(this.element, "–");
      return;
    }
    if (this.element.classList.contains("none")) {
      this.element.classList.remove("none");
      this.element.replaceChildren(...this.#lamps.values());
    }
    for (const [name, lamp] of this.#lamps) lamp.classList.toggle("on", Boolean(values[name]));
  }
}

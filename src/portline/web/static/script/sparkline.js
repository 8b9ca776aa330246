// A plot of the last minute, as small as a word.

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 84;
const HEIGHT = 30;
const SHOWN = 60; // samples, one each second

function path(kind) {
  const made = document.createElementNS(SVG, "path");
  made.setAttribute("class", kind);
  return made;
}

/** `element` to show, and `update(rates)` with lists as Connections keeps them. */
export class Sparkline {
  #heard = path("heard");
  #spoken = path("spoken");

  constructor() {
    this.element = document.createElementNS(SVG, "svg");
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("class", "spark");
    this.element.setAttribute("aria-hidden", "true"); // the numbers beside it say it
    this.element.append(path("floor"), this.#spoken, this.#heard);
    this.element.firstElementChild.setAttribute("d", `M0 ${HEIGHT - 0.5}H${WIDTH}`);
  }

  update({ heard, spoken }) {
    const lists = [heard.slice(-SHOWN), spoken.slice(-SHOWN)];
    const top = Math.max(1, ...lists[0], ...lists[1]);
    this.#draw(this.#heard, lists[0], top);
    this.#draw(this.#spoken, lists[1], top);
  }

  #draw(made, values, top) {
    if (values.length < 2 || values.every((value) => value === 0)) {
      made.removeAttribute("d");
      return;
    }
    const step = WIDTH / (SHOWN - 1);
    const from = WIDTH - (values.length - 1) * step;
    const points = values.map(
      (value, at) =>
        `${(from + at * step).toFixed(1)} ${(HEIGHT - 1 - (value / top) * (HEIGHT - 3)).toFixed(1)}`,
    );
    made.setAttribute("d", `M${points.join("L")}`);
  }
}

// All mistakes of a form above it, each with the way to its field; and how they are worded.

import { el, mark, prose, show } from "./elements.js";
import { label } from "./fields.js";
import { spoken } from "./wording.js";

/** What is said of these when nothing has been filled in: the words of a form, not those of a file. */
const MISSING = {
  name: "a connection needs a name",
  port: "which port? Choose one that was found, or write its path",
  virtual: "the virtual port needs a name, like ttyV0",
};

/** With a capital letter, unless it begins with a name: that of a file, an option or an address. */
export const sentence = (text) =>
  /^\S*[./:]\S/.test(text) ? text : text.slice(0, 1).toUpperCase() + text.slice(1);

/** Mistakes as they are told, in the order of `fields` by key; those of the whole come first. */
export function worded(mistakes, fields) {
  const order = ["", ...fields.keys()];
  return mistakes
    .map(({ option, text }) => {
      const isEmpty = option in MISSING && fields.get(option)?.value === null;
      return { option, text: isEmpty ? MISSING[option] : spoken(text, fields) };
    })
    .sort((one, other) => order.indexOf(one.option) - order.indexOf(other.option));
}

export class Summary {
  element = el("div", { class: "note bad summary", tabindex: "-1", hidden: true });
  #goTo;

  /** `goTo` is called with the key of an option whose field is wanted. */
  constructor(goTo) {
    this.#goTo = goTo;
  }

  get isShown() {
    return !this.element.hidden;
  }

  /** Show mistakes, of which those with a field of `fields` lead to it; none hides it. */
  tell(mistakes, fields) {
    show(this.element, mistakes.length > 0);
    const many = mistakes.length === 1 ? "One thing is not right" : `${mistakes.length} things are not right`;
    const entries = mistakes.map(({ option, text }) =>
      fields.has(option)
        ? el("li", {}, this.#way(option), ": ", prose(text))
        : el("li", {}, prose(sentence(option ? `${option}: ${text}` : text))),
    );
    this.element.replaceChildren(el("h2", { text: many }), el("ul", {}, ...entries));
  }

  #way(option) {
    const follow = (event) => {
      event.preventDefault();
      this.#goTo(option);
    };
    return el("a", { href: `#option-${option}`, on: { click: follow } }, label(option));
  }

  /** Have it seen and read. */
  focus() {
    mark(this.element, "role", "alert");
    this.element.focus();
    this.element.scrollIntoView({ block: "center" });
  }
}

// The options of the signal lines as a table: a row for each line, a column for each moment, and
// one for who may change it.

import { el, show } from "./elements.js";
import { Field, label } from "./fields.js";

const LINES = ["dtr", "rts", "cts", "dsr", "dcd", "ri"];
const COLUMNS = [
  ["connected", "While a peer is connected", (line) => `${line}-connected`],
  ["disconnected", "While nobody is", (line) => `${line}-disconnected`],
  ["allow", "The other side may set it", (line) => `allow-${line}`],
];
const KEYS = new Set(LINES.flatMap((line) => COLUMNS.map(([, , key]) => key(line))));

/** Whether an option has its place in the table. */
export const isOfTable = (option) => KEYS.has(option.key);

export class LineTable {
  fields = [];
  #cells = [];
  #reasons = el("ul", { class: "reasons", "aria-hidden": "true" }); // each field is described by its own

  constructor(options, onChange) {
    const known = new Map(options.map((option) => [option.key, option]));
    const columns = COLUMNS.filter(([, , key]) => LINES.some((line) => known.has(key(line))));
    this.element = el(
      "div",
      { class: "line-table", role: "group", "aria-label": "Signal lines" },
      el(
        "div",
        { class: "line-row heads", "aria-hidden": "true" },
        el("span"),
        ...columns.map(([, text]) => el("span", { text })),
      ),
    );
    for (const line of LINES.filter((each) => columns.some(([, , key]) => known.has(key(each))))) {
      const cells = columns.map(([, text, key]) => {
        const option = known.get(key(line));
        if (!option) return el("span", { class: "gap" });
        const field = new Field(option, onChange, { compact: true, name: `${line.toUpperCase()}: ${text}` });
        this.fields.push(field);
        this.#cells.push({ field, line: line.toUpperCase(), text });
        return el(
          "div",
          { class: "of-line" },
          el("span", { class: "cell-head", "aria-hidden": "true", text }),
          field.element,
        );
      });
      this.element.append(
        el("div", { class: "line-row" }, el("span", { class: "label", text: label(line) }), ...cells),
      );
    }
    this.element.append(this.#reasons);
  }

  /** Grey the cells of `reasons` by key; below the table each reason is said once. */
  applies(reasons) {
    const said = new Map();
    for (const { field, line, text } of this.#cells) {
      const reason = reasons[field.key] ?? "";
      field.applies(reason);
      if (!reason) continue;
      if (!said.has(reason)) said.set(reason, { lines: new Set(), texts: new Set() });
      said.get(reason).lines.add(line);
      said.get(reason).texts.add(text[0].toLowerCase() + text.slice(1));
    }
    this.#reasons.replaceChildren(
      ...[...said].map(([reason, { lines, texts }]) =>
        el("li", {}, el("b", { text: [...lines].join(", ") }), ` ${[...texts].join(", ")}: ${reason}`),
      ),
    );
    show(this.#reasons, said.size > 0);
  }
}

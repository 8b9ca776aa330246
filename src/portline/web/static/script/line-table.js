// The options of the signal lines as a table: a row for each line, a column for each moment, and
// one for who may change it.

import { el, say, show } from "./elements.js";
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
  #rows = [];

  constructor(options, onChange) {
    const known = new Map(options.map((option) => [option.key, option]));
    const columns = COLUMNS.filter(([, , key]) => LINES.some((line) => known.has(key(line))));
    const table = el("div", { class: "line-table", role: "group", "aria-label": "Signal lines" },
      el("div", { class: "line-row heads", "aria-hidden": "true" }, el("span"), ...columns.map(([, text]) => el("span", { text }))));
    for (const line of LINES) {
      const mine = [];
      const cells = columns.map(([, text, key]) => {
        const option = known.get(key(line));
        if (!option) return el("span", { class: "gap" });
        const field = new Field(option, onChange, { compact: true, name: `${line.toUpperCase()}: ${text}` });
        mine.push(field);
        return el("div", { class: "cell" }, el("span", { class: "cell-head", "aria-hidden": "true", text }), field.element);
      });
      if (!mine.length) continue;
      const reason = el("p", { class: "why-not" });
      const row = el("div", { class: "line-row" }, el("span", { class: "label", text: label(line) }), ...cells, reason);
      table.append(row);
      this.fields.push(...mine);
      this.#rows.push({ row, reason, fields: mine });
    }
    this.element = table;
  }

  /** Grey the cells of `reasons` by key, with each reason said once for a row. */
  applies(reasons) {
    for (const { row, reason, fields } of this.#rows) {
      const texts = new Set(fields.map((field) => reasons[field.key] ?? ""));
      const common = texts.size === 1 ? [...texts][0] : "";
      row.classList.toggle("off", Boolean(common));
      for (const field of fields) {
        field.applies(reasons[field.key] ?? "");
        field.element.classList.toggle("told", Boolean(common));
      }
      say(reason, common ? common[0].toUpperCase() + common.slice(1) : "");
      show(reason, Boolean(common));
    }
  }
}

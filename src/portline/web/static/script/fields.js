// The fields of the form: one for each option, by its kind of value. A kind that this page does not
// know is written as text, which the service reads as it reads a file.

import { button, el, icon, mark, prose, say, sayProse, show } from "./elements.js";
import { same, written } from "./description.js";

const ACRONYMS = {
  dtr: "DTR",
  rts: "RTS",
  cts: "CTS",
  dsr: "DSR",
  dcd: "DCD",
  ri: "RI",
  tls: "TLS",
  ca: "CA",
  crl: "CRL",
  rs485: "RS-485",
  ttl: "TTL",
  rx: "RX",
  tx: "TX",
  udp: "UDP",
  nodelay: "No delay",
};
const BAUDRATES = [300, 600, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600];
const MONOSPACED = new Set([
  "device",
  "virtual",
  "listen",
  "host",
  "proxy",
  "network",
  "delimiter",
  "file",
  "fingerprint",
  "name",
  "interface",
]);

/** What may stand in a field that has no default and has to be filled in. */
const EXAMPLES = { name: "meter", port: "/dev/ttyUSB0", virtual: "ttyV0", connect: "192.0.2.7:4001" };

/** "flow-control" -> "Flow control". */
export function label(key) {
  const words = key
    .split("-")
    .map((word) => ACRONYMS[word] ?? word)
    .join(" ");
  return words[0].toUpperCase() + words.slice(1);
}

const NUMERIC = new Set(["integer", "number", "duration", "size"]);

/** What was written, as a number where it is one and a number is meant. */
const read = (option, text) =>
  NUMERIC.has(option.value) && /^\d{1,15}(\.\d{1,9})?$/.test(text) ? Number(text) : text;

/** What a widget is: `element`, `focusable`, `get()` -> value or null, `set(value)`, `disable(flag)`. */
const WIDGETS = {
  flag(option, id, changed) {
    const box = el("input", {
      type: "checkbox",
      role: "switch",
      id,
      on: {
        change: () => {
          tell();
          changed();
        },
      },
    });
    const word = el("span", {});
    const tell = () => say(word, box.checked ? "On" : "Off");
    return {
      element: el("label", { class: "switch" }, box, word),
      focusable: box,
      get: () => box.checked,
      set(value) {
        box.checked = Boolean(value ?? option.default);
        tell();
      },
      disable(flag) {
        box.disabled = flag;
      },
    };
  },

  choice(option, id, changed) {
    const list = el(
      "select",
      { id, on: { change: changed } },
      ...option.choices.map((word) =>
        el("option", {
          value: word,
          text: word === written(option, option.default) ? `${word} (default)` : word,
        }),
      ),
    );
    return {
      element: list,
      focusable: list,
      get: () => list.value,
      set(value) {
        const word = written(option, value ?? option.default);
        if (![...list.options].some((each) => each.value === word))
          list.append(el("option", { value: word, text: word || "–" }));
        list.value = word;
      },
      disable(flag) {
        list.disabled = flag;
      },
    };
  },

  text(option, id, changed) {
    const input = line(option, id, changed);
    const suggestions =
      option.key === "baudrate"
        ? el("datalist", { id: `${id}-list` }, ...BAUDRATES.map((rate) => el("option", { value: rate })))
        : null;
    if (suggestions) input.setAttribute("list", suggestions.id);
    return {
      element: el(
        "div",
        { class: option.unit ? "with-unit" : null },
        input,
        suggestions,
        option.unit ? el("span", { class: "unit", "aria-hidden": "true", text: option.unit }) : null,
      ),
      focusable: input,
      get: () => (input.value.trim() === "" ? null : read(option, input.value.trim())),
      set(value) {
        input.value = written(option, value);
      },
      disable(flag) {
        input.disabled = flag;
      },
    };
  },

  many(option, id, changed) {
    const rows = el("div", { class: "rows" });
    const add = button([icon("plus"), "Add another"], "bare small add", () => {
      put("");
      rows.lastElementChild.firstElementChild.focus();
    });
    const inputs = () => [...rows.querySelectorAll("input")];
    function put(value) {
      const at = rows.children.length;
      const input = line(option, at ? `${id}-${at}-${Math.random().toString(36).slice(2, 7)}` : id, changed);
      input.value = value;
      if (at) {
        mark(input, "aria-label", `${label(option.key)}, ${at + 1}`);
        input.placeholder = "";
      }
      const away = button(
        icon("close"),
        "bare icon small",
        () => {
          row.remove();
          changed();
          inputs()[0].focus();
        },
        { "aria-label": `Remove ${label(option.key)} ${at + 1}`, title: "Remove" },
      );
      const row = el("div", { class: "one" }, input, at ? away : null);
      rows.append(row);
    }
    put("");
    return {
      element: el("div", { class: "many" }, rows, add),
      get focusable() {
        return inputs()[0];
      },
      get() {
        const values = inputs()
          .map((input) => input.value.trim())
          .filter(Boolean);
        return values.length > 1 ? values : (values[0] ?? null);
      },
      set(value) {
        const values = value === null || value === undefined ? [] : [value].flat();
        rows.replaceChildren();
        for (const each of values.length ? values : [""]) put(written({ ...option, many: false }, each));
      },
      disable(flag) {
        for (const each of [...inputs(), add, ...rows.querySelectorAll("button")]) each.disabled = flag;
      },
    };
  },
};

function line(option, id, changed) {
  const none = option.default === null || option.default === undefined;
  return el("input", {
    type: "text",
    id,
    class: MONOSPACED.has(option.value) ? "mono" : null,
    autocomplete: "off",
    autocapitalize: "none",
    spellcheck: "false",
    inputmode: option.value === "integer" ? "numeric" : null,
    placeholder: none
      ? EXAMPLES[option.key]
        ? `for example ${EXAMPLES[option.key]}`
        : "none"
      : written(option, option.default),
    on: { input: changed },
  });
}

export class Field {
  #widget;
  #mistake;
  #reason;
  #help;
  touched = false;

  /** `onChange` is called with the field after each change by hand; `compact` leaves the words out. */
  constructor(option, onChange, { compact = false, name = label(option.key) } = {}) {
    this.option = option;
    this.key = option.key;
    const id = `option-${option.key}`;
    const make = option.many
      ? WIDGETS.many
      : option.value === "choice" && option.choices.length
        ? WIDGETS.choice
        : option.value === "flag"
          ? WIDGETS.flag
          : WIDGETS.text;
    this.#widget = make(option, id, () => {
      this.touched = true;
      onChange(this);
    });
    this.#mistake = el("p", { class: "mistake", id: `${id}-mistake` });
    this.#reason = el("p", { class: compact ? "unseen" : "why-not", id: `${id}-reason`, hidden: true });
    this.#help = el("p", { class: compact ? "unseen" : "help", id: `${id}-help` }, prose(`${option.text}. `));
    if (!compact && option.why) this.#help.append(el("span", { class: "why", text: this.#default() }));
    this.element = el(
      "div",
      { class: compact ? "field compact" : "field", data: { key: option.key } },
      el(
        "div",
        { class: "words" },
        el(
          "label",
          { for: id, class: compact ? "unseen" : "label" },
          name,
          compact ? null : el("code", { text: option.key, "aria-hidden": "true" }),
        ),
        this.#help,
        compact ? null : this.#reason,
      ),
      el("div", { class: "control" }, this.#widget.element, compact ? this.#reason : null, this.#mistake),
    );
    this.set(null);
    this.#describe();
  }

  #default() {
    const { option } = this;
    const value =
      option.value === "flag"
        ? option.default
          ? "on"
          : "off"
        : option.default === null || option.default === undefined
          ? "none"
          : written(option, option.default);
    return `Default ${value || "none"}: ${option.why}.`;
  }

  #describe() {
    const ids = [
      this.#mistake.textContent ? this.#mistake.id : "",
      this.#reason.hidden ? "" : this.#reason.id,
      this.#help.id,
    ];
    mark(this.#widget.focusable, "aria-describedby", ids.filter(Boolean).join(" "));
    mark(this.#widget.focusable, "aria-invalid", this.#mistake.textContent ? "true" : null);
  }

  get isApplicable() {
    return this.#reason.hidden;
  }

  /** The value as a file would have it; null for the default, and for none. */
  get value() {
    const value = this.#widget.get();
    return value === "" || same(this.option, value, this.option.default) ? null : value;
  }

  /** Show a value; null shows the default. */
  set(value) {
    this.#widget.set(
      same(this.option, value, this.option.default) &&
        this.option.value !== "choice" &&
        this.option.value !== "flag"
        ? null
        : value,
    );
  }

  /** Grey it with the reason, or ("") not. */
  applies(reason) {
    sayProse(this.#reason, reason ? reason[0].toUpperCase() + reason.slice(1) : "");
    show(this.#reason, Boolean(reason));
    this.element.classList.toggle("off", Boolean(reason));
    this.#widget.disable(Boolean(reason));
    this.#describe();
  }

  /** Show what is wrong; "" for nothing. */
  mistaken(text) {
    sayProse(this.#mistake, text);
    this.element.classList.toggle("wrong", Boolean(text));
    this.#describe();
  }

  focus() {
    this.#widget.focusable.focus();
  }
}

// Terminal: type to the device, see what it says, move its lines.

import { FitAddon } from "../vendor/xterm/addon-fit.mjs";
import { Terminal } from "../vendor/xterm/xterm.mjs";
import { boundRepeats } from "./bounded-repeats.js";
import { button, el, link, mark, say, sayProse, smallSwitch } from "./elements.js";
import { Lamps } from "./lamps.js";
import { SessionLink } from "./session-link.js";
import { strictStyles } from "./strict-styles.js";

const BREAK = 0.25; // seconds; long enough for every rate from 50 bit/s on
const SCROLLBACK = 5000; // lines
const RATES = [300, 1200, 2400, 4800, 9600, 19200, 38400, 57600, 115200, 230400, 460800, 921600];
const FORMATS = ["8N1", "8E1", "8O1", "7E1", "7O1", "7N1", "8N2", "7E2"];
const PARITY = { N: "none", O: "odd", E: "even", M: "mark", S: "space" };
const ENDS = { cr: "\r", lf: "\n", crlf: "\r\n" };
const COLOURS = {
  background: "#10161a",
  foreground: "#dfe5e8",
  cursor: "#5cc7ba",
  cursorAccent: "#10161a",
  selectionBackground: "#37505c",
};

/** What was chosen for the last terminal. */
const kept = { echo: false, end: "cr", newline: false, reader: false };

const encoder = new TextEncoder();

const bytesOf = (text) => Uint8Array.from(text, (char) => char.charCodeAt(0) & 0xff);

export function page({ main }, name) {
  main.classList.add("whole");
  const relax = strictStyles();
  const lamps = new Lamps();
  const state = el("p", { class: "terminal-state", role: "status" });
  const badge = el("span", { class: "soft" });
  const box = el("div", { class: "terminal-box" });
  const outputs = { dtr: output("dtr"), rts: output("rts") };
  const rate = el("input", {
    type: "text",
    inputmode: "numeric",
    size: "8",
    list: "rates",
    autocomplete: "off",
    "aria-label": "Baudrate",
    on: { change: () => ask({ settings: { baudrate: Number(rate.value) || rate.value } }) },
  });
  const format = el("select", { "aria-label": "Data bits, parity and stop bits", on: { change: setFormat } });
  const breaker = button("Break", "small", () => ask({ break: BREAK }), {
    title: "Send a break of a quarter of a second",
  });
  const again = button("Connect again", "small first", () => connect());
  const terminal = new Terminal({
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue("--mono"),
    fontSize: 14,
    lineHeight: 1.15,
    theme: COLOURS,
    cursorBlink: false,
    scrollback: SCROLLBACK,
    convertEol: kept.newline,
    screenReaderMode: kept.reader,
    minimumContrastRatio: 4.5,
  });
  const fit = new FitAddon();
  const link_ = new SessionLink(name, {
    bytes: (data) => terminal.write(data),
    state: told,
    error: failed,
    ended,
  });

  function output(line) {
    const box = el("input", {
      type: "checkbox",
      role: "switch",
      disabled: true,
      on: { change: () => ask({ lines: { [line]: box.checked } }) },
    });
    return { box, element: el("label", { class: "switch small" }, box, line.toUpperCase()) };
  }

  function setFormat() {
    const [bits, parity, ...stop] = format.value;
    ask({ settings: { "data-bits": Number(bits), parity: PARITY[parity], "stop-bits": stop.join("") } });
  }

  /** Show what the service tells of the port. */
  function told({ settings = "", lines = null, can = {} }) {
    say(badge, settings);
    lamps.update(lines);
    for (const [line, { box: each }] of Object.entries(outputs)) {
      each.disabled = !can.lines || lines === null;
      each.checked = Boolean(lines?.[line]);
    }
    const [bauds, rest = ""] = settings.split("-");
    const letters = rest.split(" ")[0];
    if (document.activeElement !== rate) rate.value = bauds;
    if (letters && ![...format.options].some((each) => each.value === letters))
      format.append(el("option", { value: letters, text: letters }));
    format.value = letters;
    for (const each of [rate, format, breaker]) each.disabled = !can.settings && each !== breaker;
    mark(rate, "title", can.settings ? null : "The settings of this port are not ours to change");
    breaker.disabled = can.break === false;
    if (state.dataset.fault !== "yes") say(state, "");
  }

  /** Ask for something; what was wrong before is over. */
  function ask(message) {
    if (state.dataset.fault === "yes") {
      state.dataset.fault = "";
      mark(state, "class", "terminal-state");
      say(state, "");
    }
    link_.ask(message);
  }

  function failed(text) {
    state.dataset.fault = "yes";
    mark(state, "class", "terminal-state bad");
    sayProse(state, text);
  }

  function ended(reason) {
    for (const { box: each } of Object.values(outputs)) each.disabled = true;
    for (const each of [rate, format, breaker]) each.disabled = true;
    lamps.update(null);
    mark(state, "class", "terminal-state bad");
    sayProse(state, `${reason || "The connection to the port has ended."} `);
    state.append(again);
  }

  function connect() {
    state.dataset.fault = "";
    mark(state, "class", "terminal-state");
    say(state, "Connecting …");
    link_.open();
    terminal.focus();
  }

  function typed(text) {
    const sent = text.replaceAll("\r", ENDS[kept.end]);
    if (kept.echo) terminal.write(text.replaceAll("\r", "\r\n"));
    link_.send(encoder.encode(sent));
  }

  main.append(
    el(
      "div",
      { class: "head" },
      el(
        "div",
        { class: "titles" },
        link("/", "← Connections", "back"),
        el("h1", {}, `Terminal ${name} `, badge),
      ),
      el(
        "div",
        { class: "actions" },
        button("Clear", "small", () => {
          terminal.clear();
          terminal.focus();
        }),
        link(`/monitor/${encodeURIComponent(name)}`, "Monitor", "button small"),
      ),
    ),
    el(
      "div",
      { class: "screen" },
      el(
        "div",
        { class: "console", role: "group", "aria-label": "Signal lines and settings" },
        lamps.element,
        el("div", { class: "outputs" }, outputs.dtr.element, outputs.rts.element),
        el("label", { class: "picker" }, "Baudrate", rate),
        el("datalist", { id: "rates" }, ...RATES.map((value) => el("option", { value }))),
        el("label", { class: "picker" }, "Format", format),
        breaker,
        el(
          "details",
          { class: "more" },
          el("summary", { text: "Typing" }),
          el(
            "div",
            {},
            el(
              "label",
              { class: "picker" },
              "Enter sends",
              el(
                "select",
                {
                  on: {
                    change: (event) => {
                      kept.end = event.target.value;
                    },
                  },
                },
                ...Object.keys(ENDS).map((end) =>
                  el("option", {
                    value: end,
                    text: end === "crlf" ? "CR LF" : end.toUpperCase(),
                    selected: end === kept.end,
                  }),
                ),
              ),
            ),
            smallSwitch("Local echo", kept.echo, (on) => {
              kept.echo = on;
            }),
            smallSwitch("LF begins a line", kept.newline, (on) => {
              kept.newline = on;
              terminal.options.convertEol = on;
            }),
            smallSwitch("Screen reader", kept.reader, (on) => {
              kept.reader = on;
              terminal.options.screenReaderMode = on;
            }),
          ),
        ),
      ),
      box,
      state,
    ),
    el(
      "p",
      { class: "soft" },
      "Tab goes to the device; ",
      el("kbd", { text: "F6" }),
      " leaves the terminal.",
    ),
  );

  format.append(...FORMATS.map((each) => el("option", { value: each, text: each })));
  terminal.loadAddon(fit);
  boundRepeats(terminal);
  terminal.open(box);
  terminal.onData(typed);
  terminal.onBinary((text) => link_.send(bytesOf(text)));
  terminal.attachCustomKeyEventHandler((event) => {
    if (event.key !== "F6") return true;
    if (event.type === "keydown")
      main.querySelector(".console input:not(:disabled), .console select:not(:disabled)")?.focus();
    event.preventDefault();
    return false;
  });
  const resized = new ResizeObserver(() => {
    if (box.clientHeight > 20) fit.fit();
  });
  resized.observe(box);
  document.fonts?.ready.then(() => fit.fit());
  connect();
  return () => {
    resized.disconnect();
    link_.close();
    terminal.dispose();
    relax();
  };
}

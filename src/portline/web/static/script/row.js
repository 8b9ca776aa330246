// One connection on Home: a line with what matters, which opens into everything that is known.

import { isDisabled, isStopped, start, stop } from "./actions.js";
import { button, el, icon, link, mark, say, sayProse, show } from "./elements.js";
import { plural, rate, settings } from "./formats.js";
import { Lamps, levels } from "./lamps.js";
import { Sparkline } from "./sparkline.js";

/** State -> how its badge looks. */
const LOOKS = {
  error: "bad",
  "port absent": "warn",
  full: "warn",
  connected: "good",
  connecting: "calm",
  listening: "calm",
  waiting: "calm",
  stopped: "idle",
};

const KINDS = { server: "server", client: "client", udp: "UDP" };

/** What a port's name need not say in a narrow column. */
const FOLDER = /^\/dev\/(serial\/by-(id|path)\/)?(?=.)/;

/** What is spoken at a place stands behind it: "127.0.0.1:4001 (raw)". */
const PROTOCOL = / \((\w+)\)$/;

const spoken = (places) => [...new Set(places.map((place) => PROTOCOL.exec(place)?.[1]).filter(Boolean))];

/** Which group of Home's filter a state belongs to. */
export function group(connection) {
  if (connection.state === "error" || connection.state === "port absent") return "trouble";
  if (connection.state === "connected" || connection.state === "full") return "connected";
  return isStopped(connection) ? "stopped" : "waiting";
}

/** Encoded for a path of this page. */
export const path = (word, name) => `/${word}/${encodeURIComponent(name)}`;

let number = 0;

export class Row {
  #parts = {};
  #detail = null;
  #connection = null;
  #lamps = new Lamps();
  #spark = new Sparkline();
  #connections;

  constructor(connection, connections, isOpen, onOpen) {
    this.#connections = connections;
    const id = `connection-${++number}`;
    const p = this.#parts;
    p.toggle = el(
      "button",
      {
        type: "button",
        class: "opener",
        "aria-expanded": "false",
        "aria-controls": id,
        on: {
          click: () => {
            this.toggle();
            onOpen(this.name, this.isOpen);
          },
        },
      },
      icon("down"),
      (p.name = el("span", { class: "name" })),
    );
    p.kind = el("span", {});
    p.badge = el("span", { class: "badge" });
    p.peers = el("span", { class: "soft" });
    p.port = el("span", { class: "mono clip" });
    p.settings = el("span", { class: "soft" });
    p.places = el("span", { class: "mono clip" });
    p.access = el("span", { class: "soft clip" });
    p.heard = el("span", { class: "number" });
    p.spoken = el("span", { class: "number" });
    p.reason = el("p", { class: "reason" });
    p.run = button("", "bare small", () => (isStopped(this.#connection) ? start : stop)(this.#connection));
    p.monitor = link("", "Monitor", "button bare small");
    p.terminal = link("", "Terminal", "button bare small");
    p.detail = el("div", { class: "detail", id, hidden: true });
    this.element = el(
      "li",
      { class: "connection" },
      el(
        "div",
        { class: "row" },
        el("div", { class: "cell who" }, el("h2", {}, p.toggle), el("span", { class: "soft" }, p.kind)),
        el("div", { class: "cell state" }, p.badge, p.peers),
        el("div", { class: "cell port" }, p.port, p.settings),
        el("div", { class: "cell net" }, p.places, p.access),
        el("div", { class: "cell lines" }, this.#lamps.element),
        el(
          "div",
          { class: "cell traffic" },
          this.#spark.element,
          el(
            "div",
            { class: "numbers" },
            el("span", { class: "heard" }, el("span", { class: "unseen", text: "from the port " }), p.heard),
            el("span", { class: "spoken" }, el("span", { class: "unseen", text: "to the port " }), p.spoken),
          ),
        ),
        el("div", { class: "cell do" }, p.monitor, p.terminal, p.run),
      ),
      p.reason,
      p.detail,
    );
    this.update(connection);
    if (isOpen) this.toggle();
  }

  get name() {
    return this.#connection.name;
  }
  get isOpen() {
    return !this.#parts.detail.hidden;
  }

  /** Show the newest status. */
  update(connection) {
    const p = this.#parts;
    this.#connection = connection;
    const { name, state, port, options, peers } = connection;
    say(p.name, name);
    const protocols = spoken(connection.places);
    say(
      p.kind,
      [
        KINDS[options.kind] ?? options.kind,
        options.kind === "udp" ? "" : protocols.join(", ") || options.protocol,
        isDisabled(connection) ? "disabled" : "",
      ]
        .filter(Boolean)
        .join(" · "),
    );
    mark(p.badge, "class", `badge ${LOOKS[state] ?? "idle"}`);
    say(p.badge, state);
    say(p.peers, peers.length ? plural(peers.length, "peer") : "");
    say(p.port, port.name.replace(FOLDER, ""));
    mark(p.port, "title", port.path && port.path !== port.name ? `${port.name} (${port.path})` : port.name);
    const use =
      port.in_use === null || port.in_use === undefined ? "" : port.in_use ? "in use" : "not in use";
    say(p.settings, [use ? "virtual" : "", settings(port.settings), use].filter(Boolean).join(" · "));
    const [first, ...more] =
      protocols.length > 1
        ? connection.places
        : connection.places.map((place) => place.replace(PROTOCOL, ""));
    say(p.places, first ? first + (more.length ? ` +${more.length}` : "") : "nowhere");
    mark(p.places, "title", connection.places.join("\n") || null);
    say(
      p.access,
      connection.security ? `TLS · ${connection.access || "encrypted"}` : (connection.access ?? ""),
    );
    say(p.heard, rate(connection.rates.heard));
    say(p.spoken, rate(connection.rates.spoken));
    mark(p.reason, "class", `reason ${LOOKS[state] ?? ""}`);
    sayProse(p.reason, connection.reason ?? "");
    show(p.reason, Boolean(connection.reason));
    say(p.run, isStopped(connection) ? "Start" : "Stop");
    mark(p.run, "aria-label", `${isStopped(connection) ? "Start" : "Stop"} ${name}`);
    for (const word of ["monitor", "terminal"]) {
      mark(p[word], "href", path(word, name));
      mark(p[word], "aria-label", `${word[0].toUpperCase()}${word.slice(1)} of ${name}`);
    }
    this.#lamps.update(levels(port));
    this.#detail?.update(connection);
  }

  /** Draw the rates; once a second, and only when somebody sees them. */
  tick() {
    const rates = this.#connections.ratesOf(this.name);
    this.#spark.update(rates);
    this.#detail?.tick(rates);
  }

  /** Open or close what is below. */
  async toggle() {
    const p = this.#parts;
    const open = !this.isOpen;
    show(p.detail, open);
    mark(p.toggle, "aria-expanded", String(open));
    if (!open) {
      this.#detail?.end();
      this.#detail = null;
      p.detail.replaceChildren();
      return;
    }
    const { Detail } = await import("./detail.js");
    if (!this.isOpen || this.#detail) return;
    this.#detail = new Detail(p.detail);
    this.#detail.update(this.#connection);
    this.#detail.tick(this.#connections.ratesOf(this.name));
  }

  /** Free what it holds. */
  end() {
    this.#detail?.end();
  }
}

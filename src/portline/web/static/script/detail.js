// Everything about one connection, below its line on Home.

import { canPulse, disconnect, isDisabled, isStopped, pulse, remove, start, stop, toggle } from "./actions.js";
import { told } from "./counters.js";
import { button, el, link, mark, prose, say, show } from "./elements.js";
import { bytes, settings, span } from "./formats.js";
import { differences } from "./description.js";
import { plot } from "./plot.js";
import { path } from "./row.js";

const WHERE = { server: "Listens on", client: "Connects to", udp: "Datagrams" };

/** A list of terms with what they are; those without a text are left out. */
class Facts {
  #entries = new Map();
  element = el("dl", { class: "facts" });

  set(term, text) {
    if (!this.#entries.has(term)) {
      const entry = el("div", {}, el("dt", { text: term }), el("dd"));
      this.#entries.set(term, entry);
      this.element.append(entry);
    }
    const entry = this.#entries.get(term);
    show(entry, Boolean(text));
    const lines = Array.isArray(text) ? text : [text ?? ""];
    const dd = entry.lastElementChild;
    if (dd.dataset.said === lines.join("\n")) return;
    dd.dataset.said = lines.join("\n");
    dd.replaceChildren(...lines.map((line) => el("span", {}, prose(line))));
  }
}

export class Detail {
  #facts = new Facts();
  #peers = el("div", { class: "peers" });
  #rows = new Map();
  #plot;
  #buttons;
  #connection = null;

  constructor(box) {
    const chart = el("figure", { class: "plot", role: "img" });
    this.chart = chart;
    this.#buttons = {
      run: button("", "small", () => (isStopped(this.#connection) ? start : stop)(this.#connection)),
      edit: link("", "Edit", "button small"),
      monitor: link("", "Monitor", "button small"),
      terminal: link("", "Terminal", "button small"),
      pulse: button("Pulse", "small", () => pulse(this.#connection)),
      able: button("", "small", () => toggle(this.#connection)),
      remove: button("Remove", "small danger", () => remove(this.#connection)),
    };
    box.append(
      el("div", { class: "doings" }, ...Object.values(this.#buttons)),
      el("div", { class: "columns" }, el("div", { class: "side" }, chart, this.#peers), this.#facts.element),
    );
    this.#plot = plot(chart);
  }

  update(connection) {
    this.#connection = connection;
    const { name, port, options } = connection;
    const b = this.#buttons;
    say(b.run, isStopped(connection) ? "Start" : "Stop");
    say(b.able, isDisabled(connection) ? "Enable" : "Disable");
    show(b.pulse, canPulse(connection));
    for (const word of ["edit", "monitor", "terminal"]) mark(b[word], "href", path(word, name));
    for (const [word, made] of Object.entries(b))
      mark(
        made,
        "aria-label",
        `${made.textContent} ${word === "monitor" || word === "terminal" ? "of " : ""}${name}`,
      );
    mark(this.chart, "aria-label", `Rates of ${name} in the last three minutes`);
    this.#tell(connection, port, options);
    this.#showPeers(connection);
  }

  #tell(connection, port, options) {
    const facts = this.#facts;
    const virtual = port.in_use !== null && port.in_use !== undefined;
    facts.set("State", [connection.state, connection.reason].filter(Boolean));
    facts.set("Port", [
      port.path && port.path !== port.name ? `${port.name} (${port.path})` : port.name,
      virtual
        ? port.in_use
          ? "virtual; an application has it open"
          : "virtual; no application has it open"
        : port.open
          ? "open"
          : "not open",
    ]);
    facts.set("Settings in force", port.open ? settings(port.settings) : null);
    facts.set("Settings", port.open ? null : settings(port.settings));
    facts.set(
      "Made as",
      port.backend
        ? [`${port.backend}${port.adapter ? ` (${port.adapter})` : ""}`, port.abilities.join(", ")]
        : "",
    );
    facts.set(
      "Driver",
      port.hardware
        ? [port.hardware.driver, ...(port.hardware.features ?? [])].filter(Boolean).join(", ")
        : "",
    );
    facts.set(WHERE[options.kind] ?? "Network", connection.places.length ? connection.places : ["nowhere"]);
    facts.set("Access", connection.access);
    facts.set(
      "Encryption",
      connection.security
        ? [
            `TLS ${connection.security.minimum} or newer`,
            connection.security.certificate ? `certificate ${connection.security.certificate}` : "",
          ].filter(Boolean)
        : "none",
    );
    facts.set("Traffic", [
      `${bytes(connection.counters.heard)} from the port`,
      `${bytes(connection.counters.spoken)} to the port`,
    ]);
    facts.set("Counted", told(connection));
    if (!told(connection).length) facts.set("Counted", ["nothing was dropped or refused"]);
    differences(connection).then(
      (lines) => facts.set("Options not at their defaults", lines.length ? lines : ""),
      () => {},
    );
  }

  #showPeers(connection) {
    const { peers } = connection;
    if (!peers.length) {
      this.#rows.clear();
      if (!this.#peers.querySelector(".none"))
        this.#peers.replaceChildren(
          el("h3", { text: "Peers" }),
          el("p", { class: "soft none", text: "Nobody is connected." }),
        );
      return;
    }
    if (!this.#rows.size) this.#peers.replaceChildren(el("h3", { text: "Peers" }), el("ul"));
    const list = this.#peers.querySelector("ul");
    const there = new Set(peers.map((peer) => peer.number));
    for (const [number, row] of this.#rows)
      if (!there.has(number)) {
        row.element.remove();
        this.#rows.delete(number);
      }
    for (const peer of peers) {
      if (!this.#rows.has(peer.number)) {
        const row = new PeerRow(() => disconnect(this.#connection, this.#rows.get(peer.number).peer));
        this.#rows.set(peer.number, row);
        list.append(row.element);
      }
      this.#rows.get(peer.number).update(peer);
    }
  }

  tick(rates) {
    this.#plot.update(rates);
  }

  end() {
    this.#plot.end();
  }
}

class PeerRow {
  peer = null;

  constructor(onDisconnect) {
    this.address = el("span", { class: "mono address" });
    this.about = el("span", { class: "soft" });
    this.button = button("Disconnect", "small", onDisconnect);
    this.element = el("li", {}, el("div", {}, this.address, this.about), this.button);
  }

  update(peer) {
    this.peer = peer;
    const { security } = peer;
    say(this.address, peer.address);
    say(
      this.about,
      [
        peer.protocol,
        `for ${span(peer.connected_for)}`,
        `sent us ${bytes(peer.received)}`,
        `got ${bytes(peer.sent)}`,
        peer.waiting ? `${bytes(peer.waiting)} wait` : "",
        peer.dropped ? `${bytes(peer.dropped)} dropped` : "",
        peer.malformed ? `${peer.malformed} not understood` : "",
        peer.signature ? `calls itself ${peer.signature}` : "",
        security
          ? [security.version, security.subject || security.fingerprint?.slice(0, 23)]
              .filter(Boolean)
              .join(" ")
          : "not encrypted",
        peer.login ? `logged in (${peer.login})` : "",
      ]
        .filter(Boolean)
        .join(" · "),
    );
    mark(this.button, "aria-label", `Disconnect ${peer.address}`);
  }
}

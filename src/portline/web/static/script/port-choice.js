// Which port: a real one of this machine, with those that are there, or a virtual one to be made.

import { el, say, sayProse, show } from "./elements.js";
import { ask } from "./server.js";

export class PortChoice {
  #list = el("ul", { class: "found" });
  #told = el("p", { class: "soft", role: "status" });

  /** `port` and `virtual` are the fields of these options; `onChange` hears when the choice changes. */
  constructor(port, virtual, onChange) {
    this.port = port;
    this.virtual = virtual;
    const radio = (value, text) =>
      el(
        "label",
        {},
        el("input", {
          type: "radio",
          name: "port-kind",
          value,
          on: {
            change: () => {
              this.#show();
              onChange();
            },
          },
        }),
        el("span", { text }),
      );
    this.#real = radio("real", "A real port of this machine");
    this.#made = radio("virtual", "A virtual port, made by Portline");
    this.#hint = el("p", { class: "help" });
    const again = el("button", {
      type: "button",
      class: "button bare small",
      text: "Look again",
      on: { click: () => this.look() },
    });
    this.#ports = el(
      "div",
      { class: "ports" },
      el("div", { class: "ports-head" }, el("h3", { text: "Found on this machine" }), again),
      this.#told,
      this.#list,
    );
    this.element = el(
      "div",
      { class: "port-choice" },
      el(
        "fieldset",
        {},
        el("legend", { class: "label", text: "Local port" }),
        el("div", { class: "segments" }, this.#real, this.#made),
        this.#hint,
      ),
      port.element,
      this.#ports,
      virtual.element,
    );
    port.element.addEventListener("input", () => this.#press());
    this.isVirtual = false;
  }

  #real;
  #made;
  #hint;
  #ports;

  get isVirtual() {
    return this.#made.firstElementChild.checked;
  }

  set isVirtual(virtual) {
    (virtual ? this.#made : this.#real).firstElementChild.checked = true;
    this.#show();
  }

  #show() {
    const { isVirtual } = this;
    show(this.port.element, !isVirtual);
    show(this.#ports, !isVirtual);
    show(this.virtual.element, isVirtual);
    say(
      this.#hint,
      isVirtual
        ? "Programs of this machine open it like a serial port; what they write goes to the network."
        : "The device that is connected to this machine.",
    );
  }

  /** Ask which ports there are. */
  async look() {
    say(this.#told, "Looking …");
    try {
      const answer = await ask("ports");
      const ports = Array.isArray(answer) ? answer : (answer.ports ?? []);
      const mine = answer.connections ?? {};
      this.#list.replaceChildren(...ports.map((port) => this.#entry(port, mine[port.path])));
      say(
        this.#told,
        ports.length
          ? ""
          : "No serial port was found. A port that is not there yet can be named all the same; the connection waits for it.",
      );
      this.#press();
    } catch (problem) {
      sayProse(this.#told, `The ports could not be listed: ${problem.message}`);
    }
    show(this.#told, Boolean(this.#told.textContent));
  }

  /** `connection` is the name of the one here that has it open, if one has. */
  #entry(port, connection) {
    // The identity survives another number and another socket, so it is what is offered.
    const name = port.identity ?? port.place ?? port.name;
    const holders = (port.holders ?? []).map((holder) =>
      typeof holder === "string"
        ? holder
        : `${holder.program ?? holder.command ?? holder.name ?? "a program"}${holder.pid ? ` (pid ${holder.pid})` : ""}`,
    );
    const remarks = [
      port.console ? "in use by this machine itself" : "",
      port.hidden ? "a virtual port lies over it" : "",
      connection
        ? `used by the connection ${connection}`
        : holders.length
          ? `open in ${holders.join(", ")}`
          : "",
    ].filter(Boolean);
    const choose = () => {
      this.port.set(name);
      this.port.touched = true;
      this.port.element.querySelector("input").dispatchEvent(new Event("input", { bubbles: true }));
    };
    return el(
      "li",
      {},
      el(
        "button",
        {
          type: "button",
          class: "found-port",
          "aria-pressed": "false",
          data: { name },
          on: { click: choose },
        },
        el("span", { class: "mono", text: port.path }),
        el("span", { class: "what", text: port.description || "a serial port" }),
        name !== port.path ? el("span", { class: "soft mono", text: name }) : null,
        remarks.length ? el("span", { class: "remark", text: remarks.join("; ") }) : null,
      ),
    );
  }

  #press() {
    const chosen = this.port.element.querySelector("input").value.trim();
    for (const each of this.#list.querySelectorAll("button"))
      each.setAttribute("aria-pressed", String(each.dataset.name === chosen));
  }
}

// The WebSocket of a terminal: bytes both ways, and what is told about the port beside them.

export class SessionLink {
  #socket = null;
  #hear;

  /** `hear` has bytes(Uint8Array), state(object), error(text) and ended(text). */
  constructor(name, hear) {
    this.name = name;
    this.#hear = hear;
  }

  open() {
    this.close();
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(
      `${scheme}://${location.host}/terminal/${encodeURIComponent(this.name)}/socket`,
    );
    let fault = "";
    this.#socket = socket;
    socket.binaryType = "arraybuffer";
    socket.onmessage = ({ data }) => {
      if (this.#socket !== socket) return;
      if (typeof data !== "string") {
        this.#hear.bytes(new Uint8Array(data));
        return;
      }
      const message = JSON.parse(data);
      if (message.state) this.#hear.state(message.state);
      if (message.error) {
        fault = message.error;
        this.#hear.error(fault);
      }
    };
    socket.onclose = ({ reason }) => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      this.#hear.ended(fault || reason || "");
    };
  }

  get isOpen() {
    return this.#socket?.readyState === WebSocket.OPEN;
  }

  /** Send bytes; they are lost when nobody is connected. */
  send(bytes) {
    if (this.isOpen) this.#socket.send(bytes);
  }

  /** Ask for something: {lines}, {break} or {settings}. */
  ask(message) {
    if (this.isOpen) this.#socket.send(JSON.stringify(message));
  }

  close() {
    const socket = this.#socket;
    this.#socket = null;
    socket?.close();
  }
}

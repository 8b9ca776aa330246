// The live WebSocket: subscriptions that outlast it.
//
// Theory of operation
// -------------------
// Whoever wants news subscribes with a message and a listener; while the socket is there the message
// is sent, and sent again whenever a new socket has been opened. A lost socket is opened again after
// DELAY_MIN, then twice as long up to DELAY_MAX, at once when the page is looked at again.

const DELAY_MIN = 500; // ms
const DELAY_MAX = 8000; // ms; a service that is back is noticed within some seconds

export class Live {
  #socket = null;
  #delay = DELAY_MIN;
  #timer = null;
  #wanted = false;
  #subscriptions = new Map();
  #onState;

  /** `onState` hears "open" and "lost". */
  constructor(onState) {
    this.#onState = onState;
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && this.#timer) this.#open();
    });
  }

  /** Connect, and stay so. */
  start() {
    this.#wanted = true;
    if (!this.#socket) this.#open();
  }

  /** Disconnect, and stay so. */
  stop() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#socket?.close();
    this.#socket = null;
    this.#delay = DELAY_MIN;
  }

  /**
   * Subscribe to a topic ("status", "events", "monitor"), of `name` where it has one. `opening` makes
   * further members of the message, each time anew; `hear` gets what comes. Returns how to end it.
   * The topic "error" is what the service complains of, which nobody has to ask for.
   */
  subscribe(topic, name, hear, opening = () => ({})) {
    const key = name ? `${topic} ${name}` : topic;
    const entry = { topic, name, hear, opening };
    const others = this.#subscriptions.get(key) ?? [];
    this.#subscriptions.set(key, [...others, entry]);
    if (!others.length) this.#ask(entry);
    else if (topic === "events") this.#ask(entry);
    return () => {
      const left = (this.#subscriptions.get(key) ?? []).filter((other) => other !== entry);
      if (left.length) {
        this.#subscriptions.set(key, left);
        return;
      }
      this.#subscriptions.delete(key);
      this.#send({ unsubscribe: topic, ...(name ? { name } : {}) });
    };
  }

  #ask({ topic, name, opening }) {
    this.#send({ subscribe: topic, ...(name ? { name } : {}), ...opening() });
  }

  #send(message) {
    if (message.subscribe === "error" || message.unsubscribe === "error") return;
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #open() {
    clearTimeout(this.#timer);
    this.#timer = null;
    const socket = new WebSocket(`${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/live`);
    this.#socket = socket;
    socket.onopen = () => {
      this.#delay = DELAY_MIN;
      this.#onState("open");
      for (const [first] of this.#subscriptions.values()) this.#ask(first);
    };
    socket.onmessage = (event) => {
      if (this.#socket === socket) this.#heard(JSON.parse(event.data));
    };
    socket.onclose = () => {
      if (this.#socket !== socket) return;
      this.#socket = null;
      if (!this.#wanted) return;
      this.#onState("lost");
      this.#timer = setTimeout(() => this.#open(), this.#delay);
      this.#delay = Math.min(2 * this.#delay, DELAY_MAX);
    };
  }

  #heard(message) {
    if ("status" in message) this.#tell("status", message.status);
    if ("events" in message) this.#tell("events", message.events);
    if ("monitor" in message) this.#tell(`monitor ${message.monitor.name}`, message.monitor);
    if ("error" in message) this.#tell("error", message.error);
  }

  #tell(key, value) {
    for (const { hear } of this.#subscriptions.get(key) ?? []) hear(value);
  }
}

// What is known of the connections: the newest status of each, and how fast they were.

const KEPT = 180; // samples of rates, one each second: three minutes

export class Connections {
  #map = new Map();
  #order = [];
  #rates = new Map();
  #listeners = new Set();
  process = null;
  /** Whether a status has ever arrived. */
  known = false;

  constructor() {
    setInterval(() => this.#sample(), 1000);
  }

  /** Take a status message: `connections` holds only those that changed. */
  take({ process, order, connections }) {
    this.process = process ?? this.process;
    const changed = new Map();
    for (const connection of connections ?? []) {
      changed.set(connection.name, this.#map.get(connection.name) ?? null);
      this.#map.set(connection.name, connection);
    }
    this.#order = order ?? [...this.#map.keys()];
    const there = new Set(this.#order);
    for (const name of [...this.#map.keys()]) {
      if (!there.has(name)) {
        this.#map.delete(name);
        this.#rates.delete(name);
      }
    }
    this.known = true;
    for (const listener of this.#listeners) listener(changed);
  }

  /** Forget everything, as after a logout. */
  clear() {
    this.#map.clear();
    this.#rates.clear();
    this.#order = [];
    this.known = false;
    this.process = null;
  }

  get(name) {
    return this.#map.get(name) ?? null;
  }

  /** All of them, in the order of the file. */
  get all() {
    return this.#order.map((name) => this.#map.get(name)).filter(Boolean);
  }

  /** Call `listener` with {name: the status before, or null} after each message; returns the end of it. */
  listen(listener) {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** The last rates of a connection: {at, heard, spoken}, three lists of equal length, the newest last. */
  ratesOf(name) {
    return this.#rates.get(name) ?? { at: [], heard: [], spoken: [] };
  }

  #sample() {
    if (!this.known) return;
    const now = Math.floor(Date.now() / 1000);
    for (const [name, { rates }] of this.#map) {
      if (!this.#rates.has(name)) this.#rates.set(name, { at: [], heard: [], spoken: [] });
      const kept = this.#rates.get(name);
      if (kept.at.at(-1) === now) continue;
      kept.at.push(now);
      kept.heard.push(rates.heard ?? 0);
      kept.spoken.push(rates.spoken ?? 0);
      if (kept.at.length > KEPT) for (const list of Object.values(kept)) list.shift();
    }
  }
}

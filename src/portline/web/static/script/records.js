// What a monitor has seen, as much of it as may be kept.

const RECORDS_MAX = 20000; // records
const BYTES_MAX = 8 * 1024 * 1024; // bytes of data

/** A record's data as bytes. */
function decoded(text) {
  const raw = atob(text);
  const data = new Uint8Array(raw.length);
  for (let at = 0; at < raw.length; at += 1) data[at] = raw.charCodeAt(at);
  return data;
}

export class Records {
  #kept = [];
  #first = 0; // where the oldest is: shifting an array for each record would cost too much
  #bytes = 0;
  /** Data that came from the port and goes to it, in bytes, since the beginning. */
  totals = { port: 0, peer: 0 };
  /** Records that were kept once and had to make room. */
  forgotten = 0;

  /** Take records as the service sends them; returns them as they are kept. */
  take(records) {
    return records.map((record) => {
      const data = record.kind === "data" ? decoded(record.data ?? "") : null;
      const kept = { ...record, data, number: this.forgotten + this.length };
      this.#kept.push(kept);
      if (data) {
        this.#bytes += data.length;
        this.totals[record.source === "port" ? "port" : "peer"] += data.length;
      }
      this.#bound();
      return kept;
    });
  }

  #bound() {
    while (this.length > RECORDS_MAX || (this.#bytes > BYTES_MAX && this.length > 1)) {
      this.#bytes -= this.#kept[this.#first].data?.length ?? 0;
      this.#kept[this.#first] = undefined;
      this.#first += 1;
      this.forgotten += 1;
    }
    if (this.#first > RECORDS_MAX) {
      this.#kept = this.#kept.slice(this.#first);
      this.#first = 0;
    }
  }

  get length() {
    return this.#kept.length - this.#first;
  }

  /** All of them, the oldest first. */
  get all() {
    return this.#kept.slice(this.#first);
  }

  clear() {
    this.#kept = [];
    this.#first = 0;
    this.#bytes = 0;
    this.totals = { port: 0, peer: 0 };
    this.forgotten = 0;
  }
}

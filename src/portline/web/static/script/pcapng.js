// A file of records that Wireshark opens: pcapng with packets of the link type RTAC Serial (250),
// which has the time, the direction, the signal lines and events of serial lines.
// https://www.tcpdump.org/linktypes/LINKTYPE_RTAC_SERIAL.html

const LINKTYPE_RTAC_SERIAL = 250;
const EVENT = {
  status: 0x00,
  toPort: 0x01,
  fromPort: 0x02,
  lost: 0x05,
  framing: 0x07,
  parity: 0x08,
  break: 0x09,
  overflow: 0x0a,
};
const LINES = { cts: 0x01, dcd: 0x02, dsr: 0x04, rts: 0x08, dtr: 0x10, ri: 0x20 };
const OPTION = { end: 0, comment: 1, name: 2, description: 3, application: 4, resolution: 9, flags: 2 };
const INBOUND = 1;
const OUTBOUND = 2;

const padded = (length) => (length + 3) & ~3;
const encoder = new TextEncoder();

class Block {
  #parts = [];
  #length = 0;

  constructor(type) {
    this.type = type;
  }

  put(bytes) {
    this.#parts.push(bytes);
    this.#length += bytes.length;
    return this;
  }
  u16(...values) {
    const view = new DataView(new ArrayBuffer(2 * values.length));
    values.forEach((value, at) => view.setUint16(2 * at, value, true));
    return this.put(new Uint8Array(view.buffer));
  }
  u32(...values) {
    const view = new DataView(new ArrayBuffer(4 * values.length));
    values.forEach((value, at) => view.setUint32(4 * at, value >>> 0, true));
    return this.put(new Uint8Array(view.buffer));
  }
  padding() {
    return this.put(new Uint8Array(padded(this.#length) - this.#length));
  }

  option(code, value) {
    const bytes = typeof value === "string" ? encoder.encode(value) : value;
    return this.u16(code, bytes.length).put(bytes).padding();
  }

  get bytes() {
    const total = this.#length + 12;
    const made = new Uint8Array(total);
    const view = new DataView(made.buffer);
    view.setUint32(0, this.type, true);
    view.setUint32(4, total, true);
    let at = 8;
    for (const part of this.#parts) {
      made.set(part, at);
      at += part.length;
    }
    view.setUint32(at, total, true);
    return made;
  }
}

function eventOf(record) {
  switch (record.kind) {
    case "data":
      return record.source === "port" ? EVENT.fromPort : EVENT.toPort;
    case "break":
      return EVENT.break;
    case "skipped":
      return EVENT.lost;
    case "fault":
      return record.value?.parity ? EVENT.parity : record.value?.framing ? EVENT.framing : EVENT.overflow;
    default:
      return EVENT.status;
  }
}

/** The blob of a file with these records of the connection `name`, the oldest first. */
export function pcapng(name, records) {
  const section = new Block(0x0a0d0d0a)
    .u32(0x1a2b3c4d)
    .u16(1, 0)
    .u32(0xffffffff, 0xffffffff)
    .option(OPTION.application, "Portline")
    .u16(OPTION.end, 0);
  const device = new Block(1)
    .u16(LINKTYPE_RTAC_SERIAL, 0)
    .u32(0)
    .option(OPTION.name, name)
    .option(OPTION.resolution, new Uint8Array([6]))
    .u16(OPTION.end, 0);
  const blocks = [section.bytes, device.bytes];
  let lines = 0;
  for (const record of records) {
    if (record.kind === "lines") {
      for (const [line, bit] of Object.entries(LINES))
        if (typeof record.value?.[line] === "boolean")
          lines = record.value[line] ? lines | bit : lines & ~bit;
    }
    blocks.push(packet(record, lines));
  }
  return new Blob(blocks, { type: "application/x-pcapng" });
}

function packet(record, lines) {
  const micros = BigInt(Math.round(record.at * 1e6));
  const head = new DataView(new ArrayBuffer(12)); // big endian, as the link type has it
  head.setUint32(0, Number(micros / 1000000n));
  head.setUint32(4, Number(micros % 1000000n));
  head.setUint8(8, eventOf(record));
  head.setUint8(9, lines);
  const data = record.data ?? new Uint8Array(0);
  const length = 12 + data.length;
  const flags = new Uint8Array(4);
  flags[0] = record.source === "port" ? INBOUND : OUTBOUND;
  const block = new Block(6)
    .u32(0, Number(micros >> 32n), Number(micros & 0xffffffffn), length, length)
    .put(new Uint8Array(head.buffer))
    .put(data)
    .padding()
    .option(OPTION.flags, flags);
  const said = [record.peer, record.kind === "data" ? "" : `${record.kind}: ${record.text ?? ""}`]
    .filter(Boolean)
    .join(" ");
  if (said) block.option(OPTION.comment, said);
  return block.u16(OPTION.end, 0).bytes;
}

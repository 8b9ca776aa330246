// Bytes as people read them.

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

/** Lines of hexadecimal with the text beside it: {hex, text}, `width` bytes to a line. */
export function dump(data, width) {
  const lines = { hex: [], text: [] };
  for (let at = 0; at < data.length; at += width) {
    const part = data.subarray(at, at + width);
    let hex = "",
      text = "";
    for (let i = 0; i < part.length; i += 1) {
      hex += (i && i % 8 === 0 ? "  " : i ? " " : "") + HEX[part[i]];
      text += part[i] >= 0x20 && part[i] < 0x7f ? String.fromCharCode(part[i]) : "·";
    }
    lines.hex.push(hex);
    lines.text.push(text);
  }
  return { hex: lines.hex.join("\n"), text: lines.text.join("\n") };
}

const decoder = new TextDecoder("utf-8", { fatal: false });

/** As macros of `portline term` write them; not every font has pictures of control characters. */
const ESCAPES = { 0x00: "\\0", 0x09: "\\t", 0x0a: "\\n", 0x0d: "\\r", 0x1b: "\\e" };

/**
 * Bytes as text in UTF-8: a list of [text, isControl]. Control characters are written out, and a
 * line ends after LF.
 */
export function text(data) {
  const parts = [];
  let plain = "";
  const flush = () => {
    if (plain) parts.push([plain, false]);
    plain = "";
  };
  for (const char of decoder.decode(data)) {
    const code = char.codePointAt(0);
    if (code >= 0x20 && code !== 0x7f && !(code >= 0x80 && code < 0xa0)) {
      plain += char;
      continue;
    }
    flush();
    parts.push([ESCAPES[code] ?? `\\x${HEX[code]}`, true]);
    if (code === 0x0a) parts.push(["\n", false]);
  }
  flush();
  if (parts.length && parts.at(-1)[0] === "\n") parts.pop();
  return parts;
}

/** What is looked for: bytes where hexadecimal was written ("0d 0a", "0x0d0a"), else text; null for nothing. */
export function needle(written) {
  const trimmed = written.trim();
  if (!trimmed) return null;
  const hex =
    /^(0x)?([0-9a-f]{2}[\s:]*)+$/i.test(trimmed) && (/[\s:]|^0x/i.test(trimmed) || /[0-9]/.test(trimmed))
      ? trimmed.replace(/^0x/i, "").replace(/[\s:]/g, "")
      : "";
  const bytes = hex ? Uint8Array.from(hex.match(/../g), (pair) => Number.parseInt(pair, 16)) : null;
  return { bytes, text: trimmed.toLowerCase(), latin: new TextEncoder().encode(trimmed.toLowerCase()) };
}

const lower = (byte) => (byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte);

function includes(data, wanted, fold) {
  outer: for (let at = 0; at + wanted.length <= data.length; at += 1) {
    for (let i = 0; i < wanted.length; i += 1)
      if ((fold ? lower(data[at + i]) : data[at + i]) !== wanted[i]) continue outer;
    return true;
  }
  return false;
}

/** Whether a record has it: in its bytes, as bytes or as text, or in what is told of it. */
export function found(record, wanted) {
  if (!wanted) return true;
  if (record.data)
    return (
      (wanted.bytes !== null && includes(record.data, wanted.bytes, false)) ||
      includes(record.data, wanted.latin, true)
    );
  return `${record.kind} ${record.text ?? ""} ${record.peer ?? ""}`.toLowerCase().includes(wanted.text);
}

// How numbers, times and settings are written.

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** 12345 -> "12.3 kB", in units of a thousand as the command line writes them. */
export function bytes(count) {
  let value = count,
    unit = 0;
  while (value >= 999.5 && unit < UNITS.length - 1) {
    value /= 1000;
    unit += 1;
  }
  const digits = unit && value < 99.95 ? 1 : 0;
  return `${value.toFixed(digits)} ${UNITS[unit]}`;
}

/** Bytes per second; null, before it has been measured, is a dash. */
export function rate(value) {
  return value === null || value === undefined ? "–" : `${bytes(value)}/s`;
}

/** Seconds as people say them: "34 s", "5 min", "3 h 20 min", "2 d 4 h". */
export function span(seconds) {
  const s = Math.max(0, Math.floor(seconds));
  if (s < 60) return `${s} s`;
  if (s < 3600) return `${Math.floor(s / 60)} min`;
  if (s < 86400) return `${Math.floor(s / 3600)} h ${Math.floor((s % 3600) / 60)} min`;
  return `${Math.floor(s / 86400)} d ${Math.floor((s % 86400) / 3600)} h`;
}

const two = (number) => String(number).padStart(2, "0");

/** Unix seconds as the time of day with milliseconds: "14:03:07.123". */
export function clock(at, parts = 3) {
  const then = new Date(at * 1000);
  const time = `${two(then.getHours())}:${two(then.getMinutes())}:${two(then.getSeconds())}`;
  return parts ? `${time}.${String(then.getMilliseconds()).padStart(3, "0").slice(0, parts)}` : time;
}

/** Unix seconds as a time of day, with the date before it where it was another day. */
export function moment(at) {
  const then = new Date(at * 1000);
  const today = new Date().toDateString() === then.toDateString();
  return today
    ? clock(at, 0)
    : `${then.getFullYear()}-${two(then.getMonth() + 1)}-${two(then.getDate())} ${clock(at, 0)}`;
}

const PARITY = { none: "N", odd: "O", even: "E", mark: "M", space: "S" };

/** Line settings in the usual notation: "115200-8N1 rtscts". */
export function settings(given) {
  const flow = given.flow_control === "none" ? "" : given.flow_control;
  const inbound =
    given.inbound_flow && given.inbound_flow !== given.flow_control ? `/${given.inbound_flow}` : "";
  return `${given.baudrate}-${given.data_bits}${PARITY[given.parity] ?? "?"}${given.stop_bits} ${flow}${inbound}`.trim();
}

/** Seconds as a file has them: 0.5 -> "500ms", 10 -> "10s", 3600 -> "1h". */
export function duration(seconds) {
  const ms = Math.round(seconds * 1e6) / 1e3;
  for (const [unit, size] of [
    ["h", 3600000],
    ["min", 60000],
    ["s", 1000],
    ["ms", 1],
  ]) {
    if (ms && Number.isInteger(ms / size)) return `${ms / size}${unit}`;
  }
  return seconds ? `${seconds}s` : "0";
}

/** Bytes as a file has them: 65536 -> "64KiB". */
export function size(count) {
  for (const [unit, factor] of [
    ["MiB", 1048576],
    ["KiB", 1024],
  ]) {
    if (count && count % factor === 0) return `${count / factor}${unit}`;
  }
  return String(count);
}

/** "1 peer", "3 peers". */
export function plural(count, one, many = `${one}s`) {
  return `${count} ${count === 1 ? one : many}`;
}

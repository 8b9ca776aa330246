// The description of the options, as the operation `options` gives it: asked for once.

import { duration, size } from "./formats.js";
import { ask } from "./server.js";

let asked = null;

/** {kinds: {server: {groups: [...]}, ...}}. Raises Problem. */
export function description() {
  asked ??= ask("options").catch((problem) => {
    asked = null;
    throw problem;
  });
  return asked;
}

/** The options of a kind by key, in order. */
export function optionsOf(described, kind) {
  const found = new Map();
  for (const group of described.kinds[kind]?.groups ?? [])
    for (const option of group.options) found.set(option.key, option);
  return found;
}

/** A value as a person would write it into the form; "" for none. */
export function written(option, value) {
  if (value === null || value === undefined) return "";
  if (Array.isArray(value)) return value.map((item) => written(option, item)).join(", ");
  // Two levels may be told as true and false, of which the first choice is true.
  if (option.value === "choice" && typeof value === "boolean")
    return option.choices[value ? 0 : 1] ?? String(value);
  if (option.value === "duration" && typeof value === "number") return value === 0 ? "off" : duration(value);
  if (option.value === "number" && value === 0) return "off";
  if (option.value === "size" && typeof value === "number") return size(value);
  return String(value);
}

/** Whether two values of an option mean the same. */
export function same(option, one, other) {
  const none = (value) =>
    value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length);
  if (none(one) || none(other)) return none(one) && none(other);
  const list = (value) => (Array.isArray(value) ? value : [value]).map((item) => written(option, item));
  return JSON.stringify(list(one)) === JSON.stringify(list(other));
}

const TOLD = new Set(["kind", "port", "virtual", "listen", "connect", "protocol", "enabled"]);

/** Lines with the options of a connection that are not at their defaults and not told elsewhere. */
export async function differences(connection) {
  const known = optionsOf(await description(), connection.options.kind);
  const lines = [];
  for (const [key, option] of known) {
    const value = connection.options[key];
    if (TOLD.has(key) || value === null || value === undefined || same(option, value, option.default))
      continue;
    lines.push(`${key} = ${written(option, value)}`);
  }
  return lines;
}

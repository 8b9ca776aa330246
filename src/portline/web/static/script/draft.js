// What has been filled in, as options: for a new connection what differs from the defaults, for an
// old one what differs from what it has.

import { same } from "./description.js";

/**
 * The options of a new connection. `fields` by key, `off` the keys that are left out because they do
 * not apply.
 */
export function newOptions(kind, fields, off) {
  const options = kind === "server" ? {} : { kind };
  for (const [key, field] of fields) {
    if (!off.has(key) && field.value !== null) options[key] = field.value;
  }
  return options;
}

/**
 * What changes of a connection that has the options `present`; null takes an option out. What does
 * not apply any more is taken out, too, as the file may hold it.
 */
export function changes(present, fields, off) {
  const options = {};
  for (const [key, field] of fields) {
    const { option } = field;
    const before = present[key] ?? null;
    const was = same(option, before, option.default) ? null : before;
    if (off.has(key)) {
      if (before !== null) options[key] = null;
    } else if (!same(option, field.value, was)) options[key] = field.value;
  }
  return options;
}

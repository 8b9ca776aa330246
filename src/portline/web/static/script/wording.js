// What the service says of options, in the words of a form: it speaks of a file, where options have
// keys and are written or left out; here they have labels and are chosen, and what does nothing is
// grey already.

import { label } from "./fields.js";

const ASSIGNED = /(write |give |choose )?\b([a-z][a-z0-9-]*) = (?:"([^"]*)"|([\w.:-]*\w))(?: or "([^"]*)")?/g;
const KEY = /(?<![\w"`/.=-])[a-z]+(?:-[a-z0-9]+)+(?![\w"`/=-])/g;
const EXCLUDED = /^([a-z][a-z-]*) and ([a-z][a-z-]*) exclude/;
const ON = new Set(["true", "on"]);

/** A text as it is said in a form whose options have these `keys` (a Map or a Set). */
export function spoken(text, keys) {
  const named = (key) => (keys.has(key) ? label(key) : key);
  return text
    .replace(/ \(option (virtual|port)\)/g, "")
    .replace(/,? or leave it out\b/g, "")
    .replace(/; (?:leave it out|take it out), or /g, "; ")
    .replace(/; (?:leave it out|take it out)$/, "")
    .replace(/\bchoose protocol /g, "choose the protocol ")
    .replace(EXCLUDED, (_, one, other) => `${named(one)} and ${named(other)} exclude`)
    .replace(ASSIGNED, (all, verb, key, quoted, bare, other) => {
      if (!keys.has(key)) return all;
      const value = (quoted ?? bare) + (other ? ` or ${other}` : "");
      return verb ? chosen(key, value) : `“${label(key)}: ${value}”`;
    })
    .replace(/\bgive ([a-z][a-z-]*) too\b/g, (all, key) => (keys.has(key) ? `fill in ${label(key)} too` : all))
    .replace(KEY, named);
}

function chosen(key, value) {
  if (ON.has(value)) return `turn ${label(key)} on`;
  return /[:/]/.test(value) ? `write ${value} into ${label(key)}` : `choose ${value} for ${label(key)}`;
}

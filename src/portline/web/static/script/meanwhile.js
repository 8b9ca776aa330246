// What somebody else has changed while a form was open: another window, a command, or an editor.

import { same, written } from "./description.js";
import { label } from "./fields.js";
import { confirmed } from "./notices.js";
import { ask } from "./server.js";

/**
 * Whether `options` may be set of a connection, as it was when the form was opened; asks where that
 * would undo what somebody else has set since. `known` are the options of its kind by key.
 */
export async function agreed({ name, options: before }, known, options) {
  const { connections } = await ask("status", { names: name });
  const now = connections.find((each) => each.name === name)?.options;
  if (!now) return true; // the service says what is wrong then
  const theirs = Object.keys(options).filter((key) => {
    const option = known.get(key);
    const there = now[key] ?? null;
    const wanted = options[key] ?? option?.default ?? null;
    return option && !same(option, there, before[key] ?? null) && !same(option, there, wanted);
  });
  if (!theirs.length) return true;
  const told = theirs.map((key) => `${label(key)} is ${written(known.get(key), now[key]) || "none"}`);
  return confirmed({
    title: "Somebody else has changed it",
    text: `Since you opened this form: ${told.join("; ")}. Save what you have filled in instead?`,
    action: "Save mine",
    danger: true,
  });
}

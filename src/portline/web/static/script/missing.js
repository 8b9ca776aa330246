// A page about a connection that does not exist: what there is instead, and the way home.

import { el, link } from "./elements.js";
import { ask } from "./server.js";

const NAMED = 12; // connections that are named; of more the number is told

/** Tell whether there is a connection of that name; asks the service where that is not known yet. */
export async function exists(connections, name) {
  if (connections.get(name)) return true;
  try {
    const found = (await ask("status", { names: name })).connections;
    return found.some((each) => each.name === name);
  } catch {
    return true; // nobody knows; the page itself tells what is wrong with the service
  }
}

export async function page({ main }, name) {
  const word = location.pathname.split("/")[1];
  const names = (await ask("status")).connections.map((each) => each.name);
  const named = names.slice(0, NAMED).map((each) => link(`/${word}/${encodeURIComponent(each)}`, each));
  const more = names.length - named.length;
  main.append(
    el(
      "div",
      { class: "empty" },
      el("h1", { text: `There is no connection ${name}` }),
      el(
        "p",
        {},
        named.length ? "There are: " : "There are no connections yet.",
        ...named.flatMap((each, at) => (at ? [", ", each] : [each])),
        more ? `, and ${more} more` : "",
        named.length ? "." : "",
      ),
      link("/", "Back to the connections", "button"),
    ),
  );
}

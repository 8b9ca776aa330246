// Which kind of connection: a server, a client, or datagrams.

import { el } from "./elements.js";

const KINDS = {
  server: ["Server", "It waits for peers to connect."],
  client: ["Client", "It connects to a host, again and again if need be."],
  udp: ["UDP", "It exchanges datagrams; nothing is connected."],
};

/** The choice among `kinds`, with `chosen` in it; `onChange` hears another one, null forbids it. */
export function kindChoice(kinds, chosen, onChange) {
  const radios = kinds.map((kind) =>
    el(
      "label",
      {},
      el("input", {
        type: "radio",
        name: "kind",
        value: kind,
        checked: kind === chosen,
        disabled: onChange === null && kind !== chosen,
        on: { change: () => onChange(kind) },
      }),
      el("span", { text: KINDS[kind]?.[0] ?? kind }),
    ),
  );
  return el(
    "fieldset",
    { class: "kind" },
    el("legend", { class: "label", text: "Kind of connection" }),
    el("div", { class: "segments" }, ...radios),
    el("p", { class: "help", text: KINDS[chosen]?.[1] ?? "" }),
  );
}

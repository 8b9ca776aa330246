// Home: every connection, live.

import { cablePicture, el, icon, link, mark, say, show } from "./elements.js";
import { plural, span } from "./formats.js";
import { Row, group } from "./row.js";

const GROUPS = [
  ["all", "All"],
  ["connected", "Connected"],
  ["waiting", "Waiting"],
  ["trouble", "In trouble"],
  ["stopped", "Stopped"],
];

/** What was open and chosen when Home was last left. */
const kept = { open: new Set(), group: "all", text: "" };

export function page({ main, connections }) {
  const rows = new Map();
  const chips = new Map(GROUPS.map(([key, text]) => [key, chip(key, text)]));
  const sub = el("p", { class: "sub" });
  const search = el("input", {
    type: "search",
    id: "find",
    placeholder: "Name, port or address",
    "aria-label": "Find connections",
    value: kept.text,
    on: {
      input: () => {
        kept.text = search.value;
        sift();
      },
    },
  });
  const list = el("ul", { class: "connections" });
  const none = el("p", { class: "soft nothing", role: "status" });
  const titles = el(
    "div",
    { class: "row titles", "aria-hidden": "true" },
    ...["Connection", "State", "Port", "Network", "Lines"].map((text) => el("span", { text })),
    el(
      "span",
      { class: "legend" },
      "Traffic",
      el("span", { class: "heard", text: "from port" }),
      el("span", { class: "spoken", text: "to port" }),
    ),
    el("span"),
  );
  const empty = el(
    "div",
    { class: "empty", hidden: true },
    cablePicture(),
    el("h2", { text: "No connections yet" }),
    el("p", {
      text: "A connection joins a serial port of this machine to the network: share a device with other machines, or bring a remote one here.",
    }),
    link("/new", "Make the first connection", "button first"),
  );
  const tools = el(
    "div",
    { class: "sift" },
    el("div", { class: "chips", role: "group", "aria-label": "Which connections" }, ...chips.values()),
    el("div", { class: "find" }, icon("search"), search),
  );
  const all = el("div", { class: "listing" }, titles, list, none);

  function chip(key, text) {
    return el(
      "button",
      {
        type: "button",
        class: `chip ${key === "trouble" ? "bad" : ""}`,
        on: {
          click: () => {
            kept.group = key;
            sift();
          },
        },
      },
      `${text} `,
      el("b"),
    );
  }

  function update() {
    const now = connections.all;
    const there = new Set(now.map(({ name }) => name));
    for (const [name, row] of rows)
      if (!there.has(name)) {
        forget(name, row);
      }
    let before = null;
    for (const connection of now) {
      let row = rows.get(connection.name);
      if (!row) {
        row = new Row(connection, connections, kept.open.has(connection.name), (name, open) =>
          kept.open[open ? "add" : "delete"](name),
        );
        rows.set(connection.name, row);
      } else row.update(connection);
      const next = before ? before.element.nextSibling : list.firstChild;
      if (next !== row.element) list.insertBefore(row.element, next);
      before = row;
    }
    const { process } = connections;
    say(
      sub,
      [
        plural(now.length, "connection"),
        process ? `Portline ${process.version}` : "",
        process ? `up for ${span(process.up_for)}` : "",
        process?.file ?? "",
      ]
        .filter(Boolean)
        .join(" · "),
    );
    show(empty, connections.known && !now.length);
    show(all, now.length > 0);
    show(tools, now.length > 0);
    sift();
  }

  /** Take a row away; the focus goes to its neighbour instead of nowhere. */
  function forget(name, row) {
    const had = row.element.contains(document.activeElement) || document.activeElement === document.body;
    const beside = row.element.nextElementSibling ?? row.element.previousElementSibling;
    row.end();
    row.element.remove();
    rows.delete(name);
    kept.open.delete(name);
    if (had) (beside?.querySelector(".opener") ?? main).focus();
  }

  function sift() {
    const counts = Object.fromEntries(GROUPS.map(([key]) => [key, 0]));
    const words = kept.text.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const connection of connections.all) {
      const mine = group(connection);
      counts.all += 1;
      counts[mine] += 1;
      const text = [
        connection.name,
        connection.port.name,
        connection.port.path,
        connection.state,
        connection.reason,
        ...connection.places,
        ...connection.peers.map((peer) => peer.address),
      ]
        .join(" ")
        .toLowerCase();
      const visible =
        (kept.group === "all" || kept.group === mine) && words.every((word) => text.includes(word));
      show(rows.get(connection.name).element, visible);
      shown += visible;
    }
    for (const [key, made] of chips) {
      say(made.lastElementChild, String(counts[key]));
      mark(made, "aria-pressed", String(kept.group === key));
      show(made, key === "all" || counts[key] > 0 || kept.group === key);
    }
    say(none, counts.all && !shown ? "No connection is like that." : "");
    show(none, counts.all > 0 && !shown);
  }

  main.append(
    el(
      "div",
      { class: "head" },
      el("div", { class: "titles" }, el("h1", { text: "Connections" }), sub),
      el("div", { class: "actions" }, link("/new", [icon("plus"), "New connection"], "button first")),
    ),
    tools,
    all,
    empty,
  );
  show(tools, false);
  show(all, false);
  update();
  const end = connections.listen(update);
  const timer = setInterval(() => {
    if (!document.hidden) for (const row of rows.values()) if (!row.element.hidden) row.tick();
  }, 1000);
  return () => {
    end();
    clearInterval(timer);
    for (const row of rows.values()) row.end();
  };
}

// Log: the events of the service, the newest last.

import { el, icon, link, say, show } from "./elements.js";
import { moment, plural } from "./formats.js";
import { path } from "./row.js";

const KEPT = 2000; // events; twice of what the service keeps

const RANK = { info: 0, notice: 1, warning: 2, error: 3 };

const picker = (text, list) => el("div", { class: "picker" }, el("label", { for: list.id, text }), list);

const kept = { level: "info", connection: "", text: "" };

export function page({ main, live, connections }) {
  main.classList.add("whole");
  let events = [];
  let last = 0;
  let follows = true;
  const list = el("div", {
    class: "events",
    tabindex: "0",
    role: "log",
    "aria-live": "off",
    "aria-label": "Events",
  });
  const none = el("p", { class: "soft nothing", text: "Nothing has happened yet." });
  const level = el(
    "select",
    {
      id: "level",
      on: {
        change: () => {
          kept.level = level.value;
          draw();
        },
      },
    },
    el("option", { value: "info", text: "Everything" }),
    el("option", { value: "notice", text: "Notices and worse" }),
    el("option", { value: "warning", text: "Warnings and errors" }),
    el("option", { value: "error", text: "Errors" }),
  );
  const which = el("select", {
    id: "which",
    on: {
      change: () => {
        kept.connection = which.value;
        draw();
      },
    },
  });
  const search = el("input", {
    type: "search",
    "aria-label": "Find in the log",
    placeholder: "Find",
    value: kept.text,
    on: {
      input: () => {
        kept.text = search.value;
        draw();
      },
    },
  });
  const count = el("span", { class: "soft count", role: "status" });
  level.value = kept.level;

  main.append(
    el(
      "div",
      { class: "head" },
      el(
        "div",
        { class: "titles" },
        el("h1", { text: "Log" }),
        el("p", {
          class: "sub",
          text: "What the service has told since it was started, as far as it keeps it",
        }),
      ),
    ),
    el(
      "div",
      { class: "tools-row" },
      picker("Level", level),
      picker("Connection", which),
      el("div", { class: "find" }, icon("search"), search),
      count,
    ),
    el("div", { class: "screen" }, list, none),
  );

  const suits = (event) =>
    (RANK[event.level] ?? 0) >= RANK[kept.level] &&
    (!kept.connection || event.connection === kept.connection) &&
    (!kept.text || `${event.connection} ${event.text}`.toLowerCase().includes(kept.text.toLowerCase()));

  function entry(event) {
    return el(
      "div",
      { class: `happening ${event.level}` },
      el("time", { class: "at", datetime: new Date(event.at * 1000).toISOString(), text: moment(event.at) }),
      el("span", { class: "level", text: event.level }),
      event.connection
        ? link(path("monitor", event.connection), event.connection, "whose", {
            title: `Monitor ${event.connection}`,
          })
        : el("span", { class: "whose" }),
      el("span", { class: "said", text: event.text }),
    );
  }

  function options() {
    const names = [
      ...new Set([
        ...connections.all.map(({ name }) => name),
        ...events.map((event) => event.connection).filter(Boolean),
        ...(kept.connection ? [kept.connection] : []),
      ]),
    ];
    if (
      which.options.length === names.length + 1 &&
      names.every((name, at) => which.options[at + 1].value === name)
    )
      return;
    which.replaceChildren(
      el("option", { value: "", text: "All" }),
      ...names.map((name) => el("option", { value: name, text: name })),
    );
    which.value = kept.connection;
  }

  function draw() {
    const rows = events.filter(suits).map(entry);
    list.replaceChildren(...rows);
    show(list, rows.length > 0);
    tell();
    if (follows) list.scrollTop = list.scrollHeight;
  }

  function tell() {
    show(none, !list.children.length);
    show(list, list.children.length > 0);
    say(none, events.length ? "Nothing in the log is like that." : "Nothing has happened yet.");
    say(
      count,
      list.children.length === events.length
        ? plural(events.length, "event")
        : `${list.children.length} of ${plural(events.length, "event")}`,
    );
  }

  function hear(news) {
    // A service that was restarted counts from the beginning.
    const newest = Math.max(...news.map(({ number }) => number), 0);
    if (newest && newest < last) {
      events = [];
      last = 0;
      list.replaceChildren();
    }
    const fresh = news.filter(({ number }) => number > last);
    if (!fresh.length) return;
    last = fresh.at(-1).number;
    events.push(...fresh);
    list.append(...fresh.filter(suits).map(entry));
    if (events.length > KEPT) {
      events = events.slice(-KEPT);
      draw();
    }
    options();
    tell();
    if (follows) list.scrollTop = list.scrollHeight;
  }

  list.addEventListener("scroll", () => {
    follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  });
  options();
  tell();
  const ends = [live.subscribe("events", "", hear, () => ({ since: last })), connections.listen(options)];
  return () => {
    for (const end of ends) end();
  };
}

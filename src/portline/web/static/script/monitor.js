// Monitor: everything that passes at a connection and happens to it, live.

import { button, el, icon, link, mark, say, show, smallSwitch } from "./elements.js";
import { bytes, clock, plural } from "./formats.js";
import { dump, found, needle, text } from "./hexdump.js";
import { notice } from "./notices.js";
import { pcapng } from "./pcapng.js";
import { Records } from "./records.js";

const DRAWN_MAX = 1000; // records that are in the page at a time
const BYTES_DRAWN = 1024; // of one record; all of them are in the file

/** How records are shown; kept for the next time. */
const kept = { view: "both", side: "all", events: true };

function segments(name, label, entries, chosen, change) {
  return el(
    "fieldset",
    { class: "segments", "aria-label": label },
    ...Object.entries(entries).map(([value, words]) =>
      el(
        "label",
        {},
        el("input", {
          type: "radio",
          name,
          value,
          checked: value === chosen,
          on: { change: () => change(value) },
        }),
        el("span", { text: words }),
      ),
    ),
  );
}

export function page({ main, live, connections }, name) {
  main.classList.add("whole");
  const records = new Records();
  let paused = false;
  let missed = 0;
  let wanted = null;
  let follows = true;

  const badge = el("span", { class: "soft" });
  const totals = el("p", { class: "sub" });
  const list = el("div", {
    class: "records",
    tabindex: "0",
    role: "log",
    "aria-live": "off",
    "aria-label": `Traffic of ${name}`,
  });
  const nothing = el("p", { class: "soft nothing", text: "Waiting for something to pass …" });
  const latest = button([icon("down"), "Latest"], "small latest", () => {
    follows = true;
    down();
  });
  latest.hidden = true;
  const words = el("span", { text: "Pause" });
  const pause = button([icon("pause"), words], "small", toggle, { "aria-pressed": "false" });
  const search = el("input", {
    type: "search",
    placeholder: "Text, or bytes: 0d 0a",
    "aria-label": "Show only what has this text, or these bytes in hexadecimal",
    autocomplete: "off",
    spellcheck: "false",
    on: {
      input: () => {
        wanted = needle(search.value);
        draw();
      },
    },
  });
  const count = el("span", { class: "soft count", role: "status" });
  const events = smallSwitch("Events", kept.events, (on) => {
    kept.events = on;
    draw();
  });

  main.append(
    el(
      "div",
      { class: "head" },
      el(
        "div",
        { class: "titles" },
        link("/", "← Connections", "back"),
        el("h1", {}, `Monitor ${name} `, badge),
        totals,
      ),
      el(
        "div",
        { class: "actions" },
        pause,
        button([icon("close"), "Clear"], "small", clear),
        button([icon("save"), "Save pcapng"], "small", save),
      ),
    ),
    el(
      "div",
      { class: "tools-row" },
      segments(
        "view",
        "How bytes are shown",
        { both: "Hex and text", hex: "Hex", text: "Text" },
        kept.view,
        (value) => {
          kept.view = value;
          draw();
        },
      ),
      segments(
        "side",
        "Which direction",
        { all: "Both ways", port: "From port", peer: "To port" },
        kept.side,
        (value) => {
          kept.side = value;
          draw();
        },
      ),
      events,
      el("div", { class: "find" }, icon("search"), search),
      count,
    ),
    el("div", { class: "screen" }, list, latest),
  );
  list.append(nothing);

  const width = () => (list.clientWidth < 560 ? 8 : 16);
  const suits = (record) =>
    (kept.side === "all" || kept.side === record.source || record.kind === "skipped") &&
    (kept.events || record.kind === "data" || record.kind === "skipped") &&
    found(record, wanted);

  function entry(record) {
    const from = record.source === "port";
    const row = el(
      "div",
      { class: `record ${record.kind === "data" ? (from ? "heard" : "spoken") : `event ${record.kind}`}` },
      el("span", { class: "at", text: clock(record.at) }),
      el(
        "span",
        { class: "from" },
        record.kind === "data" ? (from ? "from port" : "to port") : record.kind,
        record.peer ? el("span", { class: "peer", text: record.peer }) : null,
      ),
    );
    row.append(record.data ? content(record.data) : el("div", { class: "told", text: told(record) }));
    return row;
  }

  function content(data) {
    const part = data.subarray(0, BYTES_DRAWN);
    const box = el("div", { class: "bytes" });
    if (kept.view !== "text") {
      const lines = dump(part, width());
      box.append(el("pre", { class: "hex", text: lines.hex }));
      if (kept.view === "both") box.append(el("pre", { class: "text", text: lines.text }));
    } else {
      box.append(
        el(
          "pre",
          { class: "text" },
          ...text(part).map(([word, control]) =>
            control ? el("span", { class: "written-out", text: word }) : word,
          ),
        ),
      );
    }
    if (part.length < data.length)
      box.append(el("p", { class: "soft", text: `and ${bytes(data.length - part.length)} more` }));
    return box;
  }

  function told(record) {
    if (record.kind !== "skipped") return record.text || record.kind;
    const { bytes: lost = 0, records: many = 0 } = record.value ?? {};
    return `This page could not keep up and skipped ${bytes(lost)} in ${plural(many, "record")}.`;
  }

  function down() {
    list.scrollTop = list.scrollHeight;
    show(latest, false);
  }

  /** Show everything anew, as when the filter has changed. */
  function draw() {
    const matching = records.all.filter(suits);
    const rows = matching.slice(-DRAWN_MAX).map(entry);
    list.replaceChildren(...(rows.length ? rows : [nothing]));
    say(
      nothing,
      records.length ? "Nothing of what has passed is like that." : "Waiting for something to pass …",
    );
    tell();
    if (follows) down();
  }

  function tell() {
    const { port, peer } = records.totals;
    say(
      totals,
      `${bytes(port)} from the port, ${bytes(peer)} to the port since this page was opened${records.forgotten ? `; ${plural(records.forgotten, "record")} forgotten, the oldest` : ""}`,
    );
    say(
      count,
      paused ? `Paused; ${missed} more` : wanted ? `${list.querySelectorAll(".record").length} found` : "",
    );
  }

  function hear({ records: news }) {
    const fresh = records.take(news);
    if (paused) {
      missed += fresh.length;
      tell();
      return;
    }
    const rows = fresh.filter(suits).slice(-DRAWN_MAX).map(entry);
    if (rows.length) {
      nothing.remove();
      list.append(...rows);
      while (list.children.length > DRAWN_MAX) list.firstElementChild.remove();
      if (follows) down();
      else show(latest, true);
    }
    tell();
  }

  function toggle() {
    paused = !paused;
    mark(pause, "aria-pressed", String(paused));
    pause.firstElementChild.replaceWith(icon(paused ? "play" : "pause"));
    say(words, paused ? "Resume" : "Pause");
    if (!paused) {
      missed = 0;
      draw();
    } else tell();
  }

  function clear() {
    records.clear();
    missed = 0;
    draw();
  }

  /** Save what is shown, or would be if there were room. */
  function save() {
    const chosen = records.all.filter(suits);
    if (!chosen.length) {
      notice("There is nothing to save yet.");
      return;
    }
    const url = URL.createObjectURL(pcapng(name, chosen));
    const stamp = new Date(chosen[0].at * 1000).toISOString().slice(0, 19).replaceAll(":", "");
    el("a", { href: url, download: `${name.replace(/[^\w.-]+/g, "_")}-${stamp}.pcapng` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10000);
  }

  list.addEventListener("scroll", () => {
    follows = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
    if (follows) show(latest, false);
  });
  let wasThere = false;
  const state = () => {
    const now = connections.get(name);
    wasThere ||= Boolean(now);
    const without = wasThere ? "was removed, or has another name now" : "there is no such connection";
    say(badge, now ? now.state : connections.known ? without : "");
  };
  state();
  tell();
  const ends = [
    live.subscribe("monitor", name, hear),
    connections.listen(state),
    live.subscribe("error", "", (error) => {
      if (typeof error === "string" && error.includes(name)) notice(error, true);
    }),
  ];
  return () => {
    for (const end of ends) end();
  };
}

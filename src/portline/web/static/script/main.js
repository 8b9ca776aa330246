// The start of the page: who is logged in, the bar above, and which page is shown.

import { Connections } from "./connections.js";
import { button, el, icon, link, say } from "./elements.js";
import { Live } from "./live.js";
import { exists, page as missing } from "./missing.js";
import { announce, attempted } from "./notices.js";
import { currentSession, findSession, logOut, whenSessionEnds } from "./server.js";

/**
 * First word of the path -> title for the tab, and the module with `page(context, name)`; `of` are
 * those about one connection.
 */
const PAGES = {
  "": { title: () => "Connections", module: "./home.js" },
  new: { title: () => "New connection", module: "./form.js" },
  edit: { title: (name) => `Edit ${name}`, module: "./form.js", of: true },
  monitor: { title: (name) => `Monitor ${name}`, module: "./monitor.js", of: true },
  terminal: { title: (name) => `Terminal ${name}`, module: "./terminal.js", of: true },
  log: { title: () => "Log", module: "./log.js" },
  login: { title: () => "Log in", module: "./login.js" },
};

const main = document.getElementById("main");
const bar = document.getElementById("bar");
const connections = new Connections();
const live = new Live(linkState);
live.subscribe("status", "", (status) => connections.take(status));

/** What every page is given. */
const context = { connections, live, go, main };
let leave = null;
let turn = 0;

function linkState(state) {
  say(
    document.getElementById("link-state"),
    state === "lost" ? "The service does not answer; what you see may be old. Trying again …" : "",
  );
  if (state === "lost")
    findSession().then(
      (session) => {
        if (!session) sessionEnded();
      },
      () => {},
    );
}

let again = null;

/** Have somebody log in again: on a page of its own, or here where a form would be lost. */
async function sessionEnded() {
  if (location.pathname === "/login") return;
  if (!leave?.holds?.()) {
    go(`/login?to=${encodeURIComponent(location.pathname)}`, true);
    return;
  }
  again ??= import("./login.js")
    .then(({ logInAgain }) => logInAgain())
    .finally(() => {
      again = null;
    });
  live.stop();
  say(document.getElementById("link-state"), "You are logged out; what you see may be old.");
  if (!(await again)) return;
  live.start();
  leave?.resumes?.();
}

/** Go to a path of this page; `replace` leaves no trace in the history. */
function go(path, replace = false) {
  if (leave?.stays?.(path)) return;
  history[replace ? "replaceState" : "pushState"](null, "", path);
  route();
}

/** Return what a part of an address says; one that is no text means itself. */
function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

async function route() {
  const [, word = "", rest = ""] = location.pathname.split("/");
  const name = decoded(rest);
  const session = currentSession();
  if (!session && word !== "login") {
    go(`/login?to=${encodeURIComponent(location.pathname)}`, true);
    return;
  }
  const chosen = PAGES[word] ?? PAGES[""];
  if (session) live.start();
  else {
    live.stop();
    connections.clear();
  }
  const mine = ++turn;
  const [{ page }, isThere] = await Promise.all([
    import(chosen.module),
    session && chosen.of ? exists(connections, name) : true,
  ]);
  if (mine !== turn) return; // somebody was quicker
  leave?.();
  leave = null;
  document.title = `${chosen.title(name)} · Portline`;
  frame(word);
  main.className = "";
  main.replaceChildren();
  window.scrollTo(0, 0);
  leave = (await (isThere ? page : missing)(context, name)) ?? null;
  if (mine === 1) return;
  if (!main.contains(document.activeElement) || document.activeElement === main)
    main.focus({ preventScroll: true });
  announce(chosen.title(name));
}

function frame(word) {
  if (!currentSession()) {
    bar.replaceChildren();
    return;
  }
  const tab = (path, text, own) => link(path, text, "", { "aria-current": own ? "page" : null });
  bar.replaceChildren(
    link(
      "/",
      [el("img", { src: "/static/favicon.svg", alt: "" }), el("span", { text: "Portline" })],
      "brand",
      { "aria-label": "Portline, to the connections" },
    ),
    el(
      "nav",
      { "aria-label": "Pages" },
      tab("/", "Connections", word === ""),
      tab("/new", "New", word === "new"),
      tab("/log", "Log", word === "log"),
    ),
    el("span", {
      class: "host",
      text: currentSession().name ?? "",
      title: `Portline ${currentSession().version ?? ""}`,
    }),
    el(
      "div",
      { class: "tools" },
      shadeButton(),
      button([icon("leave"), el("span", { class: "unseen", text: "Log out" })], "bare icon", end, {
        title: "Log out",
      }),
    ),
  );
}

function shadeButton() {
  const words = () => (window.shade.now() === "dark" ? "Light colours" : "Dark colours");
  const press = () => {
    window.shade.turn();
    const next = shadeButton();
    made.replaceWith(next);
    next.focus();
  };
  const made = button(
    [icon(window.shade.now() === "dark" ? "sun" : "moon"), el("span", { class: "unseen", text: words() })],
    "bare icon",
    press,
    { title: words() },
  );
  return made;
}

async function end() {
  await attempted(logOut);
  go("/login");
}

document.addEventListener("click", (event) => {
  const anchor = event.target.closest?.("a[href^='/']");
  const plain = event.button === 0 && !(event.metaKey || event.ctrlKey || event.shiftKey || event.altKey);
  if (!anchor || !plain || anchor.target || anchor.hasAttribute("download")) return;
  event.preventDefault();
  go(anchor.getAttribute("href"));
});
window.addEventListener("popstate", route);
whenSessionEnds(sessionEnded);

// News of states for screen readers: only what changed, and not what was there at first.
connections.listen((changed) => {
  for (const [name, before] of changed) {
    const now = connections.get(name);
    if (before && now && before.state !== now.state)
      announce(`${name}: ${now.state}${now.reason ? `, ${now.reason}` : ""}`);
  }
});

async function start() {
  try {
    await findSession();
    await route();
  } catch (problem) {
    main.replaceChildren(
      el(
        "div",
        { class: "empty" },
        el("h2", { text: "Portline does not answer" }),
        el("p", { text: problem.message }),
        button("Try again", "first", () => location.reload()),
      ),
    );
  }
}
start();

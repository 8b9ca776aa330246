// What is told beside the page: short notices for the eye, sentences for screen readers, and
// questions before something is done that cannot be undone.

import { button, el, icon, prose, say } from "./elements.js";

const SHOWN = 6000; // ms; long enough to read two lines
const ROOM = 4; // notices at a time
const GATHERED = 1500; // ms; news within it become one announcement

/** Tell that something was done, or (`bad`) was not. Faults stay until they are dismissed. */
export function notice(text, bad = false) {
  const box = document.getElementById("toasts");
  const toast = el(
    "div",
    { class: bad ? "toast bad" : "toast", role: bad ? "alert" : "status" },
    el("p", {}, prose(text)),
  );
  const end = () => toast.remove();
  toast.append(
    el(
      "button",
      { type: "button", class: "button bare icon small", "aria-label": "Dismiss", on: { click: end } },
      icon("close"),
    ),
  );
  box.append(toast);
  while (box.children.length > ROOM) box.firstElementChild.remove();
  if (!bad) setTimeout(end, SHOWN);
}

const waiting = [];
let timer = null;

/** Have a screen reader say something when it has time; news that come together are said together. */
export function announce(text) {
  waiting.push(text.replaceAll("`", ""));
  timer ??= setTimeout(() => {
    timer = null;
    const texts = waiting.splice(0);
    const said =
      texts.length > 3
        ? `${texts.slice(0, 2).join(". ")}, and ${texts.length - 2} more changes`
        : texts.join(". ");
    say(document.getElementById("announcer"), said);
  }, GATHERED);
}

/**
 * Ask before something is done; returns whether it was agreed to. The dialog is the browser's own,
 * which keeps the focus inside, closes with Escape, and gives the focus back. `more` are elements
 * below the text.
 */
export function confirmed({ title, text, action, danger = false, more = [] }) {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "dialog-title", "aria-describedby": "dialog-text" });
    const close = (answer) => {
      dialog.returnValue = answer;
      dialog.close();
    };
    dialog.append(
      el(
        "form",
        {
          method: "dialog",
          on: {
            submit: (event) => {
              event.preventDefault();
              close("yes");
            },
          },
        },
        el("h2", { id: "dialog-title", text: title }),
        el("p", { id: "dialog-text", text }),
        ...more,
        el(
          "div",
          { class: "actions" },
          button("Cancel", "", () => close(""), { autofocus: true }),
          el("button", { type: "submit", class: `button first ${danger ? "danger" : ""}`, text: action }),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}

/** Do something that asks the service; its fault becomes a notice. Returns whether it went well. */
export async function attempted(work, done) {
  try {
    await work();
    if (done) notice(done);
    return true;
  } catch (problem) {
    notice(problem.lines?.length ? problem.lines.join("\n") : problem.message, true);
    return false;
  }
}

// The page to log in on.

import { el } from "./elements.js";
import { logIn, currentSession } from "./server.js";

/** Where to go afterwards: a path of this page, whatever somebody has put into the address. */
function target() {
  const to = new URLSearchParams(location.search).get("to") ?? "/";
  return /^\/(?![/\\])/.test(to) && !to.startsWith("/login") ? to : "/";
}

/** The form to log in with: {element, input}; `done` is called when that has gone well. */
function gate(done) {
  const mistake = el("p", { class: "mistake", id: "login-mistake", role: "alert" });
  const input = el("input", {
    type: "password",
    id: "password",
    name: "password",
    autocomplete: "current-password",
    required: true,
    "aria-describedby": "login-mistake",
  });
  const submit = el("button", { type: "submit", class: "button first", text: "Log in" });

  async function send(event) {
    event.preventDefault();
    submit.disabled = true;
    mistake.textContent = "";
    try {
      await logIn(input.value);
      done();
    } catch (problem) {
      const wait = problem.retryAfter ? ` Try again in ${Math.ceil(problem.retryAfter)} s.` : "";
      const words = { 401: "That is not the password.", 429: "Too many wrong passwords from your address." };
      mistake.textContent = (words[problem.status] ?? problem.message) + wait;
      input.setAttribute("aria-invalid", "true");
      input.select();
      input.focus();
    } finally {
      submit.disabled = false;
    }
  }

  const element = el(
    "form",
    { on: { submit: send }, novalidate: true },
    // For password managers, which look for who logs in.
    el("input", {
      type: "text",
      name: "username",
      value: "portline",
      autocomplete: "username",
      hidden: true,
    }),
    el("label", { for: "password", text: "Password" }),
    input,
    mistake,
    submit,
  );
  return { element, input };
}

/** Ask for the password over the page that is there; returns whether somebody is logged in then. */
export function logInAgain() {
  return new Promise((resolve) => {
    const dialog = el("dialog", { "aria-labelledby": "again-title", "aria-describedby": "again-text" });
    const { element, input } = gate(() => dialog.close());
    element.prepend(
      el("h2", { id: "again-title", text: "Log in again" }),
      el("p", { id: "again-text", text: "You are logged out. What you have filled in is still here." }),
    );
    dialog.append(element);
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(currentSession() !== null);
    });
    document.body.append(dialog);
    dialog.showModal();
    input.focus();
  });
}

export function page({ main, go }) {
  if (currentSession()) {
    go(target(), true);
    return;
  }
  const { element, input } = gate(() => go(target(), true));
  main.append(
    el(
      "div",
      { class: "gate" },
      el(
        "div",
        { class: "brand" },
        el("img", { src: "/static/favicon.svg", alt: "" }),
        el("h1", { text: "Portline" }),
      ),
      element,
      el(
        "p",
        {},
        "It was printed when the page was first started; ",
        el("code", { text: "portline password --web" }),
        " sets another one.",
      ),
    ),
  );
  input.focus();
}

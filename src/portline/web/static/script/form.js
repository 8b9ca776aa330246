// "New connection" and "Edit": the form that is made from the description of the options.
//
// Theory of operation
// -------------------
// Whenever something was filled in, `check` is asked what would be wrong and which options would do
// nothing. Those are greyed with the reason and not sent. Mistakes appear beside fields that were
// touched, and, once somebody has tried to save, beside all; then they are listed above, too.

import { description, optionsOf } from "./description.js";
import { changes, newOptions } from "./draft.js";
import { el, link, prose, say } from "./elements.js";
import { Field } from "./fields.js";
import { kindChoice } from "./kind-choice.js";
import { LineTable, isOfTable } from "./line-table.js";
import { confirmed, notice } from "./notices.js";
import { PortChoice } from "./port-choice.js";
import { act, ask } from "./server.js";
import { Summary, sentence, worded } from "./summary.js";
import { spoken } from "./wording.js";

const CHECKED = 250; // ms after the last key
const TRIES = 3; // answers that may be overtaken by more typing before a save is given up

export async function page(context, name) {
  const { main, go } = context;
  main.classList.add("narrow");
  const before = location.pathname.startsWith("/edit/") ? name : "";
  try {
    const described = await description();
    const connection = before
      ? (await ask("status", { names: before })).connections.find((each) => each.name === before)
      : null;
    const form = new Form(described, connection, go);
    main.append(form.element);
    form.begin();
    const end = () => form.end();
    end.stays = (path) => form.stays(path);
    end.holds = () => form.isDirty;
    end.resumes = () => form.resumes();
    return end;
  } catch (problem) {
    main.append(
      el(
        "div",
        { class: "empty" },
        el("h2", { text: before ? `${before} cannot be edited` : "The form cannot be shown" }),
        el("p", {}, prose(problem.message)),
        link("/", "Back to the connections", "button"),
      ),
    );
    return null;
  }
}

class Form {
  #described;
  #connection;
  #was; // the options that were shown, with which a save would go over nothing unseen
  #go;
  #fields = new Map();
  #kind;
  #sections = el("div", { class: "sections" });
  #contents = el("ol", {});
  #summary = new Summary((option) => this.#goTo(option));
  #name;
  #save;
  #port = null;
  #table = null;
  #off = new Set();
  #tried = false;
  #dirty = false;
  #timer = null;
  #turn = 0;
  #unload = (event) => {
    if (this.#dirty) event.preventDefault();
  };

  constructor(described, connection, go) {
    this.#described = described;
    this.#connection = connection;
    this.#was = { ...connection?.options };
    this.#go = go;
    this.#kind = connection?.options.kind ?? "server";
    this.#name = new Field(
      {
        key: "name",
        text: "What it is called, here and everywhere",
        why: "",
        value: "text",
        choices: [],
        default: null,
        many: false,
        allowed: "",
      },
      () => this.#changed(),
    );
    this.#save = el("button", {
      type: "submit",
      class: "button first",
      text: connection ? "Save" : "Create",
    });
    const title = connection ? `Edit ${connection.name}` : "New connection";
    this.element = el(
      "form",
      {
        class: "form",
        novalidate: true,
        on: {
          submit: (event) => {
            event.preventDefault();
            this.#submit();
          },
        },
      },
      el(
        "div",
        { class: "head" },
        el("div", { class: "titles" }, link("/", "← Connections", "back"), el("h1", { text: title })),
      ),
      this.#summary.element,
      el(
        "div",
        { class: "form-body" },
        el("nav", { class: "contents", "aria-label": "Groups of options" }, this.#contents),
        this.#sections,
      ),
      el("div", { class: "form-end" }, link("/", "Cancel", "button"), this.#save),
    );
  }

  begin() {
    this.#build();
    if (this.#connection) this.#name.set(this.#connection.name);
    this.#name.focus();
    window.addEventListener("beforeunload", this.#unload);
    this.#port.look();
    this.#check();
  }

  end() {
    clearTimeout(this.#timer);
    this.#turn += 1;
    window.removeEventListener("beforeunload", this.#unload);
  }

  /** Whether something was filled in that is not saved. */
  get isDirty() {
    return this.#dirty;
  }

  /** Go on after somebody has logged in again. */
  resumes() {
    this.#check();
  }

  /** Keep somebody from losing what was filled in; goes on to `path` when that is meant. */
  stays(path) {
    if (!this.#dirty) return false;
    confirmed({
      title: "Leave without saving?",
      text: "What you have filled in is lost.",
      action: "Leave",
      danger: true,
    }).then((agreed) => {
      if (agreed) {
        this.#dirty = false;
        this.#go(path);
      }
    });
    return true;
  }

  /** Make the sections for the kind; what was filled in of options that both kinds have stays. */
  #build() {
    const kept = new Map([...this.#fields].map(([key, field]) => [key, field]));
    const present = this.#connection?.options ?? {};
    const known = optionsOf(this.#described, this.#kind);
    known.delete("kind");
    this.#fields = new Map();
    this.#table = null;
    const field = (option) => {
      const made = new Field(option, (each) => this.#changed(each));
      this.#fields.set(option.key, made);
      return made;
    };
    const sections = [];
    for (const group of this.#described.kinds[this.#kind].groups) {
      const options = group.options.filter((option) => known.has(option.key));
      const ofTable = options.filter(isOfTable);
      const rest = options.filter(
        (option) =>
          !isOfTable(option) && option.key !== "port" && option.key !== "virtual" && option.key !== "enabled",
      );
      const box = el(
        "section",
        { class: "group", id: slug(group.name), "aria-labelledby": `${slug(group.name)}-title` },
        el("h2", { id: `${slug(group.name)}-title`, text: group.name }),
      );
      if (options.some((option) => option.key === "port")) {
        this.#port = new PortChoice(field(known.get("port")), field(known.get("virtual")), () =>
          this.#changed(),
        );
        const kinds = Object.keys(this.#described.kinds);
        // Of a connection that is there it cannot be changed.
        const turn = this.#connection ? null : (kind) => this.#turnInto(kind);
        box.append(this.#name.element, kindChoice(kinds, this.#kind, turn), this.#port.element);
      }
      for (const option of rest) box.append(field(option).element);
      if (ofTable.length) {
        this.#table = new LineTable(ofTable, (each) => this.#changed(each));
        for (const each of this.#table.fields) this.#fields.set(each.key, each);
        box.append(this.#table.element);
      }
      sections.push(box);
    }
    this.#sections.replaceChildren(...sections);
    this.#contents.replaceChildren(
      ...sections.map((box) =>
        el(
          "li",
          {},
          el(
            "a",
            {
              href: `#${box.id}`,
              on: {
                click: (event) => {
                  event.preventDefault();
                  box.scrollIntoView({ behavior: "smooth" });
                },
              },
            },
            box.firstElementChild.textContent,
            el("span", { class: "count" }),
          ),
        ),
      ),
    );
    const wasVirtual = kept.size ? this.#wasVirtual : Boolean(present.virtual);
    for (const [key, made] of this.#fields) {
      made.set(kept.has(key) ? kept.get(key).value : (present[key] ?? null));
      made.touched = kept.get(key)?.touched ?? false;
    }
    this.#port.isVirtual = wasVirtual;
  }

  #wasVirtual = false;

  #turnInto(kind) {
    this.#kind = kind;
    this.#wasVirtual = this.#port.isVirtual;
    this.#build();
    this.#port.look();
    this.element.querySelector(`input[name="kind"][value="${kind}"]`).focus();
    this.#changed();
  }

  get #title() {
    return this.#name.value === null ? "" : String(this.#name.value);
  }

  /** What would be sent: for a new connection all that is written, for an old one what changes. */
  #options() {
    const off = new Set([...this.#off, this.#port.isVirtual ? "port" : "virtual"]);
    const chosen = this.#port.isVirtual ? "virtual" : "port";
    const options = this.#connection
      ? changes(this.#connection.options, this.#fields, off)
      : newOptions(this.#kind, this.#fields, off);
    // A port that is missing is told beside its field, and decides what applies all the same.
    if (this.#fields.get(chosen).value === null) options[chosen] = "";
    return options;
  }

  #changed() {
    this.#dirty = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#check(), CHECKED);
  }

  /** Ask what would be wrong; returns the mistakes, or null when something newer was asked. */
  async #check() {
    clearTimeout(this.#timer);
    const mine = ++this.#turn;
    const request = () =>
      act("check", { name: this.#title, options: this.#options(), before: this.#connection?.name ?? "" });
    try {
      let answer = await request();
      if (mine !== this.#turn) return null;
      const off = Object.keys(answer.not_applicable);
      // What has just ceased to apply, or begun to, changes what would be sent.
      if (off.length !== this.#off.size || off.some((key) => !this.#off.has(key))) {
        this.#grey(answer.not_applicable);
        answer = await request();
        if (mine !== this.#turn) return null;
      }
      this.#grey(answer.not_applicable);
      this.#tell(answer.mistakes);
      return answer.mistakes;
    } catch (problem) {
      if (mine !== this.#turn) return null;
      const faults = [{ option: "", text: problem.message }];
      if (this.#tried) this.#summary.tell(faults, this.#all);
      return faults;
    }
  }

  #grey(reasons) {
    const there = Object.fromEntries(
      Object.entries(reasons)
        .filter(([key]) => this.#fields.has(key) && key !== "port" && key !== "virtual")
        .map(([key, text]) => [key, spoken(text, this.#fields)]),
    );
    this.#off = new Set(Object.keys(reasons).filter((key) => key !== "port" && key !== "virtual"));
    for (const [key, field] of this.#fields)
      if (!this.#table?.fields.includes(field)) field.applies(there[key] ?? "");
    this.#table?.applies(there);
  }

  /** Every field by its key, that of the name first. */
  get #all() {
    return new Map([["name", this.#name], ...this.#fields]);
  }

  #tell(found) {
    const all = this.#all;
    const mistakes = worded(found, all);
    const counts = new Map();
    for (const [key, field] of all) {
      const texts = mistakes.filter(({ option }) => option === key).map(({ text }) => text);
      const shown = texts.length && (field.touched || this.#tried) ? sentence(texts.join("; ")) : "";
      field.mistaken(shown);
      const group = field.element.closest("section");
      if (shown && group) counts.set(group.id, (counts.get(group.id) ?? 0) + 1);
    }
    for (const item of this.#contents.querySelectorAll("a"))
      say(item.lastElementChild, String(counts.get(item.hash.slice(1)) ?? ""));
    this.#summary.tell(this.#tried ? mistakes : [], all);
  }

  /** What others have changed since the form was shown and this save has left alone, in a sentence. */
  async #others(title, options) {
    const found = (await ask("status", { names: title })).connections.find((each) => each.name === title);
    const shown = this.#connection.options;
    const text = (value) => (Array.isArray(value) ? value.join(", ") : String(value));
    const changed = Object.entries(found?.options ?? {})
      .filter(([key, now]) => !(key in options) && now !== null && (shown[key] ?? null) !== null)
      .filter(([key, now]) => text(now) !== text(shown[key]))
      .map(([key, now]) => `${key} is ${text(now)}, and was ${text(shown[key])}`);
    return changed.length ? `Somebody else has changed it meanwhile: ${changed.join("; ")}.` : "";
  }

  #goTo(option) {
    if (option === "port" || option === "virtual") this.#port.isVirtual = option === "virtual";
    this.#all.get(option).focus();
  }

  async #submit() {
    this.#tried = true;
    this.#save.disabled = true;
    try {
      let mistakes = null;
      // Somebody who goes on typing has the next answer count.
      for (let tries = 0; mistakes === null && tries < TRIES; tries += 1) mistakes = await this.#check();
      if (mistakes === null || mistakes.length) {
        if (this.#summary.isShown) this.#summary.focus();
        return;
      }
      const options = this.#options();
      const old = this.#connection?.name;
      const title = this.#title;
      const rename = title === old ? {} : { rename: title };
      const { changes: made, note = "" } = old
        ? await act("update", { name: old, options, ...rename, was: this.#was })
        : await act("add", { name: title, options });
      this.#dirty = false;
      // What somebody has written into the file by hand is in force with it.
      const more = made.filter((line) => ![title, old].some((name) => line.startsWith(`${name}: `)));
      const told = [
        `${title} is ${old ? "saved" : "made"}${note ? `, but ${note}` : ""}.`,
        old ? await this.#others(title, options) : "",
        more.length ? `Of the file is in force now, too: ${more.join("; ")}` : "",
      ];
      notice(told.filter(Boolean).join(" "), Boolean(note));
      this.#go("/");
    } catch (problem) {
      // Somebody has changed it meanwhile: who is told of it and saves again means it.
      if (problem.status === 409) for (const { option } of problem.mistakes ?? []) delete this.#was[option];
      const mistakes = problem.mistakes?.length
        ? problem.mistakes
        : (problem.lines?.length ? problem.lines : [problem.message]).map((text) => ({ option: "", text }));
      this.#tell(mistakes);
      this.#summary.focus();
    } finally {
      this.#save.disabled = false;
    }
  }
}

const slug = (text) => `group-${text.toLowerCase().replace(/[^a-z]+/g, "-")}`;

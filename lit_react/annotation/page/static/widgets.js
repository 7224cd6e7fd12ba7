// One widget for each form of an answer: what people see of a question, and the answer that they gave.
// A widget has `parts` [text, answer] (elements), `value()` (undefined: none yet), `load(answer)`, and `key(event)`,
// which says whether it used a key.

import { Words } from "./words.js";

const MANY = 9; // classes that have a key each; more of them get a field to search in

export function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const percent = (share) => (share < 0.005 ? "< 1 %" : `${(100 * share).toFixed(0)} %`);
const hueOf = (labels) => (label) => Math.round((Math.max(labels.indexOf(label), 0) * 137.5 + 210) % 360);

/** Buttons for names, nine of them with a key; with many names a search field, and what the model thinks first. */
class Choices {
  constructor(labels, suggestions, { pick, kind = "button", hues }) {
    Object.assign(this, { labels, pick, kind, hues, chosen: new Set(), model: new Map(suggestions) });
    this.element = make("div", { className: "choices" });
    if (labels.length > MANY) {
      this.search = make("input", { type: "search", placeholder: `Search ${labels.length} names`, autocomplete: "off", spellcheck: false });
      this.search.setAttribute("aria-label", `Search ${labels.length} names, Enter takes the first`);
      this.search.addEventListener("input", () => this.draw());
      this.search.addEventListener("keydown", (event) => {
        if (event.key === "Enter" && !event.ctrlKey) {
          event.preventDefault();
          if (this.search.value.trim() && this.shown.length) this.take(this.shown[0]);
        } else if (event.key === "Escape") {
          this.search.value = "";
          this.search.blur();
          this.draw();
        } else if (event.key === "ArrowDown") this.list.querySelector("button, input")?.focus();
        else return;
        event.stopPropagation();
      });
      this.element.append(make("label", { className: "search" }, this.search, make("kbd", { textContent: "/" })));
    }
    this.list = this.element.appendChild(make("div", { className: labels.length > MANY ? "list many" : "list" }));
    this.list.setAttribute("role", "group");
    this.list.setAttribute("aria-label", "Names to choose from");
    this.draw();
  }

  take(name) {
    this.pick(name);
    if (this.search) this.search.value = "";
    this.draw();
  }

  draw() {
    const sought = (this.search?.value ?? "").trim().toLowerCase();
    const found = this.labels.filter((name) => name.toLowerCase().includes(sought));
    const rank = (name) => (sought && !name.toLowerCase().startsWith(sought) ? 1 : 0);
    const guess = (name) => (document.body.classList.contains("unbiased") ? 0 : (this.model.get(name) ?? 0));
    this.shown = this.search ? found.sort((a, b) => rank(a) - rank(b) || guess(b) - guess(a)) : found;
    this.list.replaceChildren(...this.shown.map((name, place) => this.choice(name, place)));
    if (!this.shown.length) this.list.append(make("p", { textContent: "No such name." }));
  }

  choice(name, place) {
    const key = place < MANY ? [make("kbd", { textContent: place + 1, ariaHidden: "true" })] : [];
    const share = this.model.get(name);
    const guess = share === undefined ? [] : [make("span", { className: "guess", textContent: percent(share) })];
    const inside = [...key, make("span", { className: "name", textContent: name, dir: "auto" }), ...guess];
    let element;
    if (this.kind === "checkbox") {
      const box = make("input", { type: "checkbox", checked: this.chosen.has(name) });
      box.addEventListener("change", () => this.take(name));
      element = make("label", { className: "choice" }, box, ...inside);
    } else {
      element = make("button", { type: "button", className: "choice" }, ...inside);
      element.setAttribute("aria-pressed", this.chosen.has(name));
      element.addEventListener("click", () => this.take(name));
    }
    if (place < MANY) element.setAttribute("aria-keyshortcuts", place + 1);
    if (share !== undefined) element.style.setProperty("--share", share);
    if (this.hues) element.style.setProperty("--hue", this.hues(name));
    return element;
  }

  key(event) {
    if (event.key === "/" && this.search) this.search.focus();
    else if (/^[1-9]$/.test(event.key) && this.shown[event.key - 1] !== undefined) this.take(this.shown[event.key - 1]);
    else return false;
    return true;
  }
}

/** A text with what `<e1> </e1> <e2> </e2>` mark highlighted; mentions may overlap. */
function paragraph({ text, head }) {
  const element = make("p", { className: "plain", dir: "auto" });
  const parts = head === undefined ? [text] : text.split(/(\s*<\/?e[12]>\s*)/);
  const inside = new Set();
  for (const part of parts) {
    const [, end, entity] = (head !== undefined && part.match(/^\s*<(\/?)e([12])>\s*$/)) || [];
    if (entity === undefined) {
      const kinds = [...inside].map((number) => `e${number}`).join(" ");
      element.append(kinds ? make("mark", { className: kinds, textContent: part }) : part);
      continue;
    }
    if (end) {
      inside.delete(entity);
      element.append(make("sub", { textContent: `e${entity}` }), /\s$/.test(part) ? " " : "");
    } else {
      if (/^\s/.test(part)) element.append(" ");
      inside.add(entity);
    }
  }
  return element;
}

/** A name that is no class yet: looked up first, then confirmed. */
function newClass({ save, look, found }) {
  const names = make("datalist", { id: "found" }, ...found.map((value) => make("option", { value })));
  const field = make("input", { type: "text", maxLength: 60, autocomplete: "off", placeholder: "Name of the class" });
  field.setAttribute("aria-label", "Name of the new class");
  field.setAttribute("list", "found");
  const said = make("p", { className: "said" });
  said.setAttribute("role", "status");
  const choices = make("div", { className: "tools" });
  const offer = (textContent, act) => {
    const button = make("button", { type: "button", textContent });
    button.addEventListener("click", act);
    return button;
  };
  const ask = async () => {
    const name = field.value.trim().replace(/\s+/g, " ");
    if (!name) return field.focus();
    try {
      const { known, near } = await look(name);
      const is = known ?? near;
      const isNew = offer(`“${name}” is new`, () => save(null, name));
      said.textContent = known ? `“${known}” is a class already.` : near ? `Is it “${near}”?` : "Is it none of the classes? The text is kept with this name, and learned once the run has the class.";
      choices.replaceChildren(...(is ? [offer(`It is “${is}”`, () => save(is))] : []), ...(known ? [] : [isNew]));
      choices.firstChild.focus();
    } catch (error) {
      said.textContent = error.message;
    }
  };
  field.addEventListener("input", () => (choices.replaceChildren(), (said.textContent = "")));
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter") return;
    event.preventDefault();
    event.stopPropagation();
    ask();
  });
  const row = make("div", { className: "search" }, field, names, offer("Look up", ask));
  return make("details", { className: "new" }, make("summary", { textContent: "None of these: a new class" }), row, said, choices);
}

function oneClass(question, actions) {
  const { save } = actions;
  const choices = new Choices(question.labels, question.suggestions, { pick: (name) => save(name) });
  const load = (name) => {
    choices.chosen = new Set([name]);
    choices.draw();
  };
  const answer = make("div", {}, choices.element, ...(question.head === undefined ? [newClass(actions)] : []));
  return { parts: [paragraph(question), answer], load, value: () => undefined, key: (event) => choices.key(event), redraw: () => choices.draw() };
}

function someClasses(question, { changed }) {
  const toggle = (name) => {
    if (!choices.chosen.delete(name)) choices.chosen.add(name);
    changed();
  };
  const choices = new Choices(question.labels, question.suggestions, { pick: toggle, kind: "checkbox" });
  const load = (names) => {
    choices.chosen = new Set(names);
    choices.draw();
  };
  const value = () => question.labels.filter((name) => choices.chosen.has(name));
  return { parts: [paragraph(question), choices.element], load, value, key: (event) => choices.key(event), redraw: () => choices.draw() };
}

function entities(question, { changed, say }) {
  const hue = hueOf(question.labels);
  const set = (marks) => {
    words.marks = marks.sort((a, b) => a.start - b.start);
    words.draw();
    changed();
  };
  const remove = (mark) => {
    set(words.marks.filter((other) => other !== mark));
    say(`${mark.label} removed`);
  };
  const words = new Words(question.text, question.tokens, { named: "Words of the text", onRemove: remove, hue });
  const name = (label) => {
    if (!words.selected) return say("Select words first");
    const [first, last] = words.selected;
    const apart = words.marks.filter((mark) => mark.end <= first || mark.start > last);
    words.select();
    set([...apart, { start: first, end: last + 1, label }]);
    say(`${label}: ${question.tokens.slice(first, last + 1).join(" ")}`);
  };
  const choices = new Choices(question.labels, question.suggestions, { pick: name, hues: hue });
  const value = () => words.marks.map(({ start, end, label }) => ({ start, end, label }));
  const load = (marks) => set(marks.map((mark) => ({ ...mark })));
  return { parts: [words.element, choices.element], value, load, key: (event) => choices.key(event), redraw: () => choices.draw() };
}

/** An answer that stands in the context; its start counts characters, not UTF-16 units. */
function oneSpan(question, { changed }) {
  const { context } = question;
  const said = make("p", { className: "said" });
  const onSelect = (selected) => {
    said.textContent = selected ? `Answer: ${text(selected)}` : "Mark the answer in the text.";
    changed();
  };
  const words = new Words(context, null, { named: "Words of the context", onSelect });
  const text = ([first, last]) => context.slice(words.places[first][0], words.places[last][1]);
  const value = () => words.selected && { text: text(words.selected), start: Array.from(context.slice(0, words.places[words.selected[0]][0])).length };
  const load = (answer) => {
    const from = Array.from(context).slice(0, answer.start ?? 0).join("").length;
    const to = from + answer.text.length;
    const inside = words.places.flatMap(([start, end], word) => (start < to && end > from ? [word] : []));
    if (inside.length) words.select(inside[0], inside.at(-1));
  };
  words.select();
  const asked = make("p", { className: "asked", textContent: question.text, dir: "auto" });
  return { parts: [make("div", {}, asked, words.element), said], load, value: () => value() ?? undefined, key: () => false };
}

function writing(question, { changed }) {
  const area = make("textarea", { rows: 4, dir: "auto", className: "writing" });
  area.setAttribute("aria-label", "Your text");
  area.addEventListener("input", changed);
  const load = (text) => (area.value = [text].flat().join("\n"));
  return { parts: [paragraph(question), area], load, value: () => area.value.trim() || undefined, key: () => false, focus: area };
}

const WIDGETS = {
  class: { task: "Which class is it?", make: oneClass, saves: false },
  classes: { task: "Which of these is it? None, one or several.", make: someClasses, saves: true },
  spans: { task: "Mark the entities: select words, then choose their type.", make: entities, saves: true },
  span: { task: "Mark the answer.", make: oneSpan, saves: true },
  text: { task: "Write the answer.", make: writing, saves: true },
};

/** The widget of a question, by the form of its answer; what has no names is written. */
export function widgetOf(question, actions) {
  const form = question.form === "class" && !question.labels?.length ? "text" : question.form;
  const kind = WIDGETS[form] ?? WIDGETS.text;
  const task = form === "class" && question.head !== undefined ? `How are “${question.head}” (e1) and “${question.tail}” (e2) related?` : kind.task;
  return { task, saves: kind.saves, ...kind.make(question, actions) };
}

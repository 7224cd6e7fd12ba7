// The words of a text, to be selected with the mouse, a finger or the keyboard, and marked.

const HAN = "\\p{Script=Han}\\p{Script=Hiragana}\\p{Script=Katakana}";
const WORD = new RegExp(`[${HAN}]|(?:(?![${HAN}])[\\p{L}\\p{M}\\p{N}_])+|\\S`, "gu");

/** Where each word begins and ends in a text (UTF-16): those that are given, or else words, signs and Han characters. */
export function places(text, tokens) {
  if (!tokens) return Array.from(text.matchAll(WORD), (found) => [found.index, found.index + found[0].length]);
  let from = 0;
  return tokens.map((token) => {
    const start = Math.max(text.indexOf(token, from), from);
    from = start + token.length;
    return [start, from];
  });
}

/** A text whose words can be selected; `selected` is [first, last] or null, `marks` are [{start, end, label}] of words. */
export class Words {
  constructor(text, tokens, { named, onSelect, onRemove, hue = () => 0 }) {
    Object.assign(this, { text, onSelect, onRemove, hue, places: places(text, tokens), marks: [], selected: null, cursor: 0 });
    this.element = document.createElement("div");
    this.element.className = "words";
    this.element.setAttribute("role", "listbox");
    this.element.setAttribute("aria-multiselectable", "true");
    this.element.setAttribute("aria-label", named);
    this.element.addEventListener("pointerdown", (event) => this.pointed(event));
    this.element.addEventListener("pointerover", (event) => {
      const word = this.wordOf(event);
      if (event.pointerType === "mouse" && event.buttons === 1 && word !== null && this.anchor !== undefined) this.select(this.anchor, word);
    });
    this.element.addEventListener("keydown", (event) => this.keyed(event));
    this.draw();
  }

  wordOf(event) {
    const word = event.target.closest("[data-word]");
    return word ? Number(word.dataset.word) : null;
  }

  markAt(word) {
    return this.marks.find((mark) => mark.start <= word && word < mark.end);
  }

  /** A word pointed at begins a selection; by touch, or with Shift, a second one ends it. A mark is selected as a whole. */
  pointed(event) {
    const word = this.wordOf(event);
    if (word === null || event.button > 0) return;
    event.preventDefault();
    const mark = this.markAt(word);
    const extends_ = this.selected && (event.shiftKey || (event.pointerType !== "mouse" && this.selected[0] === this.selected[1]));
    if (mark && !extends_) this.select(mark.start, mark.end - 1);
    else if (extends_) this.select(this.anchor, word);
    else this.select((this.anchor = word), word);
    this.focus(word);
  }

  keyed(event) {
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 8, ArrowUp: -8, Home: -Infinity, End: Infinity }[event.key];
    if (step !== undefined && !event.ctrlKey && !event.altKey && !event.metaKey) {
      const word = Math.min(Math.max(this.cursor + step, 0), this.places.length - 1);
      if (!event.shiftKey) this.anchor = word;
      this.select(this.anchor ?? (this.anchor = this.cursor), word);
      this.focus(word);
    } else if (event.key === "Delete" || event.key === "Backspace") {
      const mark = this.markAt(this.cursor);
      if (!mark) return;
      this.onRemove?.(mark);
    } else if (event.key === "Escape") this.select();
    else return;
    event.preventDefault();
  }

  select(from, to) {
    this.selected = from === undefined ? null : [Math.min(from, to), Math.max(from, to)];
    if (!this.selected) this.anchor = undefined;
    this.paint();
    this.onSelect?.(this.selected);
  }

  focus(word) {
    this.spans[this.cursor]?.setAttribute("tabindex", "-1");
    this.cursor = word;
    this.spans[word]?.setAttribute("tabindex", "0");
    this.spans[word]?.focus({ preventScroll: true });
    this.spans[word]?.scrollIntoView({ block: "nearest" });
  }

  paint() {
    const [first, last] = this.selected ?? [1, 0];
    this.spans.forEach((span, word) => {
      const is = first <= word && word <= last;
      if ((span.getAttribute("aria-selected") === "true") !== is) span.setAttribute("aria-selected", is);
    });
  }

  /** Build the text anew with its marks, the gaps between words as they stand. */
  draw() {
    const hadFocus = this.element.contains(document.activeElement);
    this.spans = [];
    this.element.replaceChildren();
    let parent = this.element;
    let at = 0;
    this.places.forEach(([start, end], word) => {
      const mark = this.markAt(word);
      if (mark?.start === word) {
        this.element.append(this.text.slice(at, start));
        at = start;
        parent = this.element.appendChild(document.createElement("mark"));
        parent.setAttribute("role", "group");
        parent.setAttribute("aria-label", mark.label);
        parent.style.setProperty("--hue", this.hue(mark.label));
      }
      parent.append(this.text.slice(at, start));
      const span = parent.appendChild(document.createElement("span"));
      Object.assign(span.dataset, { word });
      span.setAttribute("role", "option");
      span.setAttribute("tabindex", word === this.cursor ? "0" : "-1");
      span.textContent = this.text.slice(start, end);
      this.spans.push(span);
      at = end;
      if (mark?.end === word + 1) {
        parent.append(this.tagOf(mark));
        parent = this.element;
      }
    });
    this.element.append(this.text.slice(at));
    this.paint();
    if (hadFocus) this.focus(this.cursor);
  }

  tagOf(mark) {
    const tag = document.createElement("button");
    tag.type = "button";
    tag.className = "tag";
    tag.tabIndex = -1;
    tag.textContent = `${mark.label} ×`;
    tag.setAttribute("aria-label", `Remove ${mark.label}`);
    tag.addEventListener("click", () => this.onRemove?.(mark));
    return tag;
  }
}

// The ranked list: rows move to their new places, and words that the search has too are underlined.
import { pieces, words } from "./corpus.js";
import { element } from "../shared/format.js";

export const SHOWN = 8;
const FULL = 0.8; // the similarity whose bar is full
const STILL = matchMedia("(prefers-reduced-motion: reduce)");

export class Results {
  #list;
  #corpus;
  #pick;
  #rows = new Map();

  /** @param {HTMLOListElement} list @param {(text: string) => void} pick called with a sentence that was chosen. */
  constructor(list, corpus, pick) {
    this.#list = list;
    this.#corpus = corpus;
    this.#pick = pick;
  }

  /** Shows these, nearest first; gives how many of them share no word with the search. */
  show(query, found) {
    const wanted = words(query);
    const before = new Map([...this.#rows].map(([index, row]) => [index, row.offsetTop]));
    let without = 0;
    const rows = found.map(({ index, similarity }) => {
      const row = this.#rows.get(index) ?? this.#row(index);
      const parts = pieces(this.#corpus.sentences[index].text, wanted);
      if (parts.length === 1) without++;
      const texts = parts.map(([text, shared]) => (shared ? element("mark", { text }) : text));
      row.querySelector(".text").replaceChildren(...texts);
      row.style.setProperty("--share", Math.min(Math.max(similarity / FULL, 0), 1).toFixed(3));
      row.querySelector(".score span").textContent = similarity.toFixed(2);
      return [index, row];
    });
    this.#rows = new Map(rows);
    const focused = document.activeElement; // moving a row takes the focus from it
    this.#list.replaceChildren(...this.#rows.values());
    if (this.#list.contains(focused)) focused.focus({ preventScroll: true });
    if (!STILL.matches) this.#move(before);
    return without;
  }

  #move(before) {
    const timing = { duration: 240, easing: "cubic-bezier(0.2, 0.8, 0.3, 1)" };
    for (const [index, row] of this.#rows) {
      const from = before.get(index);
      if (from === undefined) row.animate({ opacity: [0, 1] }, timing);
      else if (from !== row.offsetTop) row.animate({ translate: [`0 ${from - row.offsetTop}px`, "0"] }, timing);
    }
  }

  #row(index) {
    const { text, theme } = this.#corpus.sentences[index];
    const score = element("span", { class: "score" }, element("i"), element("span"));
    const name = element("span", { class: "theme", text: this.#corpus.themes[theme] });
    const button = element("button", { type: "button", title: "Search for what is like this" });
    button.append(element("span", { class: "text" }), name, score);
    button.addEventListener("click", () => this.#pick(text));
    const row = element("li", {}, button);
    row.style.setProperty("--hue", hue(theme, this.#corpus.themes.length));
    return row;
  }
}

/** A theme's colour, an angle. */
export function hue(theme, themes) {
  return Math.round((360 / themes) * theme + 20);
}

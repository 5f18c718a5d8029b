// Where a story appears: each character is tinted by how unlikely it was.
import { element } from "../shared/format.js";

export class Paper {
  #place;

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
  }

  /** What stands there. */
  get text() {
    return this.#place.textContent;
  }

  /** Begins anew with what a visitor wrote. */
  begin(text) {
    this.#place.replaceChildren(element("b", { text }));
  }

  /** Adds a character. */
  add(character, share) {
    const letter = element("span", { text: character });
    letter.style.setProperty("--doubt", (1 - share).toFixed(2));
    this.#place.append(letter);
  }
}

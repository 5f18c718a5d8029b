// The map: a dot for each sentence, near others of like meaning; the search moves among the nearest.
import { hue } from "./results.js";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT, MARGIN] = [600, 400, 16];
const SHARP = 0.04; // how much less similar a sentence may be and still pull
const LINES = 5;
const LETTER = 5.8; // half a letter's width, and
const LINE = 21; // a line's height, where the map is small and its letters large
const STAR = "M0-11 3-3.5 11 0 3 3.5 0 11-3 3.5-11 0-3-3.5Z";

export class MeaningMap {
  #svg;
  #dots;
  #places;
  #lines;
  #query;

  /** @param {SVGSVGElement} svg @param {(text: string) => void} pick called with a sentence whose dot was chosen. */
  constructor(svg, { sentences, themes }, pick) {
    this.#svg = svg;
    this.#places = sentences.map(({ place: [x, y] }) => [
      MARGIN + x * (WIDTH - 2 * MARGIN),
      MARGIN + y * (HEIGHT - 2 * MARGIN),
    ]);
    this.#lines = svg.appendChild(make("g"));
    this.#dots = sentences.map(({ text, theme }, index) => {
      const [cx, cy] = this.#places[index];
      const dot = svg.appendChild(make("circle", { cx, cy, r: 4 }));
      dot.style.setProperty("--hue", hue(theme, themes.length));
      dot.appendChild(make("title")).textContent = text;
      dot.addEventListener("click", () => pick(text));
      return dot;
    });
    const labels = themes.map((name, theme) => {
      const own = this.#places.filter((_, index) => sentences[index].theme === theme);
      const [x, y] = [0, 1].map((axis) => middle(own.map((place) => place[axis])));
      const half = name.length * LETTER;
      return { name, half, x: Math.min(Math.max(x, half), WIDTH - half), y: y + 5 };
    });
    for (const { name, x, y } of apart(labels)) svg.appendChild(make("text", { x, y })).textContent = name;
    this.#query = svg.appendChild(make("g", { class: "query" }));
    this.#query.append(make("path", { d: STAR }));
  }

  /** Shows where a search lies among these, nearest first; an empty list is no search. */
  show(found) {
    const hits = new Set(found.map(({ index }) => index));
    this.#dots.forEach((dot, index) => dot.classList.toggle("hit", hits.has(index)));
    this.#svg.classList.toggle("asked", found.length > 0);
    if (!found.length) return this.#lines.replaceChildren();
    const weights = found.map(({ similarity }) => Math.exp((similarity - found[0].similarity) / SHARP));
    const sum = weights.reduce((a, b) => a + b);
    const [x, y] = [0, 1].map((axis) =>
      found.reduce((at, { index }, i) => at + (weights[i] / sum) * this.#places[index][axis], 0),
    );
    this.#query.style.transform = `translate(${x.toFixed(1)}px, ${y.toFixed(1)}px)`;
    const lines = found.slice(0, LINES).map(({ index }) => {
      const [x2, y2] = this.#places[index];
      return make("line", { x1: x, y1: y, x2, y2 });
    });
    this.#lines.replaceChildren(...lines);
  }
}

/** Moves names up and down until none covers another. */
function apart(labels) {
  for (let round = 0; round < 50; round++) {
    for (const [i, a] of labels.entries()) {
      for (const b of labels.slice(i + 1)) {
        const missing = LINE - Math.abs(a.y - b.y);
        if (missing <= 0 || Math.abs(a.x - b.x) > a.half + b.half) continue;
        const [upper, lower] = a.y <= b.y ? [a, b] : [b, a];
        upper.y -= missing / 2;
        lower.y += missing / 2;
      }
    }
  }
  return labels;
}

function make(tag, attributes = {}) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function middle(numbers) {
  return numbers.toSorted((a, b) => a - b)[numbers.length >> 1];
}

// The sentences, their vectors, and which of them are nearest to another vector.

export class Corpus {
  /** Themes, in the order of their numbers. @type {string[]} */
  themes;
  /** @type {{text: string, theme: number, place: [number, number]}[]} */
  sentences;
  #vectors;
  #length;

  constructor({ themes, sentences, length }, vectors) {
    Object.assign(this, { themes, sentences });
    this.#length = length;
    this.#vectors = vectors;
  }

  /** Fetches what the build wrote: sentences.json, and vectors.f32 with a unit vector for each. */
  static async fetch() {
    const [told, vectors] = await Promise.all([
      fetch("sentences.json").then((answer) => answer.json()),
      fetch("vectors.f32").then((answer) => answer.arrayBuffer()),
    ]);
    return new Corpus(told, new Float32Array(vectors)); // little-endian, as every browser's processor is
  }

  /** The vector of a sentence. */
  vector(index) {
    return this.#vectors.subarray(index * this.#length, (index + 1) * this.#length);
  }

  /**
   * The nearest sentences, nearest first.
   *
   * @param {Float32Array} vector of unit length, as all are: a dot product is the cosine.
   * @returns {{index: number, similarity: number}[]}
   */
  rank(vector, count) {
    const found = this.sentences.map((_, index) => ({ index, similarity: dot(vector, this.vector(index)) }));
    return found.sort((a, b) => b.similarity - a.similarity).slice(0, count);
  }
}

function dot(a, b) {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i] * b[i];
  return sum;
}

// words that say little about what a sentence is about
const COMMON = new Set(
  ("a about after all an and any are as at be been but by can could do does for from had has have he her his how i if " +
    "in is it its me my no not of off on one or our she should so some than that the their them then there they this " +
    "to up was we were what when where which who why will with would you your").split(" "),
);
const WORD = /[\p{L}\p{N}]+/gu;

/** The words of a text that tell what it is about, in lower case. */
export function words(text) {
  return new Set((text.toLowerCase().match(WORD) ?? []).filter((word) => !COMMON.has(word)));
}

/** A text in pieces: [piece, whether it is one of these words]. */
export function pieces(text, wanted) {
  const found = [];
  let end = 0;
  for (const { 0: word, index } of text.matchAll(WORD)) {
    if (!wanted.has(word.toLowerCase())) continue;
    found.push([text.slice(end, index), false], [word, true]);
    end = index + word.length;
  }
  return [...found, [text.slice(end), false]];
}

// Samples in the order in which they come, a chunk at a time, to what is heard; names a sound when it is sure.

const MOST_WAITING = 32; // chunks, two seconds: what a device is too slow for is left out
const FEWEST = 3; // frames in a row that make a sound

export class Ear {
  #hear;
  #heard;
  #waiting = [];
  #running = null;
  #best = -1;
  #run = 0;
  /** Chunks that were left out. */
  missed = 0;
  /** Numbers of the sounds that were heard, in order. @type {number[]} */
  sounds = [];

  /**
   * @param {(samples: Float32Array) => Promise<{bands: Float32Array, shares: Float32Array} | null>} hear null where
   *   nothing can hear now.
   * @param {(bands: Float32Array, shares: Float32Array, sound: number | null) => void} heard called for each frame;
   *   `sound` is the number of one that begins there.
   * @param {{bands: number, classes: string[]}} sizes
   */
  constructor(hear, heard, { bands, classes }) {
    this.#hear = hear;
    this.#heard = (made) => {
      for (let frame = 0; frame < made.bands.length / bands; frame++) {
        const part = (all, size) => all.subarray(frame * size, (frame + 1) * size);
        const shares = part(made.shares, classes.length);
        heard(part(made.bands, bands), shares, this.#name(shares.indexOf(Math.max(...shares))));
      }
    };
  }

  /** Forgets what was heard and what waits. */
  reset() {
    this.#waiting = [];
    this.#best = -1;
    this.missed = 0;
    this.sounds = [];
  }

  /** Takes a chunk; settles when nothing waits any more. */
  push(samples) {
    this.#waiting.push(samples);
    if (this.#waiting.length > MOST_WAITING) {
      this.#waiting.shift();
      this.missed++;
    }
    return (this.#running ??= this.#work());
  }

  async #work() {
    await null; // not over before the promise is kept
    try {
      while (this.#waiting.length) {
        const made = await this.#hear(this.#waiting.shift());
        if (made) this.#heard(made);
      }
    } finally {
      this.#running = null;
    }
  }

  #name(best) {
    this.#run = best === this.#best ? this.#run + 1 : 1;
    this.#best = best;
    if (this.#run !== FEWEST || best === 0) return null; // 0 is quiet
    this.sounds.push(best);
    return best;
  }
}

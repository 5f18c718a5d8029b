// Turns the whole corpus into vectors again, on the device that is chosen: how fast it is, and that it agrees.

const BATCH = 8; // sentences a run: enough to keep a device busy, few enough to see it advance

/**
 * @param {import("./engines.js").Engine} engine
 * @param {import("./corpus.js").Corpus} corpus
 * @param {(done: number, total: number) => void} progress
 * @param {AbortSignal} signal looked at between batches.
 * @returns {Promise<{done: number, milliseconds: number, apart: number}>} the time of one sentence, and the largest
 *   difference of any number from the vectors that came with the page.
 */
export async function embedAll(engine, corpus, progress, signal) {
  // sentences of like length together: the shorter ones of a batch are filled up
  const order = corpus.sentences.map(({ text }, index) => ({ text, index }));
  order.sort((a, b) => a.text.length - b.text.length);
  let [done, apart, spent] = [0, 0, 0];
  progress(0, order.length);
  while (done < order.length && !signal.aborted) {
    const batch = order.slice(done, done + BATCH);
    const started = performance.now();
    const vectors = await engine.embed(batch.map(({ text }) => text));
    spent += performance.now() - started;
    const length = vectors.length / batch.length;
    batch.forEach(({ index }, row) => {
      const known = corpus.vector(index);
      for (let i = 0; i < length; i++) apart = Math.max(apart, Math.abs(known[i] - vectors[row * length + i]));
    });
    done += batch.length;
    progress(done, order.length);
  }
  return { done, milliseconds: spent / Math.max(done, 1), apart };
}

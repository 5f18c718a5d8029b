// Sentences to the model's inputs: token numbers, and a mask where shorter ones are filled up.
import { Tokenizer } from "./tokenizer.js"; // @huggingface/tokenizers, bundled by the build

/**
 * @param {string} vocabulary the pack's tokenizer.json.
 * @returns {(texts: string[]) => number[][]} gives the token numbers of each text.
 */
export function makeTokenizer(vocabulary) {
  const tokenizer = new Tokenizer(JSON.parse(vocabulary), {});
  return (texts) => texts.map((text) => tokenizer.encode(text).ids);
}

/** The model's inputs for rows of token numbers, each filled up with 0 to the longest. */
export function feedsOf(rows) {
  const shape = [rows.length, Math.max(...rows.map(({ length }) => length))];
  const [ids, mask] = [new Int32Array(shape[0] * shape[1]), new Int32Array(shape[0] * shape[1])];
  rows.forEach((row, i) => {
    ids.set(row, i * shape[1]);
    mask.fill(1, i * shape[1], i * shape[1] + row.length);
  });
  return { input_ids: { data: ids, shape }, attention_mask: { data: mask, shape } };
}

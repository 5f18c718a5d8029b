// Sentences to the model's inputs: token numbers, and a mask where shorter ones are filled up.
import { Tokenizer } from "./tokenizer.js"; // @huggingface/tokenizers, bundled by the build

/** @param {Uint8Array} json the pack's tokenizer.json. */
export function makeTokenizer(json) {
  return new Tokenizer(JSON.parse(new TextDecoder().decode(json)), {});
}

/**
 * The tokens of several texts, each row filled up with 0 to the longest.
 *
 * @returns {{ids: Int32Array, mask: Int32Array, shape: [number, number]}}
 */
export function encode(tokenizer, texts) {
  const rows = texts.map((text) => tokenizer.encode(text).ids);
  const longest = Math.max(...rows.map(({ length }) => length));
  const [ids, mask] = [new Int32Array(rows.length * longest), new Int32Array(rows.length * longest)];
  rows.forEach((row, i) => {
    ids.set(row, i * longest);
    mask.fill(1, i * longest, i * longest + row.length);
  });
  return { ids, mask, shape: [rows.length, longest] };
}

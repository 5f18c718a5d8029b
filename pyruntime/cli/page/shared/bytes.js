// What was loaded for a page and for a device, by kind, and how much of that came from a cache.
import { element, size } from "./format.js";

/** What a session tells. @typedef {{device: string, variant: readonly string[], bytesLoaded: number, bytesCached: number}} Report */
/** @typedef {{what: string, bytes: number, stored: number}} Row `stored`: how many of the bytes a cache had. */

/**
 * @param {Report} report
 * @param {string} pack its folder's URL, which ends with `.pack/`.
 * @param {[string, RegExp][]} others what else the page fetches: what to call it, and the paths of its files.
 * @returns {Promise<Row[]>} rows in the order in which they are shown.
 */
export async function loadedBytes(report, pack, others = []) {
  const { targets, assets = [] } = await (await fetch(`${pack}pack.json`)).json();
  const variant = targets[report.device].variants.find(({ requires }) => requires.every((name) => report.variant.includes(name)));
  const vocabulary = assets.find(({ name }) => name === "tokenizer.json");
  const weights = report.bytesLoaded - variant.bytes;
  const kept = Math.max(report.bytesCached - weights, 0); // of the code: weights are the same on all devices
  const files = fetchedFiles();
  const manifest = ({ name }) => name.endsWith("/pack.json");
  const model = ({ name }) => /\.pack\/./.test(name); // told by the report: a Worker may have fetched it
  const other = ({ name }) => others.some(([, pattern]) => pattern.test(name));
  const asked = vocabulary && files.some(({ name }) => name.endsWith(vocabulary.file));
  return [
    { what: "Page and runtime", ...sum(files.filter((file) => !model(file) && !other(file))) },
    { what: report.device === "wasm" ? "Model: Wasm" : "Model: shaders", bytes: variant.bytes, stored: kept },
    { what: "Model: pack.json", ...sum(files.filter(manifest)) },
    { what: "Model: weights", bytes: weights, stored: report.bytesCached - kept },
    { what: "Tokenizer's vocabulary", bytes: vocabulary?.bytes, stored: asked ? 0 : vocabulary?.bytes },
    ...others.map(([what, pattern]) => ({ what, ...sum(files.filter(({ name }) => pattern.test(name))) })),
  ].filter(({ bytes }) => bytes);
}

/** Shows rows, and their sum, in a table's body. */
export function showBytes(body, rows) {
  const total = { what: "Together", ...sum(rows) };
  const shown = [...rows, total].map((row) => {
    const from = row.stored === 0 ? "network" : row.stored === row.bytes ? "cache" : `${size(row.stored)} from cache`;
    const cells = [size(row.bytes), from].map((text) => element("td", { text }));
    const head = element("th", { scope: "row", text: row.what });
    return element("tr", row === total ? { class: "sum" } : {}, head, ...cells);
  });
  body.replaceChildren(...shown);
}

/** Every file that this page fetched, once; those of Workers are not among them. */
function fetchedFiles() {
  const found = new Map();
  for (const type of ["navigation", "resource"]) {
    for (const { name, encodedBodySize: bytes, transferSize } of performance.getEntriesByType(type)) {
      const url = new URL(name);
      const stored = transferSize < bytes ? bytes : 0; // a cache had it, at most asking whether it is current
      if (url.protocol.startsWith("http") && !found.has(name)) found.set(name, { name: url.pathname, bytes, stored });
    }
  }
  return [...found.values()];
}

function sum(files) {
  const add = (of) => files.reduce((total, file) => total + of(file), 0);
  return { bytes: add(({ bytes }) => bytes), stored: add(({ stored }) => stored) };
}

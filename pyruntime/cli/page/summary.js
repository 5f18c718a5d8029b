// What is shown of a tensor: its extremes over finite elements, how many are none, and its first values.
import { element } from "./shared/format.js";

const FIRST = 8;
const DIGITS = 5;

/** A float16 of these bits. */
function half(bits) {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = (bits & 1023) / 1024;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return sign * (exponent ? (1 + fraction) * 2 ** (exponent - 15) : fraction * 2 ** -14);
}

/** The tensors among outputs: those of the list `y` are y[0], y[1] and so on. */
export function flat(outputs) {
  return Object.entries(outputs).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map((each, i) => ({ name: `${name}[${i}]`, ...each })) : value ? [{ name, ...value }] : [],
  );
}

/** @typedef {{name: string, dtype: string, shape: number[], min?: number, max?: number, strange: number, first: (number | boolean | string)[]}} Summary */

/** @returns {Summary} of elements in any array that the runtime takes or gives. */
export function summary({ name, dtype, shape, data }) {
  const bits = dtype === "float16" && data instanceof Uint16Array;
  const numbers = dtype === "string" ? [] : data;
  const value = bits ? half : Number;
  let [min, max, strange] = [Infinity, -Infinity, 0];
  for (const each of numbers) {
    const number = value(each);
    if (!Number.isFinite(number)) strange++;
    else {
      if (number < min) min = number;
      if (number > max) max = number;
    }
  }
  const plain = (each) => (typeof each === "bigint" && !Number.isSafeInteger(Number(each)) ? String(each) : value(each));
  const shown = dtype === "string" ? String : dtype === "bool" ? Boolean : plain;
  const first = Array.from(data.slice(0, FIRST), shown);
  return { name, dtype, shape: [...shape], ...(min <= max && { min, max }), strange, first };
}

const told = (value) => (typeof value === "number" && !Number.isInteger(value) ? String(Number(value.toPrecision(DIGITS))) : String(value));
const quoted = (value, dtype) => (dtype === "string" ? JSON.stringify(value) : told(value));

/** Shows summaries as the rows of a table; `from` tells where each comes from, if that is worth a word. */
export function showTensors(table, summaries, from = () => "") {
  const heads = ["name, first values", "dtype, shape", "min", "max"].map((text) => element("th", { scope: "col", text }));
  const rows = summaries.map((each) => {
    const count = each.shape.reduce((product, size) => product * size, 1);
    const more = count > each.first.length ? " …" : "";
    const first = element("small", { text: each.first.map((value) => quoted(value, each.dtype)).join(", ") + more });
    const notes = [from(each), each.strange ? `${each.strange} of ${count} are NaN or infinite` : ""].filter(Boolean);
    const name = element("th", { scope: "row", text: each.name }, first, ...notes.map((text) => element("small", { text })));
    const kind = element("td", { text: each.dtype }, element("small", { text: each.shape.join(" × ") || "scalar" }));
    const extremes = [each.min, each.max].map((value) => element("td", { text: value === undefined ? "–" : told(value) }));
    return element("tr", {}, name, kind, ...extremes);
  });
  table.replaceChildren(element("thead", {}, element("tr", {}, ...heads)), element("tbody", {}, ...rows));
}

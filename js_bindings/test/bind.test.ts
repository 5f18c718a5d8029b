// What feeds give to an entry's symbols, and constraints on them.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { bindFeeds } from "../src/tensors.ts";

const entry = {
  inputs: [
    { name: "x", dtype: "float32", shape: ["n"] },
    { name: "rate", dtype: "int64", shape: [] },
    { name: "flags", dtype: "bool", shape: [1, 3] },
  ] as const,
  symbols: [
    { name: "n", input: 0, axis: 0 },
    { name: "rate", input: 1, element: 0 },
    { name: "flag", input: 2, element: 2 },
  ],
  constraints: [{ value: ["n", "rate", "%"], reason: "x has less than a second" }],
};
const feeds = (size: number, rate: number | bigint, flag: number) => ({
  x: { data: new Float32Array(size), shape: [size] },
  rate: { data: [rate], shape: [] },
  flags: { data: Uint8Array.of(0, 0, flag), shape: [1, 3] },
});

test("sizes and elements bind symbols", () => {
  assert.deepEqual(bindFeeds(entry, feeds(5, -3, 1)).symbols, { n: 5, rate: -3, flag: 1 });
  assert.throws(() => bindFeeds(entry, feeds(5, 2n ** 60n, 1)), { code: "input", message: /"rate": expected an integer below 2\^53, got 1152921504606847000/ });
});

test("sizes are at least 1, or 0 where the pack says so", () => {
  const message = /"x": expected n to be at least 1, got shape \[0\]/;
  assert.throws(() => bindFeeds(entry, feeds(0, 3, 0)), { code: "input", message });
  const [n, ...rest] = entry.symbols;
  const { symbols, inputs } = bindFeeds({ inputs: entry.inputs, symbols: [{ ...n!, least: 0 }, ...rest] }, feeds(0, 3, 0));
  assert.deepEqual(symbols, { n: 0, rate: 3, flag: 0 });
  assert.equal(inputs[0]!.length, 0);
});

test("an array alone is no feed", () => {
  const message = 'input "x": expected { data, shape } of shape [n], got shape undefined';
  const alone = { ...feeds(3, 3, 0), x: new Float32Array(3) } as unknown as ReturnType<typeof feeds>;
  assert.throws(() => bindFeeds(entry, alone), { code: "input", message });
});

test("constraints are told", () => {
  const message = "x has less than a second; given n=6, rate=3, flag=0";
  assert.throws(() => bindFeeds(entry, feeds(6, 3, 0)), { code: "input", message });
});

interface Part {
  readonly dtype: "bfloat16" | "float16" | "float32" | "float64";
  readonly bytes: string;
  readonly numerator: number | null;
  readonly denominator: number | null;
}

const CODES = { dtype: "uint16", encodes: "bfloat16" } as const;

test("parts of floats bind symbols: shared vectors", () => {
  const path = new URL("../../tests/vectors/parts.json", import.meta.url);
  const arrays = { bfloat16: Uint16Array, float16: Uint16Array, float32: Float32Array, float64: Float64Array };
  const vectors = JSON.parse(readFileSync(path, "utf8")) as Part[];
  assert.ok(vectors.length > 50);
  for (const { dtype, bytes, numerator, denominator } of vectors) {
    const parts = {
      inputs: [{ name: "s", ...(dtype === "bfloat16" ? CODES : { dtype }), shape: [2] }],
      symbols: [
        { name: "n", input: 0, element: 1, part: "numerator" },
        { name: "d", input: 0, element: 1, part: "denominator" },
      ],
    } as const;
    const element = Uint8Array.from(bytes.match(/../g)!, (byte) => parseInt(byte, 16));
    const buffer = new Uint8Array(2 * element.length);
    buffer.set(element, element.length);
    const bind = () => bindFeeds(parts, { s: { data: new arrays[dtype](buffer.buffer), shape: [2] } });
    if (numerator === null) assert.throws(bind, { code: "input", message: /^input "s": expected an exact fraction, got/ }, bytes);
    else assert.deepEqual(bind().symbols, { n: numerator, d: denominator }, bytes);
  }
});

// What feeds give to an entry's symbols, and constraints on them.

import assert from "node:assert/strict";
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
  assert.throws(() => bindFeeds(entry, feeds(5, 2n ** 60n, 1)), { code: "input", message: /"rate".*past 2\^53/ });
});

test("constraints are told", () => {
  const message = "x has less than a second; given n=6, rate=3, flag=0";
  assert.throws(() => bindFeeds(entry, feeds(6, 3, 0)), { code: "input", message });
});

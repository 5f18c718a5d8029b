// Strings to rows of bytes and back, and what is refused.

import assert from "node:assert/strict";
import { test } from "node:test";

import { decodeTensors, encodeFeeds } from "../src/strings.ts";
import { bindFeeds, type Feed, publicSpec, type StoredSpec } from "../src/tensors.ts";

const spec = { name: "x", dtype: "uint8", shape: ["n", 2, "x_bytes"], encodes: "string" } as const;
const words = ["a", "", "grün", "🙂 and more", "\0", "\ufeffmark"];

const encodeFeed = (each: StoredSpec, x: Feed): Feed => encodeFeeds({ inputs: [each] }, { x })["x"]!;
const decode = (data: Uint8Array, shape: number[]) =>
  decodeTensors({ outputs: [spec] }, { x: { data, shape, dtype: "uint8" } })["x"];

test("rows of bytes", () => {
  const { data, shape } = encodeFeed(spec, { data: words, shape: [3, 2] });
  assert.deepEqual(shape, [3, 2, 16]);
  const rows = data as Uint8Array;
  assert.deepEqual([...rows.subarray(0, 2)], [97, 255]);
  assert.deepEqual(decode(rows, [...shape]), { data: words, shape: [3, 2], dtype: "string" });
  assert.deepEqual(encodeFeed(spec, { data: [], shape: [0, 2] }).shape, [0, 2, 8]);
  assert.deepEqual(decode(new Uint8Array(), [3, 0])?.data, ["", "", ""]);
  assert.deepEqual(decode(Uint8Array.of(98), [1]), { data: ["b"], shape: [], dtype: "string" });
});

test("what is no string, or no text", () => {
  const encode = (data: never, within?: [number, number]) => () => encodeFeed({ ...spec, within }, { data, shape: [1, 2] });
  for (const [data, message] of [
    [new Uint8Array(2), /array of strings/],
    [["a"], /2 strings for shape \[1, 2\], got 1/],
    [["a", 1], /expected strings, got 1/],
    [["a", "\ud800"], /is no text/],
  ] as const)
    assert.throws(encode(data as never), { code: "input", message });
  assert.throws(encode(["a", "é"] as never, [0, 127]), { code: "input", message: /from 0 to 127, which is ASCII; got "é"/ });
  encode(["a", "b"] as never, [0, 127])();
  assert.throws(() => decode(Uint8Array.of(0xc3, 0xff), [2]), { code: "run", message: /"x".*UTF-8/ });
});

test("shapes are told without bytes", () => {
  assert.deepEqual(publicSpec(spec), { name: "x", dtype: "string", shape: ["n", 2] });
  const entry = {
    inputs: [spec],
    symbols: [
      { name: "n", input: 0, axis: 0 },
      { name: "x_bytes", input: 0, axis: 2 },
    ],
  };
  const bind = (shape: number[]) => {
    const data = Array<string>(shape.reduce((a, b) => a * b, 1)).fill("word");
    return bindFeeds(entry, encodeFeeds(entry, { x: { data, shape } }));
  };
  assert.deepEqual(bind([3, 2]).symbols, { n: 3, x_bytes: 8 });
  assert.throws(() => bind([3]), { code: "input", message: /"x": expected a shape of 2 sizes, got \[3\]/ });
  assert.throws(() => bind([3, 3]), { message: 'input "x": expected shape [n, 2], got shape [3, 3]' });
});

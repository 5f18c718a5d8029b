// Dims: the vectors that all languages share, refusals, and the text form.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { checkDim, type Dim, evaluate, show } from "../src/dims.ts";

interface Vector {
  readonly rpn: Dim;
  readonly symbols: Record<string, number>;
  readonly value: number;
}

test("shared vectors", () => {
  const path = new URL("../../tests/vectors/dims.json", import.meta.url);
  const vectors = JSON.parse(readFileSync(path, "utf8")) as Vector[];
  assert.ok(vectors.length > 50);
  for (const { rpn, symbols, value } of vectors) {
    checkDim(rpn, Object.keys(symbols));
    assert.equal(evaluate(rpn, symbols), value, JSON.stringify({ rpn, symbols }));
  }
});

test("steps past 2^53 are exact", () => {
  assert.equal(evaluate([2 ** 40, 2 ** 22, "*", 1, "+", 2 ** 22, "//"], {}), 2 ** 40);
  assert.equal(evaluate([2 ** 40, 2 ** 22, "*", 1, "+", 1000, "%"], {}), Number((2n ** 62n + 1n) % 1000n));
  assert.equal(evaluate([-(2 ** 40), 2 ** 22, "*", 1, "-", 2 ** 22, "//"], {}), -(2 ** 40) - 1);
});

test("symbols past 2^53 are exact", () => {
  assert.equal(evaluate(["d", "n", "-", 2 ** 20, "//"], { d: 2 ** 60, n: 1 }), 2 ** 40 - 1);
  assert.equal(evaluate(["d", 2, "-", "d", "//"], { d: 2 ** 60 }), 0);
});

test("zero has no sign", () => {
  assert.ok(Object.is(evaluate([-1, 0, "*"], {}), 0));
  assert.ok(Object.is(evaluate(["n", -1, "*", 1, "%"], { n: 3 }), 0));
});

for (const [dim, words] of [
  [["n", 0, "//"], "division by zero"],
  [["n", 0, "%"], "division by zero"],
  [[2 ** 40, 2 ** 40, "*"], "64-bit overflow"],
  [[2 ** 40, 2 ** 20, "*"], "2^53"],
] as const) {
  test(`${show(dim)} is refused`, () => {
    assert.throws(
      () => evaluate(dim, { n: 1 }),
      (error: Error & { code?: string }) => error.code === "input" && error.message.includes(words),
    );
  });
}

for (const dim of [[], ["+"], [1, "+"], [1, 2], "m", "toString", "+", [1.5], [2 ** 60]] as const) {
  test(`${JSON.stringify(dim)} is malformed`, () => {
    assert.throws(() => checkDim(dim, ["n"]), { code: "pack-invalid" });
  });
}

test("text form, as Python's infix", () => {
  assert.equal(show("batch"), "batch");
  assert.equal(show(["batch", 3, "*", 1, "+"]), "(batch * 3) + 1");
  assert.equal(show(["a", 2, "+", "b", 3, "//", "max"]), "max((a + 2), (b // 3))");
});

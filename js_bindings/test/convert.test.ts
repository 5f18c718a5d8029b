// Conversions of elements: float16 both ways, integers to 32 bits and back, SHA-256 without a platform's.

import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { test } from "node:test";

import { narrow, widen } from "../src/convert.ts";
import { narrowHalf, widenHalf } from "../src/half.ts";
import { slowSha256 } from "../src/slow-sha256.ts";

const refuse = (value: bigint): never => {
  throw new RangeError(String(value));
};
const bytesOf = (view: ArrayBufferView<ArrayBuffer>) => new Uint8Array(view.buffer, view.byteOffset, view.byteLength);

test("every float16 widens, and narrows to itself", () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const wide = widenHalf(bits);
  assert.deepEqual([...wide.subarray(0x3c00, 0x3c02)], [1, 1 + 2 ** -10]);
  assert.deepEqual([wide[1], wide[0x3ff], wide[0x7bff], wide[0xfc00]], [2 ** -24, 1023 * 2 ** -24, 65504, -Infinity]);
  assert.ok(Object.is(wide[0x8000], -0));
  narrowHalf(wide).forEach((half, i) => {
    if (Number.isNaN(wide[i]!)) assert.ok((half & 0x7c00) === 0x7c00 && half & 0x3ff, `NaN ${i}`);
    else assert.equal(half, i);
  });
});

test("narrowing rounds as Float16Array does", { skip: typeof Float16Array === "undefined" }, () => {
  const values = new Float32Array(randomBytes(400_000).buffer.slice(0, 400_000));
  for (let i = 0; i < values.length; i += 2) values[i] = (Math.random() - 0.5) * 2 ** (Math.random() * 50 - 30);
  const special = [65519.99, 65520, 65504, 2 ** -25, 2 ** -25 * 1.0001, 2 ** -24 * 1.5, 2 ** -14, -1.0004883, 0, -0];
  for (const list of [values, Float32Array.from(special)]) {
    const expected = new Uint16Array(new Float16Array(list).buffer);
    narrowHalf(list).forEach((half, i) => {
      if (!Number.isNaN(list[i]!)) assert.equal(half, expected[i], `${list[i]}`);
    });
  }
});

for (const [dtype, gpu, array] of [
  ["bool", "uint32", Uint8Array.of(0, 1)],
  ["int8", "int32", Int8Array.of(-128, 127)],
  ["int16", "int32", Int16Array.of(-32768, 32767)],
  ["int32", "int32", Int32Array.of(-(2 ** 31), 2 ** 31 - 1)],
  ["int64", "int32", BigInt64Array.of(-(2n ** 31n), 2n ** 31n - 1n)],
  ["uint8", "uint32", Uint8Array.of(0, 255)],
  ["uint16", "uint32", Uint16Array.of(0, 65535)],
  ["uint32", "uint32", Uint32Array.of(0, 2 ** 32 - 1)],
  ["uint64", "uint32", BigUint64Array.of(0n, 2n ** 32n - 1n)],
  ["float16", "float32", Uint16Array.of(0x3c00, 0xfbff)],
  ["float32", "float32", Float32Array.of(0.5, -0)],
] as const) {
  test(`${dtype} to 32 bits and back`, () => {
    const wide = widen(dtype, gpu, bytesOf(array), refuse);
    assert.equal(wide.length, 8);
    assert.deepEqual(new Uint8Array(narrow(gpu, dtype, wide.slice().buffer)), bytesOf(array));
  });
}

test("integers that 32 bits cannot hold are refused", () => {
  assert.throws(() => widen("int64", "int32", bytesOf(BigInt64Array.of(2n ** 31n)), refuse), /2147483648/);
  assert.throws(() => widen("int64", "int32", bytesOf(BigInt64Array.of(-(2n ** 31n) - 1n)), refuse), RangeError);
  assert.throws(() => widen("uint64", "uint32", bytesOf(BigUint64Array.of(2n ** 32n)), refuse), RangeError);
});

test("SHA-256 in JavaScript", () => {
  for (const length of [...Array(130).keys(), 1000, 65537]) {
    const bytes = new Uint8Array(randomBytes(length + 3)).subarray(3);
    assert.equal(Buffer.from(slowSha256(bytes)).toString("hex"), createHash("sha256").update(bytes).digest("hex"));
  }
});

// State as bytes: what is written is read again, and what is not ours is told apart.

import assert from "node:assert/strict";
import { test } from "node:test";

import { decode, encode, type SavedTensor } from "../src/saved.ts";

const MODEL = "0".repeat(64);
const tensors = new Map<string, SavedTensor>([
  ["h", { dtype: "float32", shape: [1, 2], bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8) }],
  ["fläg", { dtype: "bool", shape: [3], bytes: Uint8Array.of(1, 0, 1) }],
  ["none", { dtype: "uint64", shape: [0, 4], bytes: new Uint8Array() }],
]);
const names = [...tensors.keys()];

test("what is encoded is decoded", () => {
  const data = encode(MODEL, tensors);
  const shifted = new Uint8Array(data.length + 3);
  shifted.set(data, 3);
  for (const each of [data, shifted.subarray(3)]) {
    const made = decode(each, MODEL, [...names].reverse());
    assert.deepEqual([...made.keys()], names);
    for (const [name, { dtype, shape, bytes }] of tensors) {
      assert.deepEqual({ ...made.get(name)!, bytes: [...made.get(name)!.bytes] }, { dtype, shape, bytes: [...bytes] });
    }
  }
});

test("the file is safetensors", () => {
  const data = encode(MODEL, tensors);
  const length = Number(new DataView(data.buffer).getBigUint64(0, true));
  assert.equal(length % 8, 0);
  const header = new TextDecoder().decode(data.subarray(8, 8 + length));
  assert.equal(
    header.trimEnd(),
    `{"__metadata__":{"format":"pyruntime-state-0","model":"${MODEL}"},` +
      '"h":{"dtype":"F32","shape":[1,2],"data_offsets":[0,8]},' +
      '"fläg":{"dtype":"BOOL","shape":[3],"data_offsets":[8,11]},' +
      '"none":{"dtype":"U64","shape":[0,4],"data_offsets":[11,11]}}',
  );
});

/** The file with a part of its header changed. */
function damaged(old: string, changed: string): Uint8Array {
  const text = Buffer.from(encode(MODEL, tensors)).toString("latin1");
  assert.ok(text.includes(old));
  assert.equal(old.length, changed.length);
  return Buffer.from(text.replace(old, changed), "latin1");
}

const whole = encode(MODEL, tensors);
for (const [what, data, message] of [
  ["nothing", new Uint8Array(), /not a saved state/],
  ["noise", new Uint8Array(40).fill(255), /not a saved state/],
  ["a beginning", whole.subarray(0, 30), /not a saved state/],
  ["a list", damaged('{"__metadata__"', '[["__metadata__'), /not a saved state/],
  ["another format", damaged("state-0", "state-1"), /format is not pyruntime-state-0/],
  ["another model", damaged("0000", "0001"), /another model/],
  ["another name", damaged('"h":{', '"H":{'), /has "H", "fl.*the pack has "h"/],
  ["a dtype of nobody", damaged('"F32"', '"F31"'), /"h" is damaged/],
  ["a shape of text", damaged("[1,2]", '"1,2"'), /"h" is damaged/],
  ["another size", damaged("[1,2]", "[1,3]"), /"h" is damaged/],
  ["too few bytes", whole.subarray(0, whole.length - 1), /"fläg" is damaged/],
  ["too many bytes", Buffer.concat([whole, whole]), /bytes, its tensors need/],
] as const) {
  test(`${what} is refused`, () => {
    assert.throws(() => decode(data, MODEL, names), { name: "StateError", code: "state", message });
  });
}

// The way through programs with jumps, symbols that they set, and reads.

import assert from "node:assert/strict";
import { test } from "node:test";

import type { Command, GpuEntry } from "../src/manifest.ts";
import { walk } from "../src/walk.ts";

const fill = (bytes: string): Command => ({ op: "fill", to: ["arena", 0, 0], bytes });
const program = (...commands: Command[]): GpuEntry => ({ arenas: [4], inputs: [], outputs: [], commands });

/** Fills as often as `trip` says, each time with another i. */
const loop = program(
  { op: "set", symbol: "i", value: 0 },
  { op: "jump", to: 5, unless: [0, 1, "trip", "i", -1, "*", "+", "min", "max"] },
  fill("i"),
  { op: "set", symbol: "i", value: ["i", 1, "+"] },
  { op: "jump", to: 1 },
  fill("trip"),
);

test("loops are unrolled", () => {
  for (const trip of [0, 1, 3]) {
    const { commands, pause, walked } = walk(loop, { trip });
    assert.deepEqual(
      commands.map(({ command, symbols }) => symbols[(command as { bytes: string }).bytes]),
      [...Array(trip).keys(), trip],
    );
    assert.equal(pause, undefined);
    assert.equal(walked, 4 * trip + 3);
  }
});

test("a read ends a walk, which goes on after it", () => {
  const read: Command = { op: "read", symbol: "k", from: ["arena", 0, 8], dtype: "int32" };
  const branches = program(fill("n"), read, { op: "jump", to: 4, unless: "k" }, fill("k"), fill("n"));
  const { commands, pause, symbols, walked } = walk(branches, { n: 8 });
  assert.equal(commands.length, 1);
  assert.deepEqual(pause, { command: read, next: 2 });
  assert.deepEqual(symbols, { n: 8 });
  assert.equal(walk(branches, { n: 8, k: 1 }, pause!.next, walked).commands.length, 2);
  assert.equal(walk(branches, { n: 8, k: 0 }, pause!.next, walked).commands.length, 1);
});

test("what does not end is told", () => {
  assert.throws(() => walk(program({ op: "jump", to: 0 }), {}), { code: "run", message: /a loop does not end/ });
  assert.throws(() => walk(program(fill("k")), {}, 0, 2 ** 20), { code: "run" });
});

// A whole manifest, to be damaged, and the tests that each damage is refused.

import assert from "node:assert/strict";
import { test } from "node:test";

import { parseManifest } from "../src/schema.ts";

export const HASH = "0".repeat(64);
const INFINITY_BITS = 0x7f800000;

/** A manifest of both targets with one weight and one dispatch, loosely typed to be damaged. */
export const valid = () => ({
  format: 0 as number,
  requires: [] as string[],
  model: { sha256: HASH },
  entries: [
    {
      name: "main",
      symbols: [{ name: "n", input: 0, axis: 0 }],
      inputs: [
        { name: "x", dtype: "float32", shape: ["n", 4] as unknown[] },
        { name: "mask", dtype: "uint8", shape: ["n"], default: 255 as unknown },
      ] as { name: string; dtype: string; shape: unknown[]; default?: unknown }[],
      outputs: [{ name: "y", dtype: "int64", shape: [["n", 2, "*"]] as unknown[] }],
    },
  ],
  assets: [
    { name: "words.txt", file: "words-00.txt", bytes: 3, sha256: HASH },
    { name: "a/b", file: "a-b", bytes: 0, sha256: HASH },
  ],
  weights: {
    shards: [{ file: "weights-00.safetensors", bytes: 108, data: 8, chunks: [HASH] }],
    tensors: [
      { name: "w", dtype: "float16", elements: 10, shard: 0, offset: 0, bytes: 20, layout: "plain", shape: [10] },
      { name: "v", dtype: "float32", elements: 20, shard: 0, offset: 20, bytes: 80, layout: "plain", shape: [20] },
    ],
  },
  targets: {
    wasm: {
      abi: 1,
      pointer_bits: 32,
      initial_pages: 3,
      weights: [
        { tensor: 0, address: 131072, dtype: "float32" },
        { tensor: 1, address: 131112, dtype: "float32" },
      ],
      entries: [{ bytes: ["n", 64, "*"] as unknown[], steps: ["one"] }],
      variants: [{ requires: [] as string[], file: "model.wasm", bytes: 1, sha256: HASH }],
    } as Record<string, any> | undefined,
    webgpu: {
      buffers: [512],
      weights: [
        { tensor: 0, buffer: 0, offset: 0, dtype: "float32" },
        { tensor: 1, buffer: 0, offset: 256, dtype: "float32" },
      ],
      variants: [
        {
          requires: [] as string[],
          limits: {} as Record<string, unknown>,
          file: "shaders.wgsl",
          bytes: 10,
          sha256: HASH,
          shaders: [{ name: "s", offset: 0, bytes: 10, bindings: ["read", "read", "read_write"], words: 2 }],
          entries: [
            {
              arenas: [["n", 16, "*"], 256] as unknown[],
              inputs: [
                { arena: 0, offset: 0, dtype: "float32" },
                { arena: 0, offset: 256, dtype: "uint32" },
              ],
              outputs: [{ arena: 1, offset: 0, dtype: "int32" }],
              commands: [
                {
                  op: "dispatch",
                  step: "one",
                  shader: 0,
                  bindings: [
                    ["arena", 0, 0, 16],
                    ["weights", 0, 0, 40],
                    ["arena", 1, 0, 4],
                  ],
                  words: [INFINITY_BITS, "n"],
                  workgroups: ["n", 1, 1],
                },
                { op: "copy", from: ["arena", 0, 0], to: ["arena", 1, 0], bytes: 4 },
                { op: "fill", to: ["arena", 1, 0], bytes: "n" },
              ],
            },
          ],
        },
      ],
    } as Record<string, any> | undefined,
  },
});

export type Draft = ReturnType<typeof valid>;
export const variant = (m: Draft): any => m.targets.webgpu!["variants"][0];
export const program = (m: Draft): any => variant(m).entries[0];
export const dispatch = (m: Draft): any => program(m).commands[0];

/** What is wrong, by its name: the path that the error tells, and how a manifest is damaged. */
export type Wrong<M> = Record<string, [path: string, damage: (m: M) => unknown]>;

/** A test for each damage: the manifest that `make` makes is refused with a PackError that names the path. */
export function refused<M>(kind: string, make: () => M, wrong: Wrong<M>): void {
  for (const [name, [path, damage]] of Object.entries(wrong)) {
    test(`${kind}${name}`, () => {
      const manifest = make();
      damage(manifest);
      assert.throws(
        () => parseManifest(JSON.stringify(manifest)),
        (error: Error & { code?: string }) => {
          assert.equal(error.code, "pack-invalid", error.message);
          assert.ok(error.message.startsWith(`pack.json: ${path}`), error.message);
          return true;
        },
      );
    });
  }
}

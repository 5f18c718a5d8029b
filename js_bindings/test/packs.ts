// The hand-made packs of tests/packs, written once, for tests in Node.

import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import type { Feed, Tensor } from "../src/index.ts";

/** Why packs cannot be made here; false where they can. */
export const unavailable =
  ["python", "clang-22", "wasm-ld-22"].find((command) => spawnSync(command, ["--version"]).error) ?? false;

/** A folder with the packs, which goes away with the process. */
export function makePacks(): string {
  const folder = mkdtempSync(join(tmpdir(), "packs-"));
  process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
  execFileSync("python", ["-m", "tests.packs.handmade", folder], { cwd: join(import.meta.dirname, "..", "..") });
  return folder;
}

interface Case {
  readonly entry: string;
  readonly feeds: Record<string, { readonly dtype: string; readonly shape: number[]; readonly data: number[] }>;
  readonly outputs: Case["feeds"];
}

/** The cases of a pack. */
export const casesOf = (folder: string, name: string): Case[] =>
  JSON.parse(readFileSync(join(folder, `${name}.cases.json`), "utf8")) as Case[];

/** A case's tensors as feeds. */
export function feedsOf({ feeds }: Case): Record<string, Feed> {
  return Object.fromEntries(
    Object.entries(feeds).map(([name, { dtype, shape, data }]) => {
      if (dtype.endsWith("int64")) return [name, { data, shape }];
      const kind = dtype === "bool" ? "Uint8" : dtype.replace(/^[a-z]/, (first) => first.toUpperCase());
      const Type = (globalThis as unknown as Record<string, Float32ArrayConstructor>)[`${kind}Array`]!;
      return [name, { data: Type.from(data, Number), shape }];
    }),
  );
}

/** Outputs as case files have them, with numbers for all dtypes. */
export const numbersOf = (outputs: Record<string, Tensor>): Case["outputs"] =>
  Object.fromEntries(
    Object.entries(outputs).map(([name, { dtype, shape, data }]) => [
      name,
      { dtype, shape, data: Array.from(data, Number) },
    ]),
  );

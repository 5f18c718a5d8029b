// Shaders that were found best on a GPU, in place of some of a pack's own. Loaded where a pack has such for the GPU at hand.

import type { Loading } from "./backend.ts";
import { choice, dim, fail, list, object, size, text, tuple } from "./decode.ts";
import type { Dim } from "./dims.ts";
import { messageOf, PackError } from "./errors.ts";
import { download } from "./fetch.ts";
import type { GpuTarget, GpuVariant, Shader, Tuned } from "./manifest.ts";
import { variantHolds } from "./validate.ts";

/** A variant with other shaders for some dispatches, and its code, made of that of the variant as it was. */
export interface Extended {
  readonly variant: GpuVariant;
  readonly code: (own: Uint8Array<ArrayBuffer>) => Uint8Array<ArrayBuffer>;
  /** How many bytes of the file came from the cache. */
  readonly cached: number;
}

type Code = Omit<Shader, "offset" | "bytes"> & { readonly code: string };
type Alternative = readonly [command: number, shader: number, words: Dim[], workgroups: [Dim, Dim, Dim]];

const check = object<{ shaders: Code[]; variants: Alternative[][][] }>({
  shaders: list(object<Code>({ name: text, code: text, bindings: list(choice("read", "read_write")), words: size })),
  variants: list(list(list(tuple<Alternative>(size, size, list(dim), tuple<[Dim, Dim, Dim]>(dim, dim, dim))))),
});

/** Fetches what is best. Rejects with PackError where it contradicts the pack, and as downloads do. */
export async function extend(
  { pack, signal }: Loading,
  target: GpuTarget,
  variant: GpuVariant,
  best: Tuned,
): Promise<Extended> {
  let json = "";
  const accept = (bytes: Uint8Array<ArrayBuffer>): void => void (json = new TextDecoder().decode(bytes));
  const cached = await download(pack.folder, [{ stored: best, accept }], undefined, signal, pack.cache);
  const { shaders, variants } = parsed(json, best.file);
  const number = target.variants.indexOf(variant);
  const at = `.${best.file}`;
  if (variants.length !== target.variants.length || variants[number]!.length !== variant.entries.length)
    fail(`${at}.variants`, "they are not those of the pack");

  const encoder = new TextEncoder();
  const codes = shaders.map(({ code }) => encoder.encode(code));
  let end = variant.bytes;
  const places = codes.map(({ length: bytes }) => ({ offset: (end += bytes) - bytes, bytes }));
  const entries = variant.entries.map((entry, e) => {
    const commands = [...entry.commands];
    for (const [command, shader, words, workgroups] of variants[number]![e]!.toReversed()) {
      const old = entry.commands[command];
      if (old?.op !== "dispatch") throw new PackError(`${best.file}: command ${command} is no dispatch`);
      commands[command] = { ...old, shader: variant.shaders.length + shader, words, workgroups };
    }
    return { ...entry, commands };
  });
  const extended: GpuVariant = {
    ...variant,
    bytes: end,
    shaders: [...variant.shaders, ...shaders.map(({ name, bindings, words }, i) => ({ name, bindings, words, ...places[i]! }))],
    entries,
  };
  variantHolds(pack.manifest, target, extended, at);
  return {
    variant: extended,
    code: (own) => {
      const whole = new Uint8Array(end);
      whole.set(own);
      codes.forEach((code, i) => whole.set(code, places[i]!.offset));
      return whole;
    },
    cached,
  };
}

function parsed(json: string, file: string): ReturnType<typeof check> {
  try {
    return check(JSON.parse(json), `.${file}`);
  } catch (error) {
    throw error instanceof PackError ? error : new PackError(`${file} is not JSON: ${messageOf(error)}`);
  }
}

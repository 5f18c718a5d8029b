// pack.json as types, and its validation with messages that name the path of a wrong field.

import { widens } from "./convert.ts";
import { checkDim, type Dim } from "./dims.ts";
import { PackError, PackVersionError } from "./errors.ts";
import { CHUNK, type StoredFile } from "./fetch.ts";
import { type DType, DTYPES, rowOf, type StoredSpec, type StoredSymbol } from "./tensors.ts";

/** A named program over the pack's weights. */
export interface Entry {
  readonly name: string;
  readonly symbols: readonly StoredSymbol[];
  readonly inputs: readonly StoredSpec[];
  readonly outputs: readonly StoredSpec[];
}

/** A safetensors file: `data` is where tensor bytes begin, `chunks` has the SHA-256 of each 4 MiB. */
export interface Shard extends StoredFile {
  readonly data: number;
}

/** A tensor in a shard; `offset` counts from the shard's data. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: DType;
  readonly elements: number;
  readonly shard: number;
  readonly offset: number;
  readonly bytes: number;
}

/** Where a tensor goes on a target, and the dtype that it is converted to on the way. */
export interface Placement {
  readonly tensor: number;
  readonly dtype: DType;
}

/** A variant's file, and the names of the features that it needs. */
export interface Variant extends StoredFile {
  readonly requires: readonly string[];
}

/** The Wasm target. */
export interface WasmTarget {
  readonly initial_pages: number;
  readonly weights: readonly (Placement & { readonly address: number })[];
  readonly entries: readonly { readonly bytes: Dim; readonly steps: readonly string[] }[];
  readonly variants: readonly Variant[];
}

/** A shader's place in the variant's file, how it binds its buffers, and how many uniform words it reads. */
export interface Shader {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  readonly bindings: readonly ("read" | "read_write")[];
  readonly words: number;
}

/** Where an input or output lies on the GPU, and how it is stored there. */
export interface GpuPlace {
  readonly arena: number;
  readonly offset: Dim;
  readonly dtype: "float32" | "int32" | "uint32";
}

/** A bound range: kind, index of the buffer, offset, bytes. */
export type Binding = readonly ["arena" | "weights", number, Dim, Dim];

/** A place in a buffer: kind, index of the buffer, offset. */
export type Place = readonly ["arena" | "weights", number, Dim];

/** One command of a WebGPU program. */
export type Command =
  | {
      readonly op: "dispatch";
      readonly step: string;
      readonly shader: number;
      readonly bindings: readonly Binding[];
      readonly words: readonly Dim[];
      readonly workgroups: readonly [Dim, Dim, Dim];
    }
  | { readonly op: "copy"; readonly from: Place; readonly to: Place; readonly bytes: Dim }
  | { readonly op: "fill"; readonly to: Place; readonly bytes: Dim };

/** An entry's WebGPU program. */
export interface GpuEntry {
  readonly arenas: readonly Dim[];
  readonly inputs: readonly GpuPlace[];
  readonly outputs: readonly GpuPlace[];
  readonly commands: readonly Command[];
}

/** A variant of the WebGPU target. */
export interface GpuVariant extends Variant {
  readonly limits: Readonly<Record<string, number>>;
  readonly shaders: readonly Shader[];
  readonly entries: readonly GpuEntry[];
}

/** The WebGPU target; `buffers` are the bytes of each weight buffer. */
export interface GpuTarget {
  readonly buffers: readonly number[];
  readonly weights: readonly (Placement & { readonly buffer: number; readonly offset: number })[];
  readonly variants: readonly GpuVariant[];
}

/** What a reader needs of pack.json. */
export interface Manifest {
  readonly entries: readonly Entry[];
  readonly weights: { readonly shards: readonly Shard[]; readonly tensors: readonly StoredTensor[] };
  readonly targets: { readonly wasm?: WasmTarget; readonly webgpu?: GpuTarget };
}

const FORMAT = 0;
const KNOWN_FEATURES: readonly string[] = [];
const WEIGHTS_BASE = 131072;

type Check<T> = (value: unknown, at: string) => T;

function fail(at: string, problem: string): never {
  throw new PackError(`pack.json${at}: ${problem}`);
}

const shown = (value: unknown): string => JSON.stringify(value)?.slice(0, 60) ?? "nothing";

function expected<T>(what: string, holds: (value: unknown) => boolean): Check<T> {
  return (value, at) => (holds(value) ? (value as T) : fail(at, `expected ${what}, got ${shown(value)}`));
}

const text = expected<string>("a string", (v) => typeof v === "string");
const size = expected<number>("a size", (v) => Number.isSafeInteger(v) && (v as number) >= 0);
const digest = expected<string>("a SHA-256 in hex", (v) => typeof v === "string" && /^[0-9a-f]{64}$/.test(v));
const file = expected<string>("a plain file name", (v) => typeof v === "string" && /^[\w-][\w.-]*$/.test(v));
const dtype = expected<DType>("a dtype", (v) => typeof v === "string" && Object.hasOwn(DTYPES, v));
const dim = expected<Dim>(
  "an integer, a symbol or a list of them and of operators",
  (v) => (Array.isArray(v) ? v : [v]).every((token) => typeof token === "string" || Number.isSafeInteger(token)),
);

const choice = <const T extends string>(...names: readonly T[]): Check<T> =>
  expected(names.map((name) => JSON.stringify(name)).join(" or "), (v) => names.includes(v as T));

const list =
  <T>(item: Check<T>): Check<T[]> =>
  (value, at) =>
    Array.isArray(value) ? value.map((v, i) => item(v, `${at}[${i}]`)) : fail(at, `expected a list, got ${shown(value)}`);

/** A list with one check per item. */
const tuple =
  <T extends readonly unknown[]>(...items: { [K in keyof T]: Check<T[K]> }): Check<T> =>
  (value, at) =>
    Array.isArray(value) && value.length === items.length
      ? (items.map((item, i) => item(value[i], `${at}[${i}]`)) as unknown as T)
      : fail(at, `expected ${items.length} items, got ${shown(value)}`);

const record = (value: unknown, at: string): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : fail(at, `expected an object, got ${shown(value)}`);

/** An object with at least these fields; others are kept out of the result. */
const object =
  <T>(fields: { [K in keyof T]-?: Check<T[K]> }): Check<T> =>
  (value, at) => {
    const given = record(value, at);
    const keys = Object.keys(fields) as (keyof T & string)[];
    return Object.fromEntries(keys.map((key) => [key, fields[key](given[key], `${at}.${key}`)])) as T;
  };

const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value, at) =>
    value === undefined ? undefined : check(value, at);

const spec = object<StoredSpec>({ name: text, dtype, shape: list(dim) });

const checkEntry = object<Entry>({
  name: text,
  symbols: list(object<StoredSymbol>({ name: text, input: size, axis: size })),
  inputs: list(spec),
  outputs: list(spec),
});

const checkWeights = object<Manifest["weights"]>({
  shards: list(object<Omit<Shard, "chunk">>({ file, bytes: size, data: size, chunks: list(digest) })),
  tensors: list(object<StoredTensor>({ name: text, dtype, elements: size, shard: size, offset: size, bytes: size })),
});

const wholeFile = { requires: list(text), file, bytes: size, sha256: digest };
/** Every file is checked by the digests of its chunks; a file hashed whole has one. */
const asStored = <T extends { bytes: number; sha256: string }>({ sha256, ...rest }: T) => ({
  ...rest,
  chunks: [sha256],
  chunk: rest.bytes,
});

const checkWasm = object({
  abi: size,
  pointer_bits: size,
  initial_pages: size,
  weights: list(object<WasmTarget["weights"][number]>({ tensor: size, address: size, dtype })),
  entries: list(object<WasmTarget["entries"][number]>({ bytes: dim, steps: list(text) })),
  variants: list(object(wholeFile)),
});

const kind = choice("arena", "weights");
const place = tuple<Place>(kind, size, dim);
const gpuDtype = choice("float32", "int32", "uint32");
const gpuPlace = object<GpuPlace>({ arena: size, offset: dim, dtype: gpuDtype });
type CommandOf<Op extends Command["op"]> = Extract<Command, { op: Op }>;
const COMMANDS: { [Op in Command["op"]]: Check<CommandOf<Op>> } = {
  dispatch: object<CommandOf<"dispatch">>({
    op: choice("dispatch"),
    step: text,
    shader: size,
    bindings: list(tuple<Binding>(kind, size, dim, dim)),
    words: list(dim),
    workgroups: tuple<[Dim, Dim, Dim]>(dim, dim, dim),
  }),
  copy: object<CommandOf<"copy">>({ op: choice("copy"), from: place, to: place, bytes: dim }),
  fill: object<CommandOf<"fill">>({ op: choice("fill"), to: place, bytes: dim }),
};
const command: Check<Command> = (value, at) => {
  const op = choice("dispatch", "copy", "fill")(record(value, at)["op"], `${at}.op`);
  return COMMANDS[op](value, at);
};

const checkWebgpu = object({
  buffers: list(size),
  weights: list(object<GpuTarget["weights"][number]>({ tensor: size, buffer: size, offset: size, dtype: gpuDtype })),
  variants: list(
    object({
      ...wholeFile,
      limits: (value: unknown, at: string) => {
        const given = record(value, at);
        return Object.fromEntries(Object.keys(given).map((key) => [key, size(given[key], `${at}.${key}`)]));
      },
      shaders: list(
        object<Shader>({ name: text, offset: size, bytes: size, bindings: list(choice("read", "read_write")), words: size }),
      ),
      entries: list(
        object<GpuEntry>({ arenas: list(dim), inputs: list(gpuPlace), outputs: list(gpuPlace), commands: list(command) }),
      ),
    }),
  ),
});

/** Checks that an index names an item of a list. */
function inside(index: number, items: { readonly length: number }, at: string): void {
  if (index >= items.length) fail(at, `${index} is past the last of ${items.length}`);
}

/** Checks every dim below a value: that it is well formed and names the entry's symbols only. */
function dimsAt(at: string, entry: Entry, ...dims: readonly Dim[]): void {
  const names = entry.symbols.map((symbol) => symbol.name);
  for (const each of dims) {
    try {
      checkDim(each, names);
    } catch (error) {
      fail(at, (error as Error).message);
    }
  }
}

function entryHolds(entry: Entry, at: string): void {
  entry.symbols.forEach(({ name, input, axis }, i) => {
    const where = `${at}.symbols[${i}]`;
    inside(input, entry.inputs, `${where}.input`);
    inside(axis, entry.inputs[input]!.shape, `${where}.axis`);
    if (entry.inputs[input]!.shape[axis] !== name) fail(where, `the input's size there is not ${JSON.stringify(name)}`);
  });
  for (const key of ["inputs", "outputs"] as const) {
    entry[key].forEach(({ name, shape }, i) => {
      dimsAt(`${at}.${key}[${i}].shape`, entry, ...shape);
      if (entry[key].findIndex((other) => other.name === name) !== i) fail(`${at}.${key}[${i}].name`, `${shown(name)} is there twice`);
    });
  }
}

function weightsHold({ shards, tensors }: Manifest["weights"]): void {
  shards.forEach(({ bytes, data, chunks }, i) => {
    const at = `.weights.shards[${i}]`;
    if (data > bytes) fail(`${at}.data`, `${data} is past the file's ${bytes} bytes`);
    const count = Math.ceil(bytes / CHUNK);
    if (chunks.length !== count) fail(`${at}.chunks`, `expected ${count} digests, got ${chunks.length}`);
  });
  tensors.forEach((tensor, i) => {
    const at = `.weights.tensors[${i}]`;
    inside(tensor.shard, shards, `${at}.shard`);
    const shard = shards[tensor.shard]!;
    if (tensor.offset + tensor.bytes > shard.bytes - shard.data) fail(at, `ends past the data of ${shard.file}`);
    const bytes = tensor.elements * rowOf(tensor.dtype).bytes;
    if (tensor.bytes !== bytes) fail(`${at}.bytes`, `expected ${bytes} for ${tensor.elements} × ${tensor.dtype}, got ${tensor.bytes}`);
  });
}

/** What is the same for both targets: placements, one program per entry, a last variant for every machine. */
function targetHolds(
  manifest: Manifest,
  at: string,
  weights: readonly Placement[],
  variants: readonly Variant[],
  programs: readonly (readonly [string, readonly unknown[]])[],
): void {
  const { tensors } = manifest.weights;
  weights.forEach((placement, i) => {
    inside(placement.tensor, tensors, `${at}.weights[${i}].tensor`);
    const from = tensors[placement.tensor]!.dtype;
    if (!widens(from, placement.dtype)) fail(`${at}.weights[${i}].dtype`, `${from} is never stored as ${placement.dtype}`);
  });
  if (variants.at(-1)?.requires.length !== 0) fail(`${at}.variants`, "the last one must require nothing");
  for (const [where, entries] of programs) {
    const { length } = manifest.entries;
    if (entries.length !== length) fail(`${at}${where}`, `expected ${length} items, one per entry, got ${entries.length}`);
  }
}

function wasmHolds(manifest: Manifest, target: WasmTarget): void {
  const at = ".targets.wasm";
  targetHolds(manifest, at, target.weights, target.variants, [[".entries", target.entries]]);
  target.weights.forEach(({ tensor, address, dtype }, i) => {
    const where = `${at}.weights[${i}].address`;
    const end = address + manifest.weights.tensors[tensor]!.elements * rowOf(dtype).bytes;
    if (address < WEIGHTS_BASE || end > 2 ** 32) fail(where, `${address} to ${end} is not where weights may be`);
  });
  target.entries.forEach((entry, i) => dimsAt(`${at}.entries[${i}].bytes`, manifest.entries[i]!, entry.bytes));
}

function webgpuHolds(manifest: Manifest, target: GpuTarget): void {
  const at = ".targets.webgpu";
  const programs = target.variants.map(({ entries }, i) => [`.variants[${i}].entries`, entries] as const);
  targetHolds(manifest, at, target.weights, target.variants, programs);
  target.weights.forEach(({ tensor, buffer, offset }, i) => {
    const where = `${at}.weights[${i}]`;
    inside(buffer, target.buffers, `${where}.buffer`);
    const end = offset + manifest.weights.tensors[tensor]!.elements * 4;
    if (offset % 4 !== 0 || end > target.buffers[buffer]!) fail(`${where}.offset`, `bytes ${offset} to ${end} are not in the buffer`);
  });
  target.variants.forEach((variant, v) => {
    variant.shaders.forEach(({ offset, bytes, words }, i) => {
      const where = `${at}.variants[${v}].shaders[${i}]`;
      if (offset + bytes > variant.bytes) fail(where, `ends past ${variant.file}`);
      if (words < 1) fail(`${where}.words`, "word 0 is missing");
    });
    variant.entries.forEach((program, e) => {
      programHolds(manifest.entries[e]!, target, variant, program, `${at}.variants[${v}].entries[${e}]`);
    });
  });
}

function programHolds(entry: Entry, target: GpuTarget, variant: GpuVariant, program: GpuEntry, at: string): void {
  dimsAt(`${at}.arenas`, entry, ...program.arenas);
  for (const key of ["inputs", "outputs"] as const) {
    const places = program[key];
    if (places.length !== entry[key].length) fail(`${at}.${key}`, `expected ${entry[key].length} items, got ${places.length}`);
    places.forEach((each, i) => {
      inside(each.arena, program.arenas, `${at}.${key}[${i}].arena`);
      dimsAt(`${at}.${key}[${i}].offset`, entry, each.offset);
      const { name, dtype } = entry[key][i]!;
      if (rowOf(dtype).gpu !== each.dtype) fail(`${at}.${key}[${i}].dtype`, `${name} of dtype ${dtype} cannot be ${each.dtype}`);
    });
  }
  const buffers = { arena: program.arenas, weights: target.buffers };
  program.commands.forEach((command, c) => {
    const where = `${at}.commands[${c}]`;
    const parts = command.op === "dispatch" ? command.bindings : command.op === "copy" ? [command.from, command.to] : [command.to];
    for (const [kind, index, ...dims] of parts) {
      inside(index, buffers[kind], `${where} ${kind}`);
      dimsAt(where, entry, ...dims);
    }
    if (command.op === "dispatch") dispatchHolds(entry, variant, command, where);
    else {
      dimsAt(`${where}.bytes`, entry, command.bytes);
      if (command.to[0] === "weights") fail(`${where}.to`, "weights are never written");
      if (command.op === "copy" && String(command.from.slice(0, 2)) === String(command.to.slice(0, 2))) fail(where, "copies within one buffer");
    }
  });
}

function dispatchHolds(entry: Entry, variant: GpuVariant, command: CommandOf<"dispatch">, at: string): void {
  inside(command.shader, variant.shaders, `${at}.shader`);
  const { bindings, words } = variant.shaders[command.shader]!;
  if (command.bindings.length !== bindings.length) fail(`${at}.bindings`, `expected ${bindings.length}, got ${command.bindings.length}`);
  if (command.words.length !== words) fail(`${at}.words`, `expected ${words}, got ${command.words.length}`);
  dimsAt(`${at}.words`, entry, ...command.words, ...command.workgroups);
  const used = new Map<string, string>();
  command.bindings.forEach(([kind, index], i) => {
    const buffer = `${kind} ${index}`;
    const how = bindings[i]!;
    if (kind === "weights" && how !== "read") fail(`${at}.bindings[${i}]`, "weights are never written");
    if ((used.get(buffer) ?? how) !== how) fail(`${at}.bindings[${i}]`, `${buffer} is bound as read and as read_write`);
    used.set(buffer, how);
  });
}

/**
 * The manifest in the text of pack.json.
 *
 * @throws PackVersionError for a newer format or unknown features; PackError that names the wrong field.
 */
export function parseManifest(json: string): Manifest {
  let parsed: unknown;
  try {
    parsed = JSON.parse(json);
  } catch (error) {
    throw new PackError(`pack.json is not JSON (${(error as Error).message}); it begins with ${shown(json)}`);
  }
  const head = object({ format: size, requires: list(text) })(parsed, "");
  if (head.format !== FORMAT) throw new PackVersionError(`the pack has format ${head.format}, this runtime reads ${FORMAT}: update pyruntime`);
  const unknown = head.requires.filter((feature) => !KNOWN_FEATURES.includes(feature));
  if (unknown.length) throw new PackVersionError(`the pack needs ${unknown.join(", ")}, which this runtime lacks: update pyruntime`);

  const { targets, ...rest } = object({
    entries: list(checkEntry),
    weights: checkWeights,
    targets: object({ wasm: optional(checkWasm), webgpu: optional(checkWebgpu) }),
  })(parsed, "");
  if (!rest.entries.length) fail(".entries", "expected at least one");
  const wasm = targets.wasm && { ...targets.wasm, variants: targets.wasm.variants.map(asStored) };
  const webgpu = targets.webgpu && { ...targets.webgpu, variants: targets.webgpu.variants.map(asStored) };
  if (wasm && (wasm.abi !== 1 || wasm.pointer_bits !== 32)) {
    throw new PackVersionError(`the pack's Wasm has ABI ${wasm.abi} with ${wasm.pointer_bits}-bit pointers, this runtime runs ABI 1 with 32: update pyruntime`);
  }
  const manifest: Manifest = { ...rest, targets: { ...(wasm && { wasm }), ...(webgpu && { webgpu }) } };
  manifest.entries.forEach((entry, i) => {
    entryHolds(entry, `.entries[${i}]`);
    if (manifest.entries.findIndex((other) => other.name === entry.name) !== i) fail(`.entries[${i}].name`, `${shown(entry.name)} is there twice`);
  });
  weightsHold(manifest.weights);
  if (wasm) wasmHolds(manifest, wasm);
  if (webgpu) webgpuHolds(manifest, webgpu);
  return manifest;
}

// Decodes pack.json: versions first, then the type of every field, then what they say together.

import {
  type Check,
  choice,
  dim,
  expected,
  fail,
  list,
  number,
  object,
  optional,
  record,
  shown,
  size,
  text,
  tuple,
} from "./decode.ts";
import type { Dim } from "./dims.ts";
import { PackError, PackVersionError } from "./errors.ts";
import type {
  Binding,
  Carried,
  Command,
  Entry,
  GpuEntry,
  GpuPlace,
  GpuTarget,
  Listed,
  Manifest,
  Place,
  Shader,
  Shard,
  State,
  StoredTensor,
  Transfer,
  WasmEntry,
  WasmTarget,
} from "./manifest.ts";
import { type Constraint, type DType, DTYPES, type StoredSpec, type StoredSymbol, withStrings } from "./tensors.ts";
import { validate } from "./validate.ts";

const FORMAT = 0;
const KNOWN_FEATURES: readonly string[] = ["state", "sizes", "lists", "host", "strings"];

const digest = expected<string>("a SHA-256 in hex", (v) => typeof v === "string" && /^[0-9a-f]{64}$/.test(v));
const file = expected<string>(
  "a plain file name",
  (v) => typeof v === "string" && v.length < 200 && /^[A-Za-z0-9][\w.-]*$/.test(v),
);
const dtype = expected<DType>("a dtype", (v) => typeof v === "string" && Object.hasOwn(DTYPES, v));
/** A list that may be missing, and then is empty. */
const listOrNone =
  <T>(item: Check<T>): Check<T[]> =>
  (value, at) =>
    value === undefined ? [] : list(item)(value, at);

const within = tuple<[number, number]>(number, number);
const spec = object<StoredSpec>({
  name: text,
  dtype,
  shape: list(dim),
  default: optional(number),
  within: optional(within),
  encodes: optional(text),
});

const checkEntry = object<Entry>({
  name: text,
  symbols: list(
    object<StoredSymbol>({
      name: text,
      input: optional(size),
      axis: optional(size),
      element: optional(size),
      part: optional(choice("numerator", "denominator")),
      state: optional(size),
      least: optional(size),
    }),
  ),
  inputs: list(spec),
  outputs: list(spec),
  sizes: listOrNone(object({ name: text, most: dim })),
  constraints: optional(list(object<Constraint>({ value: dim, reason: text }))),
  state: listOrNone(object<Carried>({ state: size, length: optional(dim), next: optional(dim) })),
  lists: listOrNone(object<Listed>({ name: text, of: choice("inputs", "outputs"), first: size, length: optional(size) })),
});

const checkState = object<State>({
  name: text,
  dtype,
  shape: list(size),
  axis: optional(size),
  initial: optional(size),
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
  entries: list(object<WasmEntry>({ bytes: dim, steps: list(text), thread_bytes: optional(dim), commit: optional(size), symbols: optional(list(text)) })),
  variants: list(object(wholeFile)),
  state: listOrNone(size),
});

const kind = choice("arena", "weights", "state");
const place = tuple<Place>(kind, size, dim);
const gpuIntegers = ["int32", "uint32", "int64", "uint64"] as const;
const gpuDtype = choice("float32", "float16", "int8", "uint8", ...gpuIntegers);
const gpuPlace = object<GpuPlace>({ arena: optional(size), offset: optional(dim), dtype: optional(gpuDtype), host: optional(dim) });
const transfer = tuple<Transfer>(kind, size, dim, dim, dim, dtype);
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
  set: object<CommandOf<"set">>({ op: choice("set"), symbol: text, value: dim }),
  jump: object<CommandOf<"jump">>({ op: choice("jump"), to: size, unless: optional(dim) }),
  host: object<CommandOf<"host">>({
    op: choice("host"),
    first: size,
    last: size,
    from: list(transfer),
    to: list(transfer),
    reads: listOrNone(tuple<[string, Dim, DType]>(text, dim, dtype)),
  }),
  read: object<CommandOf<"read">>({ op: choice("read"), symbol: text, from: place, dtype: choice(...gpuIntegers) }),
};
const command: Check<Command> = (value, at) => {
  const op = choice(...(Object.keys(COMMANDS) as Command["op"][]))(record(value, at)["op"], `${at}.op`);
  return COMMANDS[op](value, at);
};

const tunedRow = object({ file, bytes: size, sha256: digest, vendor: text, architecture: text, device: text });
const checkTuned: Check<ReturnType<typeof tunedRow>> = (value, at) => {
  const row = tunedRow(value, at);
  if (!row.device && !(row.vendor && row.architecture)) fail(at, "neither a device nor vendor and architecture are named");
  return row;
};

const checkWebgpu = object({
  tuned: listOrNone(checkTuned),
  host: optional(checkWasm),
  buffers: list(size),
  state: listOrNone(size),
  weights: list(object<GpuTarget["weights"][number]>({ tensor: size, buffer: size, offset: size, dtype: gpuDtype })),
  variants: list(
    object({
      ...wholeFile,
      limits: (value: unknown, at: string) => {
        const given = record(value, at);
        return Object.fromEntries(Object.keys(given).map((key) => [key, size(given[key], `${at}.${key}`)]));
      },
      uses: listOrNone(text),
      shaders: list(
        object<Shader>({
          name: text,
          offset: size,
          bytes: size,
          bindings: list(choice("read", "read_write")),
          words: size,
        }),
      ),
      entries: list(
        object<GpuEntry>({
          arenas: list(dim),
          inputs: list(gpuPlace),
          outputs: list(gpuPlace),
          commands: list(command),
          commit: optional(size),
        }),
      ),
    }),
  ),
});

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
  if (head.format !== FORMAT)
    throw new PackVersionError(`the pack has format ${head.format}, this runtime reads ${FORMAT}: update pyruntime`);
  const unknown = head.requires.filter((feature) => !KNOWN_FEATURES.includes(feature));
  if (unknown.length)
    throw new PackVersionError(`the pack needs ${unknown.join(", ")}, which this runtime lacks: update pyruntime`);

  const { targets, assets = [], ...rest } = object({
    model: object({ sha256: digest }),
    entries: list(checkEntry),
    state: listOrNone(checkState),
    weights: checkWeights,
    assets: optional(list(object({ name: text, file, bytes: size, sha256: digest }))),
    targets: object({ wasm: optional(checkWasm), webgpu: optional(checkWebgpu) }),
  })(parsed, "");
  if (!rest.entries.length) fail(".entries", "expected at least one");
  const needs = {
    state: rest.state.length,
    lists: rest.entries.some(({ lists }) => lists.length),
    strings: rest.entries.some(withStrings),
  };
  for (const [name, needed] of Object.entries(needs))
    if (needed && !head.requires.includes(name)) fail(".requires", `a pack with ${name} requires "${name}"`);
  const wasm = targets.wasm && { ...targets.wasm, variants: targets.wasm.variants.map(asStored) };
  const host = targets.webgpu?.host;
  const webgpu = targets.webgpu && {
    ...targets.webgpu,
    variants: targets.webgpu.variants.map(asStored),
    tuned: targets.webgpu.tuned.map(asStored),
    host: host && { ...host, variants: host.variants.map(asStored) },
  };
  if (wasm?.abi === 0) fail(".targets.wasm.abi", "0 was never released");
  if (wasm && (wasm.abi !== 1 || wasm.pointer_bits !== 32)) {
    throw new PackVersionError(
      `the pack's Wasm has ABI ${wasm.abi} with ${wasm.pointer_bits}-bit pointers, this runtime runs ABI 1 with 32: update pyruntime`,
    );
  }
  const manifest: Manifest = { ...rest, assets: assets.map(asStored), targets: { ...(wasm && { wasm }), ...(webgpu && { webgpu }) } };
  validate(manifest);
  return manifest;
}

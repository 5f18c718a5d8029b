// Checks what the fields of a manifest say together, so that running may rely on them.

import { fail, shown } from "./decode.ts";
import { align, checkDim, type Dim, product } from "./dims.ts";
import { CHUNK } from "./fetch.ts";
import type {
  Binding,
  Command,
  Entry,
  GpuEntry,
  GpuTarget,
  GpuVariant,
  Manifest,
  Place,
  Placement,
  State,
  WasmTarget,
} from "./manifest.ts";
import { type DType, hasStrings, rowOf, storable, type StoredSpec, type StoredSymbol } from "./tensors.ts";

const WEIGHTS_BASE = 131072;
/** The smallest uniform buffer that every device can bind has 64 KiB. */
const MAX_WORDS = 16384;
/** Word 0 of every uniform: the bits of infinity. */
const INFINITY_BITS = 0x7f800000;

type DispatchCommand = Extract<Command, { op: "dispatch" }>;

/** Checks that an index names an item of a list. */
function inside(index: number, items: { readonly length: number }, at: string): void {
  if (index >= items.length) fail(at, `${index} is past the last of ${items.length}`);
}

/** Checks that no name is there twice. */
function distinct(items: readonly { readonly name: string }[], at: string): void {
  const seen = new Set<string>();
  items.forEach(({ name }, i) => {
    if (seen.has(name)) fail(`${at}[${i}].name`, `${shown(name)} is there twice`);
    seen.add(name);
  });
}

type Span = readonly [begin: number, end: number];

/** Checks that no two ranges share a byte. */
function apart(spans: readonly Span[], at: string): void {
  let last = 0;
  for (const [begin, end] of spans.filter(([a, b]) => a < b).sort(([a], [b]) => a - b)) {
    if (begin < last) fail(at, `tensors overlap at ${begin}`);
    last = end;
  }
}

/** What has symbols: an entry, or one with those that its program sets. */
interface Named {
  readonly symbols: readonly { readonly name: string }[];
}

/** Checks every dim below a value: that it is well formed and names the entry's symbols only. */
function dimsAt(at: string, entry: Named, ...dims: readonly Dim[]): void {
  const names = entry.symbols.map((symbol) => symbol.name);
  for (const each of dims) {
    try {
      checkDim(each, names);
    } catch (error) {
      fail(at, (error as Error).message);
    }
  }
}

function entryHolds(entry: Entry, states: readonly State[], at: string): void {
  entry.symbols.forEach((symbol, i) => {
    const where = `${at}.symbols[${i}]`;
    const { input, state } = symbol;
    if ((input === undefined) === (state === undefined)) fail(where, "expected one of input and state");
    if (input !== undefined) {
      inside(input, entry.inputs, `${where}.input`);
      symbolHolds(symbol, entry.inputs[input]!, where);
    } else if (states[state!]?.axis === undefined || !entry.state.some((carried) => carried.state === state))
      fail(`${where}.state`, "that is no state of the entry that grows");
  });
  entry.state.forEach((carried, i) => {
    const where = `${at}.state[${i}]`;
    inside(carried.state, states, `${where}.state`);
    if (entry.state.findIndex(({ state }) => state === carried.state) < i)
      fail(`${where}.state`, `${carried.state} is there twice`);
    for (const key of ["length", "next"] as const) {
      const value = carried[key];
      if ((value === undefined) !== (states[carried.state]!.axis === undefined))
        fail(`${where}.${key}`, "for a state that grows, and for no other");
      if (value !== undefined) dimsAt(`${where}.${key}`, entry, value);
    }
  });
  entry.constraints?.forEach(({ value }, i) => dimsAt(`${at}.constraints[${i}].value`, entry, value));
  const told = { symbols: [...entry.symbols, ...entry.sizes] };
  distinct(told.symbols, `${at}.symbols`);
  for (const key of ["inputs", "outputs"] as const) {
    const lists = entry.lists.filter(({ of }) => of === key);
    distinct([...entry[key], ...lists], `${at}.${key}`);
    lists.reduce((end, { first, length = 0 }) => {
      if (first < end || first + length > entry[key].length) fail(`${at}.lists`, `no ${length} ${key} at ${first}`);
      return first + length;
    }, 0);
    entry[key].forEach((spec, i) => {
      const { dtype, shape, default: value, within } = spec;
      if (hasStrings(spec) && !(dtype === "uint8" && shape.length))
        fail(`${at}.${key}[${i}].encodes`, "strings are rows of uint8");
      dimsAt(`${at}.${key}[${i}].shape`, key === "outputs" ? told : entry, ...shape);
      if (shape.some((dim) => (dim as number) < 0)) fail(`${at}.${key}[${i}].shape`, "a size is negative");
      if (value !== undefined && (key === "outputs" || !holds(dtype, value)))
        fail(`${at}.${key}[${i}].default`, `${value} is no ${dtype} of an input`);
      if (!within) return;
      const [low, high] = within;
      const integers = !dtype.startsWith("float") && holds(dtype, low) && holds(dtype, high);
      if (key === "outputs" || !integers || (value ?? low) < low || (value ?? low) > high || low > high)
        fail(`${at}.${key}[${i}].within`, `${low} to ${high} are no integers of an input of ${dtype}`);
    });
  }
}

/** A symbol is a size of its input, or an element of a small one: of floats a part of it. */
function symbolHolds(symbol: StoredSymbol, spec: StoredSpec, at: string): void {
  const { name, axis, element, part, least = 1 } = symbol;
  const { dtype, encodes, shape } = spec;
  if ((axis === undefined) === (element === undefined)) fail(at, "expected one of axis and element");
  if (part === undefined === (element !== undefined && (dtype.startsWith("float") || encodes === "bfloat16")))
    fail(`${at}.part`, "floats alone have parts");
  if (least > 1) fail(`${at}.least`, "expected 0 or 1");
  if (axis !== undefined) {
    inside(axis, shape, `${at}.axis`);
    if (shape[axis] !== name) fail(at, `the input's size there is not ${JSON.stringify(name)}`);
    if (spec.default !== undefined) fail(`${at}.input`, "an input that need not be fed has no size of its own");
    return;
  }
  if (!shape.every((dim) => typeof dim === "number")) fail(`${at}.element`, "the input has no fixed size");
  const elements = shape.reduce<number>((product, dim) => product * (dim as number), 1);
  if (element! >= elements) fail(`${at}.element`, `${element} is past the last of ${elements}`);
}

const LARGEST: Readonly<Partial<Record<DType, number>>> = {
  float16: 65504,
  float32: 3.4028234663852886e38,
  float64: Infinity,
};

/** Whether a default is a value of dtype. */
function holds(dtype: DType, value: number): boolean {
  const largest = LARGEST[dtype];
  if (largest !== undefined) return Math.abs(value) <= largest;
  const signed = dtype.startsWith("int");
  const high = dtype === "bool" ? 1 : 2 ** (rowOf(dtype).bytes * 8 - (signed ? 1 : 0)) - 1;
  return Number.isSafeInteger(value) && value >= (signed ? -high - 1 : 0) && value <= high;
}

function weightsHold({ shards, tensors }: Manifest["weights"]): void {
  shards.forEach(({ bytes, data, chunks }, i) => {
    const at = `.weights.shards[${i}]`;
    if (data < 8 || data > bytes) fail(`${at}.data`, `${data} is outside the file's ${bytes} bytes`);
    const count = Math.ceil(bytes / CHUNK);
    if (chunks.length !== count) fail(`${at}.chunks`, `expected ${count} digests, got ${chunks.length}`);
  });
  tensors.forEach((tensor, i) => {
    const at = `.weights.tensors[${i}]`;
    inside(tensor.shard, shards, `${at}.shard`);
    const shard = shards[tensor.shard]!;
    if (tensor.offset + tensor.bytes > shard.bytes - shard.data) fail(at, `ends past the data of ${shard.file}`);
    const bytes = tensor.elements * rowOf(tensor.dtype).bytes;
    if (tensor.bytes !== bytes)
      fail(`${at}.bytes`, `expected ${bytes} for ${tensor.elements} × ${tensor.dtype}, got ${tensor.bytes}`);
  });
  distinct(tensors, ".weights.tensors");
  const spans = shards.map((): Span[] => []);
  for (const { shard, offset, bytes } of tensors) spans[shard]!.push([offset, offset + bytes]);
  spans.forEach((each, i) => apart(each, `.weights.shards[${i}]`));
}

function statesHold({ state, weights: { tensors } }: Manifest): void {
  distinct(state, ".state");
  state.forEach(({ dtype, shape, axis, initial }, i) => {
    const at = `.state[${i}]`;
    if (!Number.isSafeInteger(product(shape) * rowOf(dtype).bytes))
      fail(`${at}.shape`, "more bytes than can be counted");
    if (axis !== undefined) inside(axis, shape, `${at}.axis`);
    if (initial === undefined) return;
    inside(initial, tensors, `${at}.initial`);
    if (axis !== undefined) fail(`${at}.initial`, "a state that grows begins empty");
    const { elements } = tensors[initial]!;
    if (elements !== product(shape)) fail(`${at}.initial`, `${elements} elements for shape [${shape.join(", ")}]`);
  });
}

/** The weights that states begin as must be on the target, as the states are stored there. */
function initialsHold(manifest: Manifest, weights: readonly Placement[], stored: (dtype: DType) => DType | undefined): void {
  manifest.state.forEach(({ dtype, initial }, i) => {
    if (initial !== undefined && !weights.some((each) => each.tensor === initial && each.dtype === stored(dtype)))
      fail(`.state[${i}].initial`, "that weight is not on the device as this dtype");
  });
}

/** What is the same for both targets: placements, a program per entry, all states, a last variant for every machine. */
function targetHolds(
  manifest: Manifest,
  at: string,
  weights: readonly Placement[],
  fits: (from: DType, to: DType) => boolean,
  requirements: readonly (readonly string[])[],
  programs: readonly (readonly [string, readonly unknown[]])[],
  state: readonly unknown[],
): void {
  const { tensors } = manifest.weights;
  weights.forEach((placement, i) => {
    inside(placement.tensor, tensors, `${at}.weights[${i}].tensor`);
    const from = tensors[placement.tensor]!.dtype;
    if (!fits(from, placement.dtype))
      fail(`${at}.weights[${i}].dtype`, `${from} is never stored as ${placement.dtype}`);
  });
  if (requirements.at(-1)?.length !== 0) fail(`${at}.variants`, "the last one must require nothing");
  for (const [where, items] of [...programs, [".state", state] as const]) {
    const { length } = items === state ? manifest.state : manifest.entries;
    if (items.length !== length) fail(`${at}${where}`, `expected ${length} items, got ${items.length}`);
  }
}

function wasmHolds(manifest: Manifest, target: WasmTarget, at: string): void {
  const fits = (from: DType, to: DType): boolean => from === to || (from === "float16" && to === "float32");
  const requirements = target.variants.map(({ requires }) => requires);
  targetHolds(manifest, at, target.weights, fits, requirements, [[".entries", target.entries]], target.state);
  const spans = target.weights.map(({ tensor, address, dtype }, i): Span => {
    const where = `${at}.weights[${i}].address`;
    const end = address + manifest.weights.tensors[tensor]!.elements * rowOf(dtype).bytes;
    if (address < WEIGHTS_BASE || end > 2 ** 32 || address % rowOf(dtype).bytes)
      fail(where, `${dtype} weights cannot be at ${address} to ${end}`);
    return [address, end];
  });
  manifest.state.forEach(({ dtype, shape }, i) => {
    const address = target.state[i]!;
    const end = address + product(shape) * rowOf(dtype).bytes;
    if (address < WEIGHTS_BASE || end > 2 ** 32 || address % rowOf(dtype).bytes)
      fail(`${at}.state[${i}]`, `a state of ${dtype} cannot be at ${address} to ${end}`);
    spans.push([address, end]);
  });
  initialsHold(manifest, target.weights, (dtype) => dtype);
  apart(spans, `${at}.weights`);
  const pages = target.initial_pages;
  if (pages < 1 || pages > 65536) fail(`${at}.initial_pages`, `expected 1 to 65536, got ${pages}`);
  target.entries.forEach(({ bytes, steps, thread_bytes = 0, commit }, i) => {
    dimsAt(`${at}.entries[${i}].bytes`, manifest.entries[i]!, bytes);
    dimsAt(`${at}.entries[${i}].thread_bytes`, manifest.entries[i]!, thread_bytes);
    if (commit !== undefined) inside(commit, steps, `${at}.entries[${i}].commit`);
  });
}

function webgpuHolds(manifest: Manifest, target: GpuTarget): void {
  const at = ".targets.webgpu";
  const programs = target.variants.map(({ entries }, i) => [`.variants[${i}].entries`, entries] as const);
  const requirements = target.variants.map(({ requires, limits }) => [...requires, ...Object.keys(limits)]);
  targetHolds(manifest, at, target.weights, storable, requirements, programs, target.state);
  const spans = target.buffers.map((): Span[] => []);
  target.weights.forEach(({ tensor, buffer, offset, dtype }, i) => {
    const where = `${at}.weights[${i}]`;
    inside(buffer, target.buffers, `${where}.buffer`);
    const end = offset + align(manifest.weights.tensors[tensor]!.elements * rowOf(dtype).bytes, 4);
    if (offset % 256 || end > target.buffers[buffer]!)
      fail(`${where}.offset`, `bytes ${offset} to ${end} cannot be in the buffer`);
    spans[buffer]!.push([offset, end]);
  });
  target.buffers.forEach((bytes, i) => {
    if (bytes < 4 || bytes % 4) fail(`${at}.buffers[${i}]`, `${bytes} is not a multiple of 4`);
    apart(spans[i]!, `${at}.buffers[${i}]`);
  });
  manifest.state.forEach(({ name, dtype, shape }, i) => {
    const bytes = target.state[i]!;
    const stored = rowOf(dtype).gpu;
    if (!stored) fail(`${at}.state[${i}]`, `${dtype} does not exist on the GPU`);
    if (bytes < Math.max(4, product(shape) * rowOf(stored!).bytes) || bytes % 4)
      fail(`${at}.state[${i}]`, `${bytes} bytes for ${JSON.stringify(name)} of shape [${shape.join(", ")}]`);
  });
  initialsHold(manifest, target.weights, (dtype) => rowOf(dtype).gpu);
  // its memory holds copies of states; its commands are checked by what runs them
  if (target.host) wasmHolds({ ...manifest, state: [] }, target.host, `${at}.host`);
  target.variants.forEach((variant, v) => variantHolds(manifest, target, variant, `${at}.variants[${v}]`));
}

/** Checks what a variant of the WebGPU target says. */
export function variantHolds(manifest: Manifest, target: GpuTarget, variant: GpuVariant, at: string): void {
  variant.shaders.forEach(({ offset, bytes, bindings, words }, i) => {
    const where = `${at}.shaders[${i}]`;
    if (offset + bytes > variant.bytes) fail(where, `ends past ${variant.file}`);
    if (words < 1 || words > MAX_WORDS) fail(`${where}.words`, `expected 1 to ${MAX_WORDS}, got ${words}`);
    const most = variant.limits["maxStorageBuffersPerShaderStage"] ?? 8;
    if (!bindings.length || bindings.length > most)
      fail(`${where}.bindings`, `expected 1 to ${most}, got ${bindings.length}`);
  });
  variant.entries.forEach((program, e) => {
    programHolds(manifest.entries[e]!, target, variant, program, `${at}.entries[${e}]`);
  });
}

function programHolds(entry: Entry, target: GpuTarget, variant: GpuVariant, program: GpuEntry, at: string): void {
  dimsAt(`${at}.arenas`, entry, ...program.arenas);
  for (const key of ["inputs", "outputs"] as const) {
    const places = program[key];
    if (places.length !== entry[key].length)
      fail(`${at}.${key}`, `expected ${entry[key].length} items, got ${places.length}`);
    places.forEach(({ arena, offset, dtype: stored, host }, i) => {
      const where = `${at}.${key}[${i}]`;
      if (host !== undefined && target.host) {
        dimsAt(`${where}.host`, entry, host);
        if (arena === undefined) return;
      }
      inside(arena ?? Infinity, program.arenas, `${where}.arena`);
      dimsAt(`${where}.offset`, entry, offset ?? "");
      const { name, dtype } = entry[key][i]!;
      if (!storable(dtype, stored)) fail(`${where}.dtype`, `${name} of dtype ${dtype} cannot be ${stored}`);
    });
  }
  const buffers = { arena: program.arenas, weights: target.buffers, state: target.state };
  const own = program.commands.flatMap((command) =>
    "symbol" in command ? [{ name: command.symbol }] : command.op === "host" ? command.reads.map(([name]) => ({ name })) : [],
  );
  const named: Named = { symbols: [...entry.symbols, ...own] };
  program.commands.forEach((command, c) => {
    const where = `${at}.commands[${c}]`;
    if (command.op === "host") return;
    for (const [kind, index, ...dims] of placesOf(command)) {
      inside(index, buffers[kind], `${where} ${kind}`);
      if (kind === "state" && !entry.state.some(({ state }) => state === index))
        fail(where, `state ${index} is not one of the entry's`);
      dimsAt(where, named, ...dims);
    }
    if (command.op === "dispatch") dispatchHolds(named, variant, command, where);
    else if (command.op === "copy" || command.op === "fill") transferHolds(named, command, where);
    else controlHolds(entry, named, program, command, where);
  });
}

function placesOf(command: Exclude<Command, { op: "host" }>): readonly (Binding | Place)[] {
  const { bindings, from, to }: { op: string; bindings?: readonly Binding[]; from?: Place; to?: Place | number } = command;
  return bindings ?? [from, to].filter((place) => typeof place === "object"); // where a jump goes is no place
}

function transferHolds(named: Named, command: Extract<Command, { op: "copy" | "fill" }>, at: string): void {
  dimsAt(`${at}.bytes`, named, command.bytes);
  if (command.to[0] === "weights") fail(`${at}.to`, "weights are never written");
  if (command.op === "copy" && String(command.from.slice(0, 2)) === String(command.to.slice(0, 2)))
    fail(at, "copies within one buffer");
}

function controlHolds(
  entry: Entry,
  named: Named,
  program: GpuEntry,
  command: Extract<Command, { op: "set" | "jump" | "read" }>,
  at: string,
): void {
  if (command.op === "jump") {
    const { length } = program.commands;
    if (command.to > length) fail(`${at}.to`, `${command.to} is past the end of ${length}`);
    if (command.unless !== undefined) dimsAt(`${at}.unless`, named, command.unless);
    return;
  }
  if (entry.symbols.some(({ name }) => name === command.symbol))
    fail(`${at}.symbol`, `${command.symbol} is bound by an input`);
  if (command.op === "set") dimsAt(`${at}.value`, named, command.value);
  else if (command.from[0] === "weights") fail(`${at}.from`, "weights are known");
}

function dispatchHolds(named: Named, variant: GpuVariant, command: DispatchCommand, at: string): void {
  inside(command.shader, variant.shaders, `${at}.shader`);
  const { bindings, words } = variant.shaders[command.shader]!;
  if (command.bindings.length !== bindings.length)
    fail(`${at}.bindings`, `expected ${bindings.length}, got ${command.bindings.length}`);
  if (command.words.length !== words || command.words[0] !== INFINITY_BITS) {
    fail(`${at}.words`, `expected ${words}, the first of them ${INFINITY_BITS}`);
  }
  dimsAt(`${at}.words`, named, ...command.words, ...command.workgroups);
  const used = new Map<string, string>();
  command.bindings.forEach(([kind, index], i) => {
    const buffer = `${kind} ${index}`;
    const how = bindings[i]!;
    if (kind === "weights" && how !== "read") fail(`${at}.bindings[${i}]`, "weights are never written");
    if ((used.get(buffer) ?? how) !== how) fail(`${at}.bindings[${i}]`, `${buffer} is bound as read and as read_write`);
    used.set(buffer, how);
  });
}

/** Checks what the fields of a manifest say together. Throws PackError with the path where they contradict. */
export function validate(manifest: Manifest): void {
  const { entries, targets } = manifest;
  entries.forEach((entry, i) => entryHolds(entry, manifest.state, `.entries[${i}]`));
  distinct(entries, ".entries");
  weightsHold(manifest.weights);
  statesHold(manifest);
  distinct(manifest.assets, ".assets");
  if (!targets.wasm && !targets.webgpu) fail(".targets", "there is neither wasm nor webgpu");
  if (targets.wasm) wasmHolds(manifest, targets.wasm, ".targets.wasm");
  if (targets.webgpu) webgpuHolds(manifest, targets.webgpu);
}

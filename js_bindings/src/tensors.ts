// Dtypes and their typed arrays; checks of what a user feeds, and the sizes that inputs give to symbols.

import { type Dim, evaluate, product, show, type Symbols, told as listed } from "./dims.ts";
import { InputError, RunError } from "./errors.ts";
import { narrowHalf, widenHalf } from "./half.ts";
import type { HalfArray } from "./platform.ts";

/** An element type, by its NumPy name. */
export type DType = keyof typeof DTYPES;

/** A typed array of any dtype; `float16` is a `Float16Array` where the engine has one, else its bits. */
export type TensorData =
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | HalfArray
  | Float32Array
  | Float64Array;

/** A name, dtype and shape of an input or output; a symbolic size is a string such as `"batch"` or `"batch * 2"`. */
export interface TensorSpec {
  /** As in the model. */
  readonly name: string;
  /** The type of its elements. */
  readonly dtype: DType | "string";
  /** A size for each axis; a string where it may vary. Empty for a scalar. */
  readonly shape: readonly (number | string)[];
  /** What all elements of an input are when it is not fed; absent where it must be fed. */
  readonly default?: number;
}

/**
 * What `run` takes: a scalar's shape is `[]`. int64 and uint64 also take an `Int32Array` or an array of integers,
 * strings an array of strings.
 */
export interface Feed {
  /** The elements in row-major order, in the typed array of the input's dtype. */
  readonly data: TensorData | readonly (number | bigint | string)[];
  /** A size for each axis; their product is the length of `data`. */
  readonly shape: readonly number[];
}

/**
 * What `run` gives; `data` is a plain array of checked integers for int64 and uint64 under `int64: "number"`, and an
 * array of strings for those.
 */
export interface Tensor {
  /** The elements in row-major order. */
  readonly data: TensorData | number[] | string[];
  /** A size for each axis. */
  readonly shape: number[];
  /** The type of the elements. */
  readonly dtype: DType | "string";
}

interface DTypeRow {
  readonly bytes: number;
  /** How the GPU stores an element, in one or two words of 32 bits; nothing for what it cannot. */
  readonly gpu?: "float32" | "int32" | "uint32" | "int64" | "uint64";
  /** How it may also store inputs, outputs and weights. */
  readonly word?: "int32" | "uint32";
  /** Names of the typed arrays that a feed may have; `list`: also a plain array. */
  readonly accepts: readonly string[];
  readonly list?: true;
  readonly view: (buffer: ArrayBuffer) => TensorData;
}

const half = (buffer: ArrayBuffer): TensorData =>
  typeof Float16Array === "undefined" ? new Uint16Array(buffer) : new Float16Array(buffer);

/** Everything that depends on a dtype alone. */
export const DTYPES = {
  bool: { bytes: 1, gpu: "uint32", accepts: ["Uint8Array", "Uint8ClampedArray"], view: (b) => new Uint8Array(b) },
  int8: { bytes: 1, gpu: "int32", accepts: ["Int8Array"], view: (b) => new Int8Array(b) },
  int16: { bytes: 2, gpu: "int32", accepts: ["Int16Array"], view: (b) => new Int16Array(b) },
  int32: { bytes: 4, gpu: "int32", accepts: ["Int32Array"], view: (b) => new Int32Array(b) },
  int64: {
    bytes: 8,
    gpu: "int64",
    word: "int32",
    accepts: ["BigInt64Array", "Int32Array"],
    list: true,
    view: (b) => new BigInt64Array(b),
  },
  uint8: { bytes: 1, gpu: "uint32", accepts: ["Uint8Array", "Uint8ClampedArray"], view: (b) => new Uint8Array(b) },
  uint16: { bytes: 2, gpu: "uint32", accepts: ["Uint16Array"], view: (b) => new Uint16Array(b) },
  uint32: { bytes: 4, gpu: "uint32", accepts: ["Uint32Array"], view: (b) => new Uint32Array(b) },
  uint64: {
    bytes: 8,
    gpu: "uint64",
    word: "uint32",
    accepts: ["BigUint64Array", "Int32Array"],
    list: true,
    view: (b) => new BigUint64Array(b),
  },
  float16: { bytes: 2, gpu: "float32", accepts: ["Float16Array", "Uint16Array"], view: half },
  float32: { bytes: 4, gpu: "float32", accepts: ["Float32Array"], view: (b) => new Float32Array(b) },
  float64: { bytes: 8, accepts: ["Float64Array"], view: (b) => new Float64Array(b) },
} as const satisfies Readonly<Record<string, DTypeRow>>;

/** The row of a dtype, without the literal types. */
export const rowOf = (dtype: DType): DTypeRow => DTYPES[dtype];

/** Whether the GPU may store a dtype so. */
export const storable = (dtype: DType, stored: DType | undefined): boolean =>
  stored === dtype || (stored !== undefined && [rowOf(dtype).gpu, rowOf(dtype).word].includes(stored as "int32"));

/** An input or output as pack.json has it. */
export interface StoredSpec {
  readonly name: string;
  readonly dtype: DType;
  readonly shape: readonly Dim[];
  readonly default?: number | undefined;
  /** The least and the largest integer that an input takes, or byte of its strings. */
  readonly within?: readonly [number, number] | undefined;
  /** What the elements stand for where that is another type; of strings they are bytes, along one more axis. */
  readonly encodes?: string | undefined;
}

/** A symbol of an entry, bound by a size of one of its inputs, by an element of its contents, or by a state's size. */
export interface StoredSymbol {
  readonly name: string;
  readonly input?: number | undefined;
  readonly axis?: number | undefined;
  readonly element?: number | undefined;
  /** Of a float element, which is a fraction in lowest terms. */
  readonly part?: "numerator" | "denominator" | undefined;
  readonly state?: number | undefined;
  /** The smallest size, 0 or 1, which it is where this is missing. */
  readonly least?: number | undefined;
}

/** A value over the symbols that is not zero for inputs that the model takes, and why. */
export interface Constraint {
  readonly value: Dim;
  readonly reason: string;
}

/** Whether an input or output has strings. */
export const hasStrings = ({ encodes }: StoredSpec): boolean => encodes === "string";

/** Whether an entry takes or gives any. */
export const withStrings = ({ inputs, outputs }: Record<"inputs" | "outputs", readonly StoredSpec[]>): boolean =>
  [...inputs, ...outputs].some(hasStrings);

/** A shape as the user has it. */
const told = <T>(spec: StoredSpec, shape: readonly T[]): readonly T[] => shape.slice(0, hasStrings(spec) ? -1 : undefined);

/** What a session shows of an input or output. */
export const publicSpec = (spec: StoredSpec): TensorSpec => ({
  name: spec.name,
  dtype: hasStrings(spec) ? "string" : spec.dtype,
  shape: told(spec, spec.shape).map((dim) => (typeof dim === "number" ? dim : show(dim))),
  ...(spec.default !== undefined && { default: spec.default }),
});

/** What binding needs of an entry. */
interface BoundEntry {
  readonly inputs: readonly StoredSpec[];
  readonly symbols: readonly StoredSymbol[];
  readonly constraints?: readonly Constraint[] | undefined;
}

/** Checked inputs in the entry's order, as contiguous bytes of their dtypes, and the symbols' values. */
export interface Bound {
  readonly inputs: Uint8Array[];
  readonly symbols: Symbols;
}

const describe = (shape: readonly (number | string)[]): string => `shape [${shape.join(", ")}]`;
const expectedShape = (spec: StoredSpec): string => describe(publicSpec(spec).shape);
const listNames = (specs: readonly StoredSpec[]): string => specs.map((spec) => spec.name).join(", ") || "none";

/**
 * Checks feeds against the entry's inputs, strings as their bytes, and binds its symbols.
 *
 * @throws InputError that names the input, what was expected and what came.
 */
export function bindFeeds(
  { inputs: specs, symbols, constraints }: BoundEntry,
  feeds: Readonly<Record<string, Feed>>,
  lengths: readonly number[] = [],
): Bound {
  for (const name of Object.keys(feeds)) {
    if (!specs.some((spec) => spec.name === name)) {
      throw new InputError(`there is no input ${JSON.stringify(name)}; inputs: ${listNames(specs)}`);
    }
  }
  const given = specs.map((spec) => {
    const feed = Object.hasOwn(feeds, spec.name) ? feeds[spec.name] : undefined;
    if (feed) checkShape(spec, feed.shape);
    else if (spec.default === undefined) throw new InputError(`input ${JSON.stringify(spec.name)} is missing`);
    return feed;
  });
  const values: Record<string, number> = {};
  for (const { name, input, axis, state, least = 1 } of symbols) {
    if (state !== undefined) values[name] = lengths[state]!;
    if (input === undefined || axis === undefined) continue;
    const { shape } = given[input]!;
    const size = shape[axis]!;
    if (size < least) throw mismatch(specs[input]!, `${name} to be at least 1`, describe(shape));
    values[name] = size;
  }
  const inputs = specs.map((spec, i) => {
    const feed = given[i];
    if (!feed) return filled(spec, values);
    spec.shape.forEach((dim, axis) => {
      const expected = evaluate(dim, values);
      if (feed.shape[axis] !== expected) {
        const symbolic = typeof dim === "number" ? "" : ` (${show(dim)} = ${expected})`;
        throw mismatch(spec, expectedShape(spec) + symbolic, describe(told(spec, feed.shape)));
      }
    });
    const bytes = bytesOf(spec, feed);
    if (!hasStrings(spec)) checkWithin(spec, feed.data);
    return bytes;
  });
  for (const { name, input, element, part } of symbols) {
    if (input !== undefined && element !== undefined)
      values[name] = elementOf(specs[input]!, inputs[input]!, element, part);
  }
  for (const { value, reason } of constraints ?? []) {
    if (!evaluate(value, values)) throw new InputError(`${reason}; given ${listed(values)}`);
  }
  return { inputs, symbols: Object.fromEntries(symbols.map(({ name }) => [name, values[name]!])) };
}

/** An element of an input, of floats a part. Throws InputError for one that is no fraction of exact integers. */
function elementOf(spec: StoredSpec, bytes: Uint8Array, element: number, part: StoredSymbol["part"]): number {
  const row = rowOf(spec.dtype);
  const data = row.view(bytes.slice(element * row.bytes).buffer as ArrayBuffer);
  let value = Number(data[0]);
  if (part && data instanceof Uint16Array)
    [value = 0] = spec.encodes ? new Float32Array(Uint32Array.of(value << 16).buffer) : widenHalf(data);
  let above = value;
  let below = 1;
  for (; above % 1; below *= 2) above *= 2;
  if (!Number.isSafeInteger(above) || below > 2 ** 62)
    throw mismatch(spec, part ? "an exact fraction" : "an integer below 2^53", `${value}`);
  return part === "denominator" ? below : above + 0;
}

/** The bytes of an input that was not fed. */
function filled({ dtype, shape, default: value }: StoredSpec, values: Symbols): Uint8Array {
  const elements = shape.reduce<number>((product, dim) => product * evaluate(dim, values), 1);
  const row = rowOf(dtype);
  const array = row.view(new ArrayBuffer(elements * row.bytes));
  const bits = dtype === "float16" && array instanceof Uint16Array;
  const element = row.list ? BigInt(value!) : bits ? narrowHalf(Float32Array.of(value!))[0] : value;
  (array as { fill(element: unknown): void }).fill(element);
  return new Uint8Array(array.buffer as ArrayBuffer);
}

/** Throws InputError for an integer outside the bounds, if there are any. */
function checkWithin({ name, within }: StoredSpec, data: Feed["data"]): void {
  if (!within) return;
  const [low, high] = within;
  const strange = (data as (number | bigint)[]).find((value) => value < low || value > high);
  if (strange !== undefined)
    throw new InputError(`input ${JSON.stringify(name)} takes integers from ${low} to ${high}, got ${strange}`);
}

const mismatch = (spec: StoredSpec, expected: string, got: string): InputError =>
  new InputError(`input ${JSON.stringify(spec.name)}: expected ${expected}, got ${got}`);

function checkShape(spec: StoredSpec, shape: readonly number[]): void {
  if (!Array.isArray(shape)) throw mismatch(spec, `{ data, shape } of ${expectedShape(spec)}`, `shape ${shape}`);
  if (shape.length !== spec.shape.length) throw mismatch(spec, expectedShape(spec), describe(shape));
  if (!shape.every((size) => Number.isSafeInteger(size) && size >= 0)) {
    throw mismatch(spec, "integer sizes", describe(shape));
  }
}

/** A feed's bytes. Throws InputError for another rank, dtype or number of elements; sizes are the caller's to check. */
export function checkedFeed(spec: StoredSpec, feed: Feed): Uint8Array {
  checkShape(spec, feed.shape);
  return bytesOf(spec, feed);
}

function bytesOf(spec: StoredSpec, feed: Feed): Uint8Array {
  const row = rowOf(spec.dtype);
  // the tag, not instanceof: arrays may come from another frame
  const kind = Array.isArray(feed.data) ? "Array" : String((feed.data as TensorData)?.[Symbol.toStringTag]);
  if (!(row.accepts.includes(kind) || (row.list && kind === "Array"))) {
    throw mismatch(spec, `${row.accepts.join(" or ")} for dtype ${spec.dtype}`, kind);
  }
  const elements = product(feed.shape);
  if (feed.data.length !== elements) {
    throw mismatch(spec, `${elements} elements for ${describe(feed.shape)}`, `${feed.data.length}`);
  }
  if (kind === "Array" || (row.list && kind === "Int32Array"))
    return long(spec, feed.data as ArrayLike<number | bigint>);
  const array = feed.data as TensorData;
  const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
  if (spec.dtype === "bool" && bytes.some((value) => value > 1))
    throw mismatch(spec, "0 or 1 for dtype bool", "a larger value");
  return bytes;
}

/** The bytes of plain or 32-bit integers as 64-bit ones. */
function long(spec: StoredSpec, data: ArrayLike<number | bigint>): Uint8Array {
  const narrow = (value: bigint): bigint =>
    spec.dtype === "int64" ? BigInt.asIntN(64, value) : BigInt.asUintN(64, value);
  const words = BigInt64Array.from({ length: data.length }, (_, i) => {
    const value = data[i]!;
    const integer = typeof value === "bigint" || Number.isSafeInteger(value);
    if (!integer || narrow(BigInt(value)) !== BigInt(value)) {
      throw mismatch(spec, `exact integers for dtype ${spec.dtype}`, `${value} at element ${i}`);
    }
    return BigInt(value);
  });
  return new Uint8Array(words.buffer);
}

/** Integers of 64 bits as numbers. Throws RunError for one that no number holds exactly. */
export function checkedNumbers(name: string, data: BigInt64Array | BigUint64Array): number[] {
  return Array.from(data, (value) => {
    if (!Number.isSafeInteger(Number(value))) {
      throw new RunError(
        `output ${JSON.stringify(name)} holds ${value}, which no number holds exactly: use int64: "bigint"`,
      );
    }
    return Number(value);
  });
}

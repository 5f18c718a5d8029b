// Elements between the dtypes of packs and of the API and how GPUs store them, in words of 32 bits or pairs, in bulk.

import { narrowHalf, widenHalf } from "./half.ts";

type Bytes = Uint8Array<ArrayBuffer>;
type View = ArrayBufferView<ArrayBuffer>;
/** Throws what a value that does not fit 32 bits means to the caller. */
type Refuse = (value: bigint) => never;
/** Gets aligned, whole elements. */
type Convert = (bytes: Uint8Array, refuse?: Refuse) => View;

// typed as never shared, but views of shared memory are as good
const words = (bytes: Uint8Array, Type: typeof BigInt64Array | typeof BigUint64Array) =>
  new Type(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / 8);
const halves = <T>(bytes: Uint8Array, Type: new (buffer: ArrayBuffer, offset: number, length: number) => T): T =>
  new Type(bytes.buffer as ArrayBuffer, bytes.byteOffset, bytes.length / 2);

function checked(
  long: BigInt64Array | BigUint64Array,
  short: Int32Array | Uint32Array,
  refuse?: Refuse,
): View {
  for (let i = 0; i < long.length; i++) {
    short[i] = Number(long[i]);
    if (BigInt(short[i]!) !== long[i]) refuse?.(long[i]!);
  }
  return short as View;
}

/** From how a tensor is stored or fed to how a target takes it, by `from to`. */
const WIDEN: Readonly<Record<string, Convert>> = {
  "float16 float32": (b) => widenHalf(halves(b, Uint16Array)),
  "int64 int32": (b, refuse) => checked(words(b, BigInt64Array), new Int32Array(b.length / 8), refuse),
  "uint64 uint32": (b, refuse) => checked(words(b, BigUint64Array), new Uint32Array(b.length / 8), refuse),
  "int16 int32": (b) => new Int32Array(halves(b, Int16Array)),
  "int8 int32": (b) => new Int32Array(new Int8Array(b.buffer, b.byteOffset, b.length)),
  "uint16 uint32": (b) => new Uint32Array(halves(b, Uint16Array)),
  "uint8 uint32": (b) => new Uint32Array(b),
  "bool uint32": (b) => new Uint32Array(b),
};

/** From GPU words to the dtype of an output. */
const NARROW: Readonly<Record<string, (words: ArrayBuffer) => View>> = {
  "float32 float16": (b) => narrowHalf(new Float32Array(b)),
  "int32 int64": (b) => BigInt64Array.from(new Int32Array(b), BigInt),
  "uint32 uint64": (b) => BigUint64Array.from(new Uint32Array(b), BigInt),
  "int32 int16": (b) => new Int16Array(new Int32Array(b)),
  "int32 int8": (b) => new Int8Array(new Int32Array(b)),
  "uint32 uint16": (b) => new Uint16Array(new Uint32Array(b)),
  "uint32 uint8": (b) => new Uint8Array(new Uint32Array(b)),
  "uint32 bool": (b) => Uint8Array.from(new Uint32Array(b), Number),
};

/** Elements of `from` as `to`; the same bytes where these are equal. */
export function widen(from: string, to: string, bytes: Bytes, refuse?: Refuse): Bytes;
export function widen(from: string, to: string, bytes: Uint8Array, refuse?: Refuse): Uint8Array;
export function widen(from: string, to: string, bytes: Uint8Array, refuse?: Refuse): Uint8Array {
  const made = WIDEN[`${from} ${to}`]?.(bytes, refuse);
  return made ? new Uint8Array(made.buffer, made.byteOffset, made.byteLength) : bytes;
}

/** GPU words of `from` as an output of dtype `to`; the same buffer where these are equal. */
export const narrow = (from: string, to: string, words: ArrayBuffer): ArrayBuffer =>
  NARROW[`${from} ${to}`]?.(words).buffer ?? words;

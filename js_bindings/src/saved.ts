// State as bytes: a safetensors file that says of which model it is, the same from Python and TypeScript.

import { StateError } from "./errors.ts";
import { type DType, DTYPES, rowOf } from "./tensors.ts";

const FORMAT = "pyruntime-state-0";
const METADATA = "__metadata__";
const LETTERS: Readonly<Record<string, string>> = { float: "F", int: "I", uint: "U" };

/** A tensor's elements as contiguous bytes. */
export interface SavedTensor {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** What safetensors calls a dtype: `F32`, `BOOL`. */
const codeOf = (dtype: DType): string =>
  dtype === "bool" ? "BOOL" : dtype.replace(/^[a-z]+/, (kind) => LETTERS[kind]!);
const DTYPE_OF: Readonly<Record<string, DType>> = Object.fromEntries(
  (Object.keys(DTYPES) as DType[]).map((dtype) => [codeOf(dtype), dtype]),
);

/** The file for these tensors, in their order; `model` identifies the model that they belong to. */
export function encode(model: string, tensors: ReadonlyMap<string, SavedTensor>): Uint8Array<ArrayBuffer> {
  let end = 0;
  const entries = [...tensors].map(([name, { dtype, shape, bytes }]) => {
    const begin = end;
    end += bytes.length;
    return [name, { dtype: codeOf(dtype), shape, data_offsets: [begin, end] }];
  });
  const header = JSON.stringify(Object.fromEntries([[METADATA, { format: FORMAT, model }], ...entries]));
  const text = new TextEncoder().encode(header);
  const start = 8 + Math.ceil(text.length / 8) * 8;
  const data = new Uint8Array(start + end).fill(32, 8, start);
  new DataView(data.buffer).setBigUint64(0, BigInt(start - 8), true);
  data.set(text, 8);
  let at = start;
  for (const { bytes } of tensors.values()) {
    data.set(bytes, at);
    at += bytes.length;
  }
  return data;
}

/**
 * The tensors of a file that `encode` wrote for this model and exactly these names.
 *
 * @throws StateError for bytes that are something else, damaged, or of another model.
 */
export function decode(data: Uint8Array, model: string, names: readonly string[]): Map<string, SavedTensor> {
  const [header, start] = headerOf(data);
  const { [METADATA]: metadata, ...told } = header;
  const { format, model: saver } = (metadata ?? {}) as Readonly<Record<string, unknown>>;
  if (format !== FORMAT) throw new StateError(`these bytes are not a saved state: their format is not ${FORMAT}`);
  if (saver !== model) throw new StateError("the state was saved by another model");
  const given = Object.keys(told);
  if (String([...given].sort()) !== String([...names].sort()))
    throw new StateError(`the state that was saved has ${listed(given)}, the pack has ${listed(names)}`);
  let total = start;
  const tensors = given.map((name) => {
    const tensor = tensorOf(name, told[name], data.subarray(start));
    total += tensor.bytes.length;
    return [name, tensor] as const;
  });
  if (total !== data.length)
    throw new StateError(`the saved state has ${data.length} bytes, its tensors need ${total}`);
  return new Map(tensors);
}

const listed = (names: readonly string[]): string => names.map((name) => JSON.stringify(name)).join(", ") || "none";

/** The header, and where the data begins. */
function headerOf(data: Uint8Array): [header: Readonly<Record<string, unknown>>, start: number] {
  try {
    const length = Number(new DataView(data.buffer, data.byteOffset, data.length).getBigUint64(0, true));
    // a copy: TextDecoder refuses shared memory
    const header: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(data.slice(8, 8 + length)));
    if (typeof header === "object" && header && !Array.isArray(header))
      return [header as Readonly<Record<string, unknown>>, 8 + length];
  } catch (error) {
    throw new StateError(`these bytes are not a saved state: ${(error as Error).message}`);
  }
  throw new StateError("these bytes are not a saved state: the header is no object");
}

const isSizes = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((size) => Number.isSafeInteger(size) && size >= 0);

function tensorOf(name: string, told: unknown, data: Uint8Array): SavedTensor {
  const { dtype: code, shape, data_offsets: offsets } = (told ?? {}) as Readonly<Record<string, unknown>>;
  const dtype = typeof code === "string" && Object.hasOwn(DTYPE_OF, code) ? DTYPE_OF[code] : undefined;
  if (dtype && isSizes(shape) && isSizes(offsets) && offsets.length === 2) {
    const [begin, end] = offsets as [number, number];
    const size = shape.reduce((product, each) => product * each, rowOf(dtype).bytes);
    if (end - begin === size && end <= data.length) return { dtype, shape, bytes: data.subarray(begin, end) };
  }
  throw new StateError(`the saved state of ${JSON.stringify(name)} is damaged`);
}

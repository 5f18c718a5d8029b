// Tensors of strings between users and packs, which hold rows of bytes: UTF-8, then END. Loaded on demand.

import { InputError, RunError } from "./errors.ts";
import type { Feed, StoredSpec, Tensor } from "./tensors.ts";

/** No byte of UTF-8. */
const END = 0xff;
/** Widths are multiples of this: what was planned for some strings serves others of nearly the same length. */
const STEP = 8;

type Feeds = Readonly<Record<string, Feed>>;

/** Feeds in which strings are their bytes, with one more axis. Throws InputError for what is no array of strings. */
export function encodeFeeds({ inputs }: { readonly inputs: readonly StoredSpec[] }, feeds: Feeds): Feeds {
  const made = { ...feeds };
  for (const spec of inputs) {
    const feed = spec.encodes === "string" && Object.hasOwn(feeds, spec.name) && feeds[spec.name];
    if (feed) made[spec.name] = encodeFeed(spec, feed);
  }
  return made;
}

function encodeFeed({ name, shape: { length: rank }, within = [0, END] }: StoredSpec, { data, shape }: Feed): Feed {
  const refuse = (why: string): never => {
    throw new InputError(`input ${JSON.stringify(name)}: ${why}`);
  };
  if (!Array.isArray(shape) || shape.length !== rank - 1)
    refuse(`expected a shape of ${rank - 1} sizes, got [${String(shape)}]`);
  const count = shape.reduce((product, size) => product * size, 1);
  const strings: readonly unknown[] = Array.isArray(data) ? data : refuse("expected an array of strings");
  if (strings.length !== count) refuse(`expected ${count} strings for shape [${shape.join(", ")}], got ${strings.length}`);
  const encoder = new TextEncoder();
  const [low, high] = within;
  const rows = strings.map((value) => {
    if (typeof value !== "string") return refuse(`expected strings, got ${String(value)}`);
    // what the encoder would replace: half of a surrogate pair
    if (/\p{Surrogate}/u.test(value)) refuse(`${JSON.stringify(value)} is no text`);
    const row = encoder.encode(value);
    if (row.some((byte) => byte < low || byte > high)) {
      const plain = low ? "" : high === 0x7f ? ", which is ASCII" : high === 0xc3 ? ", which is Latin-1" : "";
      refuse(`takes strings whose bytes are from ${low} to ${high}${plain}; got ${JSON.stringify(value)}`);
    }
    return row;
  });
  const longest = rows.reduce((most, { length }) => Math.max(most, length), 1);
  const width = Math.ceil(longest / STEP) * STEP;
  const bytes = new Uint8Array(count * width).fill(END);
  rows.forEach((row, i) => bytes.set(row, i * width));
  return { data: bytes, shape: [...shape, width] };
}

/** Outputs in which bytes are strings again. Throws RunError for bytes that are not UTF-8. */
export function decodeTensors(
  { outputs }: { readonly outputs: readonly StoredSpec[] },
  tensors: Readonly<Record<string, Tensor>>,
): Record<string, Tensor> {
  const made = { ...tensors };
  for (const { name, encodes } of outputs) {
    const tensor = encodes === "string" && Object.hasOwn(tensors, name) && tensors[name];
    if (tensor) made[name] = decodeTensor(name, tensor.data as Uint8Array, tensor.shape);
  }
  return made;
}

function decodeTensor(name: string, bytes: Uint8Array, rows: readonly number[]): Tensor {
  const width = rows.at(-1)!;
  const shape = rows.slice(0, -1);
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const count = shape.reduce((product, size) => product * size, 1);
  const data = Array.from({ length: count }, (_, i) => {
    const row = bytes.subarray(i * width, (i + 1) * width);
    const end = row.indexOf(END);
    try {
      return decoder.decode(end < 0 ? row : row.subarray(0, end));
    } catch {
      throw new RunError(`output ${JSON.stringify(name)} has a string that is not UTF-8`);
    }
  });
  return { data, shape, dtype: "string" };
}

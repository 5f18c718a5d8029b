// What a session's states hold, as its user has it: read, set, saved and loaded. Loaded for those who do so alone.

import type { Backend } from "./backend.ts";
import { product } from "./dims.ts";
import { InputError, StateError } from "./errors.ts";
import type { KeptState } from "./kept.ts";
import type { State } from "./manifest.ts";
import { decode, encode, type SavedTensor } from "./saved.ts";
import { checkedFeed, type Feed, rowOf } from "./tensors.ts";

/** The elements of a state, in its present shape. */
export async function read({ states, sizes }: KeptState, backend: Backend, number: number): Promise<SavedTensor> {
  const { dtype, shape, axis } = states[number]!;
  const whole = await backend.readState(number);
  if (axis === undefined) return { dtype, shape, bytes: whole };
  const present = shape.map((size, i) => (i === axis ? sizes[number]! : size));
  const bytes = new Uint8Array(product(present) * rowOf(dtype).bytes);
  for (const [from, to, size] of rows(states[number]!, present[axis]!)) bytes.set(whole.subarray(from, from + size), to);
  return { dtype, shape: present, bytes };
}

/** Sets states, by their numbers, to tensors that fit them. */
export async function write(
  { states, sizes }: KeptState,
  backend: Backend,
  tensors: ReadonlyMap<number, SavedTensor>,
): Promise<void> {
  const whole = new Map<number, Uint8Array<ArrayBuffer>>();
  for (const [number, { bytes, shape }] of tensors) {
    const state = states[number]!;
    if (state.axis === undefined) {
      whole.set(number, new Uint8Array(bytes));
      continue;
    }
    const data = new Uint8Array(product(state.shape) * rowOf(state.dtype).bytes);
    for (const [to, from, size] of rows(state, shape[state.axis]!)) data.set(bytes.subarray(from, from + size), to);
    whole.set(number, data);
  }
  await backend.writeStates(whole);
  for (const [number, { shape }] of tensors) {
    const { axis } = states[number]!;
    if (axis !== undefined) sizes[number] = shape[axis]!;
  }
}

/** Sets a state to what is fed. Throws InputError where that does not fit. */
export async function set(kept: KeptState, backend: Backend, number: number, feed: Feed): Promise<void> {
  const state = kept.states[number]!;
  const tensor = { dtype: state.dtype, shape: feed.shape, bytes: bytesFor(state, feed) };
  if (!fits(tensor, state))
    throw new InputError(
      `state ${JSON.stringify(state.name)}: expected ${told(state)}, got shape [${feed.shape.join(", ")}]`,
    );
  await write(kept, backend, new Map([[number, tensor]]));
}

/** All states as a file. Throws StateError where a run left them unfinished. */
export async function save(kept: KeptState, backend: Backend): Promise<Uint8Array<ArrayBuffer>> {
  kept.checkWhole();
  const tensors = new Map<string, SavedTensor>();
  for (const [number, { name }] of kept.states.entries()) tensors.set(name, await read(kept, backend, number));
  return encode(kept.model, tensors);
}

/** Sets all states to those in a file. Throws StateError, and changes none, where they do not fit. */
export async function load(kept: KeptState, backend: Backend, data: Uint8Array): Promise<void> {
  const { states, model } = kept;
  const names = states.map(({ name }) => name);
  const tensors = decode(data, model, names);
  for (const state of states) {
    const tensor = tensors.get(state.name)!;
    if (tensor.dtype !== state.dtype || !fits(tensor, state))
      throw new StateError(
        `state ${JSON.stringify(state.name)} was saved as ${tensor.dtype} of shape [${tensor.shape.join(", ")}]; the pack keeps ${told(state)}`,
      );
  }
  await write(kept, backend, new Map(names.map((name, number) => [number, tensors.get(name)!])));
  kept.torn = false;
}

/** Byte ranges with the first `length` elements along the growing axis: where in the whole, where alone, how many. */
function* rows({ dtype, shape, axis }: State, length: number): Generator<readonly [number, number, number]> {
  const step = product(shape.slice(axis! + 1)) * rowOf(dtype).bytes;
  const size = length * step;
  for (let row = 0; row < product(shape.slice(0, axis!)); row++) yield [row * shape[axis!]! * step, row * size, size];
}

function bytesFor({ name, dtype, shape }: State, feed: Feed): Uint8Array {
  try {
    return checkedFeed({ name, dtype, shape }, feed);
  } catch (error) {
    throw error instanceof InputError ? new InputError(error.message.replace("input", "state")) : error;
  }
}

const fits = ({ shape }: SavedTensor, state: State): boolean =>
  shape.length === state.shape.length &&
  state.shape.every((most, axis) => (axis === state.axis ? shape[axis]! <= most : shape[axis] === most));

const told = ({ dtype, shape, axis }: State): string =>
  `${dtype} of shape [${shape.map((size, i) => (i === axis ? `up to ${size}` : size)).join(", ")}]`;

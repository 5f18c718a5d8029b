// What a session keeps from run to run, for its user: read, set, saved and loaded.

import type { Backend } from "./backend.ts";
import { product } from "./dims.ts";
import { InputError, StateError } from "./errors.ts";
import type { KeptState } from "./kept.ts";
import type { Entry, State } from "./manifest.ts";
import type { SavedTensor } from "./saved.ts";
import { checkedFeed, type Feed, rowOf, type Tensor } from "./tensors.ts";

/**
 * The tensors that a session keeps between runs: `session.state`. Its calls and runs wait for each other.
 *
 * Every method rejects with StateError where the pack keeps no state, and with DisposedError after `dispose`.
 */
export class SessionState {
  /** The states' names: those of the model's inputs that they come from. */
  readonly names: readonly string[];
  readonly #entry: Entry;
  readonly #kept: KeptState;
  readonly #backend: Backend;
  readonly #use: <T>(action: () => Promise<T>) => Promise<T>;

  /** @internal */
  constructor(
    entry: Entry,
    kept: KeptState,
    backend: Backend,
    use: <T>(action: () => Promise<T>) => Promise<T>,
  ) {
    this.#entry = entry;
    this.names = kept.states.map(({ name }) => name);
    this.#kept = kept;
    this.#backend = backend;
    this.#use = use;
  }

  /** The present size of each state that grows, along the axis along which it does. */
  get lengths(): Record<string, number> {
    return this.#growing((number) => this.#kept.sizes[number]!);
  }

  /** The symbols of the inputs' shapes that sizes of states bind, with their present values. */
  get symbols(): Record<string, number> {
    const bound = this.#entry.symbols.flatMap(({ name, state }) =>
      state === undefined ? [] : [[name, this.#kept.sizes[state]!] as const],
    );
    return Object.fromEntries(bound);
  }

  /** The largest size of each state that grows. */
  get capacities(): Record<string, number> {
    return this.#growing((_, { shape, axis }) => shape[axis!]!);
  }

  /** Makes all states what they were when the session was loaded. */
  async reset(): Promise<void> {
    this.#require();
    await this.#use(async () => {
      await this.#backend.resetStates();
      this.#kept.sizes.fill(0);
      this.#kept.torn = false;
    });
  }

  /**
   * A copy of one state, of its present size.
   *
   * @throws InputError where there is no such state.
   */
  async get(name: string): Promise<Tensor> {
    const { dtype, shape, bytes } = await this.getBytes(name);
    return { data: rowOf(dtype).view(bytes.slice().buffer), shape: [...shape], dtype };
  }

  /** @internal A state's bytes. */
  async getBytes(name: string): Promise<SavedTensor> {
    const number = this.#number(name);
    return this.#use(() => this.#read(number));
  }

  /** @internal Sets a state to what Python has checked. */
  async setBytes(name: string, bytes: Uint8Array, shape: readonly number[]): Promise<void> {
    const number = this.#number(name);
    const { dtype } = this.#kept.states[number]!;
    await this.#use(() => this.#write(new Map([[number, { dtype, shape, bytes }]])));
  }

  /**
   * Sets one state, from anything that could be fed. One that grows takes any size up to its capacity.
   *
   * @throws InputError for another dtype or shape, or where there is no such state.
   */
  async set(name: string, feed: Feed): Promise<void> {
    const number = this.#number(name);
    const state = this.#kept.states[number]!;
    const tensor = { dtype: state.dtype, shape: feed.shape, bytes: bytesFor(state, feed) };
    if (!fits(tensor, state))
      throw new InputError(`state ${JSON.stringify(name)}: expected ${told(state)}, got shape [${feed.shape.join(", ")}]`);
    await this.#use(() => this.#write(new Map([[number, tensor]])));
  }

  /**
   * All states as bytes for `load`, here or in Python: a safetensors file with the model's hash.
   *
   * @throws StateError where a run left them unfinished.
   */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    this.#require();
    return this.#use(async () => {
      this.#kept.checkWhole();
      const { encode } = await import("./saved.ts");
      const tensors = new Map<string, SavedTensor>();
      for (const [number, name] of this.names.entries()) tensors.set(name, await this.#read(number));
      return encode(this.#kept.model, tensors);
    });
  }

  /**
   * Sets all states to what `save` gave.
   *
   * @param data bytes that `save` gave here, in another session of the same model, or in Python.
   * @throws StateError, and changes none, where they do not fit.
   */
  async load(data: Uint8Array): Promise<void> {
    this.#require();
    await this.#use(async () => {
      const { decode } = await import("./saved.ts");
      const tensors = decode(data, this.#kept.model, this.names);
      for (const state of this.#kept.states) {
        const tensor = tensors.get(state.name)!;
        if (tensor.dtype !== state.dtype || !fits(tensor, state))
          throw new StateError(
            `state ${JSON.stringify(state.name)} was saved as ${tensor.dtype} of shape [${tensor.shape.join(", ")}]; the pack keeps ${told(state)}`,
          );
      }
      await this.#write(new Map(this.names.map((name, number) => [number, tensors.get(name)!])));
      this.#kept.torn = false;
    });
  }

  #growing(size: (number: number, state: State) => number): Record<string, number> {
    const found = this.#kept.states.flatMap((state, number) =>
      state.axis === undefined ? [] : [[state.name, size(number, state)] as const],
    );
    return Object.fromEntries(found);
  }

  #require(): void {
    if (!this.names.length)
      throw new StateError("the pack keeps no state; convert the model with state={input: output}");
  }

  #number(name: string): number {
    this.#require();
    const number = this.names.indexOf(name);
    if (number < 0)
      throw new InputError(`there is no state ${JSON.stringify(name)}; states: ${this.names.join(", ")}`);
    return number;
  }

  async #read(number: number): Promise<SavedTensor> {
    const { dtype, shape, axis } = this.#kept.states[number]!;
    const whole = await this.#backend.readState(number);
    if (axis === undefined) return { dtype, shape, bytes: whole };
    const present = shape.map((size, i) => (i === axis ? this.#kept.sizes[number]! : size));
    const bytes = new Uint8Array(product(present) * rowOf(dtype).bytes);
    for (const [from, to, size] of rows(this.#kept.states[number]!, present[axis]!))
      bytes.set(whole.subarray(from, from + size), to);
    return { dtype, shape: present, bytes };
  }

  async #write(tensors: ReadonlyMap<number, SavedTensor>): Promise<void> {
    const whole = new Map<number, Uint8Array<ArrayBuffer>>();
    for (const [number, { bytes, shape }] of tensors) {
      const state = this.#kept.states[number]!;
      if (state.axis === undefined) {
        whole.set(number, new Uint8Array(bytes));
        continue;
      }
      const data = new Uint8Array(product(state.shape) * rowOf(state.dtype).bytes);
      for (const [to, from, size] of rows(state, shape[state.axis]!)) data.set(bytes.subarray(from, from + size), to);
      whole.set(number, data);
    }
    await this.#backend.writeStates(whole);
    for (const [number, { shape }] of tensors) {
      const { axis } = this.#kept.states[number]!;
      if (axis !== undefined) this.#kept.sizes[number] = shape[axis]!;
    }
  }
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

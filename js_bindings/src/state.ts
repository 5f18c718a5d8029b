// What a session keeps from run to run, for its user: read, set, saved and loaded.

import type { Backend } from "./backend.ts";
import { InputError, StateError } from "./errors.ts";
import type { KeptState } from "./kept.ts";
import type { Entry, State } from "./manifest.ts";
import type { SavedTensor } from "./saved.ts";
import { type Feed, rowOf, type Tensor } from "./tensors.ts";

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
    return this.#hold(({ read }) => read(this.#kept, this.#backend, number));
  }

  /** @internal Sets a state to what Python has checked. */
  async setBytes(name: string, bytes: Uint8Array, shape: readonly number[]): Promise<void> {
    const number = this.#number(name);
    const { dtype } = this.#kept.states[number]!;
    await this.#hold(({ write }) => write(this.#kept, this.#backend, new Map([[number, { dtype, shape, bytes }]])));
  }

  /**
   * Sets one state, from anything that could be fed. One that grows takes any size up to its capacity.
   *
   * @throws InputError for another dtype or shape, or where there is no such state.
   */
  async set(name: string, feed: Feed): Promise<void> {
    const number = this.#number(name);
    await this.#hold(({ set }) => set(this.#kept, this.#backend, number, feed));
  }

  /**
   * All states as bytes for `load`, here or in Python: a safetensors file with the model's hash.
   *
   * @throws StateError where a run left them unfinished.
   */
  async save(): Promise<Uint8Array<ArrayBuffer>> {
    this.#require();
    return this.#hold(({ save }) => save(this.#kept, this.#backend));
  }

  /**
   * Sets all states to what `save` gave.
   *
   * @param data bytes that `save` gave here, in another session of the same model, or in Python.
   * @throws StateError, and changes none, where they do not fit.
   */
  async load(data: Uint8Array): Promise<void> {
    this.#require();
    await this.#hold(({ load }) => load(this.#kept, this.#backend, data));
  }

  /** What reads and writes states, in its turn among the runs. */
  #hold<T>(action: (states: typeof import("./states.ts")) => Promise<T>): Promise<T> {
    return this.#use(async () => action(await import("./states.ts")));
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
}

// A loaded entry of a pack: checks feeds, queues runs, and frees everything when it is disposed.

import type { Backend, Device, Pack, Present, RawOutput, Report } from "./backend.ts";
import type { Symbols } from "./dims.ts";
import { DisposedError, InputError } from "./errors.ts";
import { download } from "./fetch.ts";
import { KeptState } from "./kept.ts";
import type { Entry, Listed } from "./manifest.ts";
import { memoryOf } from "./memory.ts";
import type { Profile, ProfileOptions } from "./profile.ts";
import { SessionState } from "./state.ts";
import { checkedNumbers, type Feed, publicSpec, rowOf, type Tensor, type TensorSpec, withStrings } from "./tensors.ts";

/** How int64 and uint64 outputs come back. */
export type LongIntegers = "bigint" | "number";

/** Options of one run. */
export interface RunOptions {
  /** The names of the outputs that are wanted; all where it is left out. */
  readonly outputs?: readonly string[] | undefined;
  /** Rejects the run with the signal's reason; Wasm stops at the next step, unless it has begun to change the state. */
  readonly signal?: AbortSignal | undefined;
  /**
   * Outputs of an earlier run that are no longer needed: the run may take their memory, which leaves their arrays empty.
   * New memory costs more time than to fill it.
   *
   * @example
   * let made;
   * for await (const x of frames) show((made = await session.run({ x }, { recycle: made })));
   */
  readonly recycle?: Results | undefined;
}

/** What is fed, by name: a tensor, an array of them for a sequence, nothing for an optional that is absent. */
export type Feeds = Readonly<Record<string, Feed | readonly Feed[] | null | undefined>>;
/** What a run gives, by name: a tensor, an array of them for a sequence, null for an optional that is absent. */
export type Results = Record<string, Tensor | Tensor[] | null>;

/** A model that is ready to run. Made by {@link load}; give it back with {@link Session.dispose}. */
export class Session {
  /** What `run` takes. */
  readonly inputs: readonly TensorSpec[];
  /** What `run` gives. */
  readonly outputs: readonly TensorSpec[];
  /** Which inputs and outputs are fed and given as an array: sequences. */
  readonly lists: readonly Listed[];
  /** Where the model runs. */
  readonly device: Device;
  /** Names of the files that travel with the model: see {@link Session.asset}. */
  readonly assets: readonly string[];
  readonly #report: Omit<Report, keyof Present>;
  /** What is kept from run to run. */
  readonly state: SessionState;
  readonly #kept: KeptState;
  readonly #pack: Pack;
  readonly #entry: Entry;
  readonly #backend: Backend;
  readonly #int64: LongIntegers;
  #queue: Promise<unknown> = Promise.resolve();
  #disposed = false;

  /** @internal */
  constructor(
    pack: Pack,
    entry: Entry,
    backend: Backend,
    report: Omit<Report, keyof Present>,
    int64: LongIntegers,
  ) {
    this.assets = pack.manifest.assets.map(({ name }) => name);
    this.#kept = new KeptState(pack.manifest);
    this.state = new SessionState(entry, this.#kept, backend, (action) => this.#enqueue(action));
    this.#pack = pack;
    this.inputs = entry.inputs.map(publicSpec);
    this.outputs = entry.outputs.map(publicSpec);
    this.lists = entry.lists;
    this.device = report.device;
    this.#report = report;
    this.#entry = entry;
    this.#backend = backend;
    this.#int64 = int64;
  }

  /** What loading decided and why, and what the device holds at present. */
  get report(): Report {
    return { ...this.#report, ...this.#backend.present };
  }

  /**
   * Runs the model. Runs wait for each other; leave the fed arrays unchanged until the promise settles.
   *
   * @param feeds a tensor for each input, by name; for a sequence an array of tensors.
   * @param options which outputs are wanted, how to end the run, memory to use again.
   * @returns the outputs, by name, in memory of their own. Where some are sequences, say so by `run<Results>`.
   * @throws InputError, StateError (a state is full), MemoryLimitError, RunError, DeviceLostError,
   *   DisposedError, or the signal's reason.
   */
  run<Given extends Results = Record<string, Tensor>>(feeds: Feeds, options: RunOptions = {}): Promise<Given> {
    const made: Promise<Results> = this.lists.length
      ? import("./lists.ts").then(({ runLists }) => runLists(this.#entry, this.#run.bind(this), feeds, options))
      : this.#run(feeds as Readonly<Record<string, Feed>>, options);
    return made as Promise<Given>;
  }

  #run(
    feeds: Readonly<Record<string, Feed>>,
    { outputs, signal, recycle = {} }: RunOptions = {},
  ): Promise<Record<string, Tensor>> {
    return this.#enqueue(async () => {
      const entry = this.#entry;
      const names = entry.outputs.map(({ name }) => name);
      const wanted = [...new Set(outputs ?? names)].map((name) => {
        const at = names.indexOf(name);
        if (at < 0) throw new InputError(`there is no output ${JSON.stringify(name)}; outputs: ${names.join(", ")}`);
        return at;
      });
      const strings = withStrings(entry) ? await import("./strings.ts") : undefined;
      const { inputs, symbols } = this.#kept.bind(entry, strings?.encodeFeeds(entry, feeds) ?? feeds);
      const spares = memoryOf(wanted.map((output) => (recycle[names[output]!] as Tensor | undefined)?.data));
      const made = await this.#execute(inputs, symbols, wanted, spares, signal);
      const tensors = Object.fromEntries(made.map(({ buffer, shape }, i) => this.#tensor(wanted[i]!, buffer, shape)));
      return strings?.decodeTensors(entry, tensors) ?? tensors;
    }, signal);
  }

  /** @internal Entries and states as pack.json tells them: what Python checks feeds against. */
  get programs(): string {
    const { entries, state, model } = this.#pack.manifest;
    return JSON.stringify({ entries, state, model: model.sha256 });
  }

  /** @internal Present sizes of the states, and whether they were left unfinished. */
  get kept(): { readonly sizes: readonly number[]; readonly torn: boolean } {
    return this.#kept;
  }

  /** @internal Settles when all that was begun is done, a run too whose caller has aborted it. */
  get idle(): Promise<void> {
    return this.#queue.then(() => undefined);
  }

  /** @internal Runs what Python has checked already: bytes in and bytes out, in the entry's order. */
  runBytes(inputs: readonly Uint8Array[], symbols: Symbols, signal?: AbortSignal): Promise<RawOutput[]> {
    const wanted = [...this.#entry.outputs.keys()];
    return this.#enqueue(() => this.#execute(inputs, symbols, wanted, [], signal), signal);
  }

  /**
   * Fetches a file that travels with the model, such as tokenizer.json, or takes it from the cache, and checks its hash.
   *
   * @param name one of `assets`.
   * @param options `signal` ends fetching.
   * @example
   * const tokenizer = JSON.parse(new TextDecoder().decode(await session.asset("tokenizer.json")));
   * @throws InputError where there is no such asset, PackError and its subclasses, or the signal's reason.
   */
  async asset(
    name: string,
    options: { readonly signal?: AbortSignal | undefined } = {},
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { folder, manifest, cache } = this.#pack;
    const stored = manifest.assets.find((asset) => asset.name === name);
    if (!stored)
      throw new InputError(`there is no asset ${JSON.stringify(name)}; assets: ${this.assets.join(", ") || "none"}`);
    const content = new Uint8Array(stored.bytes);
    const accept = (bytes: Uint8Array, position: number): void => content.set(bytes, position);
    await download(folder, [{ stored, accept }], undefined, options.signal, cache);
    return content;
  }

  /**
   * Measures what each step takes, on a copy of the model that this loads and gives back: on a GPU by its timestamps,
   * on Wasm on one thread, the calling one. States begin as they do at first, in each run.
   *
   * @param feeds as `run` takes them.
   * @param options how long to measure.
   * @throws DeviceError where the GPU tells no times, and whatever {@link load} and `run` throw.
   * @example
   * const { steps } = await session.profile({ x });
   * console.table(steps.toSorted((a, b) => b.milliseconds - a.milliseconds));
   */
  async profile(feeds: Feeds, options?: ProfileOptions): Promise<Profile> {
    return (await import("./profile.ts")).profile(Session, this.#pack, this.#entry, this.device, feeds, options);
  }

  /** Frees all memory, on the device too, and ends the worker. Pending and later runs reject with DisposedError. */
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    void this.#backend.dispose();
  }

  #check(signal?: AbortSignal): void {
    if (this.#disposed) throw new DisposedError("the session was disposed");
    signal?.throwIfAborted();
  }

  /** Does something when all before it is done, unless the signal ends it. */
  #enqueue<T>(action: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const work = async (before: Promise<unknown>): Promise<T> => {
      this.#check(signal);
      await before;
      this.#check(signal);
      try {
        return await action();
      } finally {
        this.#check(); // whatever disposing broke, and what came too late
      }
    };
    const result = work(this.#queue);
    this.#queue = result.catch(() => undefined);
    return signal ? orAbort(result, signal) : result;
  }

  /** One run, and what it makes of the states. */
  async #execute(
    inputs: readonly Uint8Array[],
    symbols: Symbols,
    wanted: readonly number[],
    spares: readonly (ArrayBuffer | undefined)[],
    signal?: AbortSignal,
  ): Promise<RawOutput[]> {
    try {
      const made = await this.#backend.run(inputs, symbols, wanted, spares, signal);
      this.#kept.advance(this.#entry, symbols);
      return made;
    } catch (error) {
      this.#kept.torn ||= this.#backend.committed;
      throw error;
    }
  }

  #tensor(output: number, buffer: ArrayBuffer, shape: number[]): [string, Tensor] {
    const { name, dtype } = this.#entry.outputs[output]!;
    const view = rowOf(dtype).view(buffer);
    const long = view instanceof BigInt64Array || view instanceof BigUint64Array;
    const data = long && this.#int64 === "number" ? checkedNumbers(name, view) : view;
    return [name, { data, shape, dtype }];
  }
}

/** The result, or a rejection as soon as the signal is aborted. */
function orAbort<T>(result: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    result.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

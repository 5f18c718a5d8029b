// Runs a pack's Wasm module (ABI 1) on the calling thread: memory, weights, and its steps one by one.

import type { Backend, Loading, Present, RawOutput } from "./backend.ts";
import { evaluate, product, type Symbols, told } from "./dims.ts";
import { DeviceError, messageOf, MemoryLimitError, PackError, PackVersionError, RunError } from "./errors.ts";
import { type Download, download } from "./fetch.ts";
import { atCapacity } from "./kept.ts";
import type { Entry, Manifest, State, WasmEntry, WasmTarget } from "./manifest.ts";
import { copyOut } from "./memory.ts";
import { Team } from "./team.ts";
import { rowOf } from "./tensors.ts";
import { decideThreads, sharedMemory } from "./threads.ts";
import { weightDownloads } from "./weights.ts";

const PAGE = 65536;
/** Bytes behind the last tensor that vector loads may read. */
const SLACK = 64;
const LIMIT = 2 ** 32;
/** What `run` gives after more jumps than any loop needs. */
const ENDLESS = -8;
/** Milliseconds that steps may run before the thread looks for an abort. */
const PATIENCE = 30;

interface Exports {
  abi(): number;
  dims(entry: number): number;
  plan(entry: number): number;
  bytes(entry: number): bigint;
  input(entry: number, i: number): number;
  output(entry: number, i: number): number;
  output_dim(entry: number, i: number, axis: number): bigint;
  steps(entry: number): number;
  run(entry: number, first: number, last: number): number;
  threads(count: number): number;
  worker(thread: number): number;
  stop(): void;
}

const EXPORTS = ["abi", "dims", "plan", "bytes", "input", "output", "output_dim", "steps", "run"] as const;
/** What variants with threads export, too. */
const TEAM_EXPORTS = ["threads", "worker", "stop"] as const;
/** What `run` gives when a helper has failed. */
const STOPPED = -6;

/** What an engine must know to run a variant: a module that only validates where it does. */
const FEATURES: Readonly<Record<string, () => boolean>> = {
  // f32x4.relaxed_madd and v128.bitselect
  "relaxed-simd": () => knows(253, 133, 2),
  simd: () => knows(253, 82),
};

/** Whether the engine validates (func (param v128 v128 v128) (result v128) local.get 0, 1, 2, the instruction). */
function knows(...instruction: readonly number[]): boolean {
  const body = [0, 32, 0, 32, 1, 32, 2, ...instruction, 11];
  const type = [1, 8, 1, 96, 3, 123, 123, 123, 1, 123];
  const code = [10, body.length + 2, 1, body.length, ...body];
  return WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, ...type, 3, 2, 1, 0, ...code]));
}

/** A macrotask, so that messages (and with them aborts) arrive; a timer that follows on timers would take 4 ms. */
const breathe = (): Promise<void> =>
  new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resolve();
    };
    port2.postMessage(undefined);
  });

/** A Wasm program; host steps of WebGPU are run by its parts. */
export class WasmBackend implements Backend {
  readonly report: Backend["report"];
  committed = false;
  readonly #manifest: Manifest;
  readonly #target: WasmTarget;
  readonly #entry: Entry;
  readonly #index: number;
  readonly #steps: readonly string[];
  #module: WebAssembly.Module | undefined;
  #memory: WebAssembly.Memory | undefined;
  #exports: Exports | undefined;
  readonly #workerUrl: string | URL | undefined;
  #team: Team | undefined;
  #planned: string | undefined;

  constructor(
    report: Backend["report"],
    { pack, entry, index, workerUrl }: Loading,
    target: WasmTarget,
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
  ) {
    this.report = report;
    this.#manifest = pack.manifest;
    this.#target = target;
    this.#entry = entry;
    this.#index = index;
    this.#workerUrl = workerUrl;
    this.#steps = target.entries[index]!.steps;
    this.#module = module;
    this.#memory = memory;
  }

  /** An instance over the weights in memory, checks of what it says about itself, and its helpers. */
  async instantiate(): Promise<Exports> {
    const instance = await WebAssembly.instantiate(this.#module!, { env: { memory: this.#memory! } });
    const exports = instance.exports as unknown as Exports;
    const { threads } = this.report;
    const names = threads > 1 ? [...EXPORTS, ...TEAM_EXPORTS] : EXPORTS;
    const missing = names.filter((name) => typeof exports[name] !== "function");
    if (missing.length) throw new PackError(`the Wasm module lacks the exports ${missing.join(", ")}`);
    const abi = exports.abi();
    if (abi !== 1)
      throw new PackVersionError(`the Wasm module has ABI ${abi}, this runtime runs ABI 1: update pyruntime`);
    const steps = exports.steps(this.#index);
    if (steps !== this.#steps.length)
      throw new PackError(`the Wasm module has ${steps} steps, pack.json names ${this.#steps.length}`);
    this.#planned = undefined;
    if (threads > 1) {
      exports.threads(threads);
      this.#team = await Team.start(threads, this.#module!, this.#memory!, this.#workerUrl);
    }
    return (this.#exports = exports);
  }

  get present(): Present {
    return { memoryBytes: this.memoryBytes, reloads: 0 };
  }

  get memoryBytes(): number {
    return this.#memory?.buffer.byteLength ?? 0;
  }

  /** After a failure: the next run takes a new instance and new helpers. Gives what went wrong in the present ones. */
  async #leave(exports: Exports): Promise<string> {
    this.#exports = undefined;
    const team = this.#team;
    if (!team) return "";
    this.#team = undefined;
    exports.stop();
    return team.end();
  }

  async run(
    inputs: readonly Uint8Array[],
    symbols: Symbols,
    outputs: readonly number[],
    spares: readonly (ArrayBuffer | undefined)[],
    signal?: AbortSignal,
  ): Promise<RawOutput[]> {
    this.committed = false;
    const exports = this.#exports ?? (await this.instantiate());
    try {
      this.plan(exports, symbols);
      inputs.forEach((bytes, i) => this.view(exports.input(this.#index, i), bytes.length).set(bytes));
      const rest = this.execute(exports, 0, this.#steps.length, signal);
      if (rest) await rest; // to await nothing costs a small model dearly
      return outputs.map((output, i) => this.#output(exports, output, spares[i]));
    } catch (error) {
      // a trap leaves the module's stack pointer where it was: the next run takes a new instance
      if (error instanceof WebAssembly.RuntimeError) {
        await this.#leave(exports);
        throw new RunError(`the Wasm module trapped: ${messageOf(error)}`);
      }
      throw error;
    }
  }

  /** An instance: the present one, or after a failure a new one. */
  ready(): Exports | Promise<Exports> {
    return this.#exports ?? this.instantiate();
  }

  /** Bytes of the memory, until it grows. */
  view(address: number, bytes: number): Uint8Array {
    const { buffer } = this.#memory!;
    if ((address >>> 0) + bytes > buffer.byteLength)
      throw new PackError(`the Wasm module gives an address past its memory: ${address >>> 0}`);
    return new Uint8Array(buffer, address >>> 0, bytes);
  }

  /** Lays out the arena for these dims, unless it is already; those that are not set yet are 0. */
  plan(exports: Exports, symbols: Symbols): void {
    const values = this.#entry.symbols.map(({ name }) => symbols[name] ?? 0);
    const key = values.join();
    if (this.#planned === key) return;
    this.#planned = undefined;
    const address = exports.dims(this.#index) >>> 0;
    new BigInt64Array(this.#memory!.buffer, address, values.length).set(values.map(BigInt));
    const status = exports.plan(this.#index);
    const bytes = exports.bytes(this.#index);
    if (status < 0) throw new MemoryLimitError(`the program cannot be laid out for ${told(symbols)} (code ${status})`);
    const full = atCapacity(this.#entry, this.#manifest.state, symbols);
    const needed = bytesFor(this.#target.entries[this.#index]!, full, this.report.threads);
    grow(this.#memory!, Math.max(Number(bytes), needed), told(symbols));
    this.#planned = key;
  }

  /** Runs the steps from `first` to `last`; a promise is of what is not done, or has failed, at once. */
  execute(exports: Exports, first: number, last: number, signal?: AbortSignal): Promise<void> | undefined {
    const commit = this.#target.entries[this.#index]!.commit ?? last;
    const begun = signal && performance.now();
    for (let step = first, next; step < last; step = next) {
      this.committed ||= step >= commit;
      // what has begun to change the state goes on to its end
      if (signal && !this.committed) {
        if (performance.now() - begun! > PATIENCE)
          return breathe().then(() => this.execute(exports, step, last, signal));
        signal.throwIfAborted();
      }
      try {
        next = exports.run(this.#index, step, step + 1);
      } catch (error) {
        if (!(error instanceof WebAssembly.RuntimeError)) throw error;
        return this.#fail(exports, step, ` trapped: ${messageOf(error)}`);
      }
      if (next === STOPPED && this.#team) return this.#fail(exports, step, " failed, since a helper thread ended");
      if (next < 0)
        return this.#fail(exports, step, next === ENDLESS ? ": a loop does not end" : ` failed with error ${next}`);
    }
    return undefined;
  }

  /** Rejects for a step that failed, once the helpers have ended. */
  async #fail(exports: Exports, step: number, problem: string): Promise<never> {
    const why = await this.#leave(exports);
    throw new RunError(`step ${step} (${this.#steps[step]})${problem}${why && `: ${why}`}`);
  }

  #output(exports: Exports, i: number, spare: ArrayBuffer | undefined): RawOutput {
    const { shape: dims, dtype } = this.#entry.outputs[i]!;
    const shape = dims.map((_, axis) => Number(exports.output_dim(this.#index, i, axis)));
    const bytes = product(shape) * rowOf(dtype).bytes;
    return { buffer: copyOut(this.view(exports.output(this.#index, i), bytes), spare), shape };
  }

  /** A state's bytes in memory. */
  #state(number: number): Uint8Array {
    return this.view(this.#target.state[number]!, stateSize(this.#manifest.state[number]!));
  }

  readState(number: number): Promise<Uint8Array<ArrayBuffer>> {
    return Promise.resolve(new Uint8Array(this.#state(number)));
  }

  writeStates(states: ReadonlyMap<number, Uint8Array>): Promise<void> {
    for (const [number, bytes] of states) this.#state(number).set(bytes);
    return Promise.resolve();
  }

  resetStates(): Promise<void> {
    this.#manifest.state.forEach(({ initial }, number) => {
      const state = this.#state(number);
      const weight = this.#target.weights.find(({ tensor }) => tensor === initial);
      if (weight) state.set(this.view(weight.address, state.length));
      else state.fill(0);
    });
    return Promise.resolve();
  }

  async dispose(): Promise<void> {
    const team = this.#team;
    if (team) this.#exports?.stop();
    this.#team = undefined;
    this.#module = undefined;
    this.#memory = undefined;
    this.#exports = undefined;
    await team?.end();
  }
}

const limit = (bytes: number, what: string, why: string): MemoryLimitError =>
  new MemoryLimitError(`the model needs ${bytes} bytes for ${what}: ${why}`);

function grow(memory: WebAssembly.Memory, bytes: number, what: string): void {
  const pages = Math.ceil((bytes - memory.buffer.byteLength) / PAGE);
  if (pages <= 0) return;
  if (bytes > LIMIT) throw limit(bytes, what, "Wasm memory ends at 4 GiB");
  try {
    memory.grow(pages);
  } catch (error) {
    const alone = "; the memory of one thread may grow further: load with threads: 1";
    throw limit(bytes, what, messageOf(error) + (memory.buffer instanceof ArrayBuffer ? "" : alone));
  }
}

const stateSize = ({ dtype, shape }: State): number => product(shape) * rowOf(dtype).bytes;

/** Bytes of memory that an entry needs for these dims. */
const bytesFor = ({ bytes, thread_bytes = 0 }: WasmEntry, symbols: Symbols, threads: number): number =>
  evaluate(bytes, symbols) + evaluate(thread_bytes, symbols) * (threads - 1);

/** Bytes for the weights and, where the entry has no symbols, for all that it will ever need. */
function needed({ pack, entry, index }: Loading, target: WasmTarget, threads: number): number {
  const ends = [
    0,
    ...target.weights.map((each) => each.address + weightSize(pack.manifest, each)),
    ...target.state.map((address, i) => address + stateSize(pack.manifest.state[i]!)),
  ];
  const whole = entry.symbols.length ? 0 : bytesFor(target.entries[index]!, {}, threads);
  return Math.max(target.initial_pages * PAGE, Math.max(...ends) + SLACK, whole);
}

function allocate(bytes: number): WebAssembly.Memory {
  if (bytes > LIMIT) throw limit(bytes, "its weights", "Wasm memory ends at 4 GiB");
  try {
    return new WebAssembly.Memory({ initial: Math.ceil(bytes / PAGE) });
  } catch (error) {
    throw limit(bytes, "its weights", messageOf(error));
  }
}

type Placement = WasmTarget["weights"][number];

const weightSize = ({ weights }: Manifest, { tensor, dtype }: Placement): number =>
  weights.tensors[tensor]!.elements * rowOf(dtype).bytes;

async function compile(bytes: Uint8Array<ArrayBuffer>, file: string): Promise<WebAssembly.Module> {
  try {
    return await WebAssembly.compile(bytes);
  } catch (error) {
    const problem = `${file} does not compile: ${messageOf(error)}`;
    if (!FEATURES["simd"]!()) throw new DeviceError(`${problem}: this engine has no WebAssembly SIMD; update it`);
    if (!WebAssembly.validate(bytes)) throw new PackError(problem);
    throw new DeviceError(`${problem}: does the Content-Security-Policy allow 'wasm-unsafe-eval'?`);
  }
}

/** Loads an entry's Wasm program. */
export async function openWasm(loading: Loading, target: WasmTarget): Promise<Backend> {
  const { pack, onProgress, signal } = loading;
  const { files, open } = prepareWasm(loading, target);
  const backend = await open(await download(pack.folder, files, onProgress, signal, pack.cache));
  await backend.resetStates();
  return backend;
}

/** What has to be downloaded for an entry's Wasm program, and what then starts it. */
export function prepareWasm(
  loading: Loading,
  target: WasmTarget,
): { files: Download[]; open: (bytesCached: number) => Promise<WasmBackend> } {
  const { pack } = loading;
  const { weights } = pack.manifest;
  let team = decideThreads(target, loading.index, loading.threads);
  let memory: WebAssembly.Memory | undefined;
  if (team.threads > 1) {
    const pages = Math.ceil(needed(loading, target, team.threads) / PAGE);
    memory = sharedMemory(pages, !loading.entry.symbols.length);
    if (!memory) team = { threads: 1, threadsReason: `there is no shared memory of ${pages * PAGE} bytes here` };
  }
  memory ??= allocate(needed(loading, target, 1));
  const has = (name: string): boolean => (name === "threads" ? team.threads > 1 : Boolean(FEATURES[name]?.()));
  const variant = target.variants.find(({ requires }) => requires.every(has))!;
  let module: Promise<WebAssembly.Module> | undefined;
  const startCompiling = (bytes: Uint8Array<ArrayBuffer>): void => {
    module = compile(bytes, variant.file);
    module.catch(() => undefined); // awaited below, unless a download fails first
  };
  const files: Download[] = [
    { stored: variant, accept: startCompiling },
    ...weightDownloads(weights, target.weights, ({ address }, offset, bytes) =>
      new Uint8Array(memory.buffer, address + offset, bytes.length).set(bytes),
    ),
  ];
  const open = async (bytesCached: number): Promise<WasmBackend> => {
    if (!module) throw new PackError(`${variant.file} is empty`);
    const report = {
      variant: variant.requires,
      steps: target.entries[loading.index]!.steps,
      dispatches: 0,
      hostSteps: 0,
      ...team,
      reads: 0,
      tuned: false,
      bytesLoaded: files.reduce((sum, { stored }) => sum + stored.bytes, 0),
      bytesCached,
      engine: "WebAssembly",
      weightsBytes: target.weights.reduce((sum, each) => sum + weightSize(pack.manifest, each), 0),
    };
    const backend = new WasmBackend(report, loading, target, await module, memory);
    try {
      await backend.instantiate();
    } catch (error) {
      throw error instanceof WebAssembly.LinkError || error instanceof TypeError
        ? new PackError(`${variant.file} does not link: ${error.message}`)
        : error;
    }
    return backend;
  };
  return { files, open };
}

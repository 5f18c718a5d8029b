// The caller's half of a session in a dedicated Worker: starts it, posts to it, and hears from it.

import type { Backend, Choice, Device, Loading, Pack, Present, RawOutput, Report } from "./backend.ts";
import type { Symbols } from "./dims.ts";
import { DeviceError, DisposedError, type ErrorMessage, unpackError } from "./errors.ts";
import { copyInto } from "./memory.ts";
import { startWorker } from "./workers.ts";

/** What is posted to the worker. */
export type Request =
  | {
      readonly op: "open";
      readonly id: number;
      readonly pack: Pack;
      readonly index: number;
      /** Wasm, if that was decided already; else the worker decides, from what was asked for. */
      readonly choice: Pick<Choice, "device" | "reason"> | undefined;
      readonly asked: Device | "auto";
      readonly threads: number | undefined;
      /** Whether anyone wants to hear of progress. */
      readonly progress: boolean;
    }
  | {
      readonly op: "run";
      readonly id: number;
      readonly inputs: readonly Uint8Array<ArrayBuffer>[];
      readonly symbols: Symbols;
      readonly outputs: readonly number[];
      readonly spares: readonly (ArrayBuffer | undefined)[];
    }
  | { readonly op: "abort"; readonly id: number }
  | { readonly op: "end" }
  | { readonly op: "readState"; readonly id: number; readonly number: number }
  | {
      readonly op: "writeStates";
      readonly id: number;
      readonly states: ReadonlyMap<number, Uint8Array<ArrayBuffer>>;
    }
  | { readonly op: "resetStates"; readonly id: number };

/** What the worker posts back; `id` says to which request. */
export type Reply = { readonly id: number; readonly present?: Present | undefined } & (
  | { readonly report: Report }
  | { readonly outputs: RawOutput[]; readonly inputs: ArrayBuffer[] }
  | { readonly state: Uint8Array<ArrayBuffer> }
  | { readonly done: true }
  | { readonly error: ErrorMessage; readonly committed: boolean }
  | { readonly progress: [loaded: number, total: number, file?: string] }
);

/** Milliseconds after which a worker that does not end itself is ended. */
const END_LIMIT = 5_000;

const NOTHING: Present = { memoryBytes: 0, reloads: 0 };

interface Waiting {
  readonly resolve: (reply: Reply) => void;
  readonly reject: (error: unknown) => void;
}

/** A Worker, from when it starts: what it is asked meanwhile, and an error in starting, wait for `open`. */
export class RemoteBackend implements Backend {
  report!: Report;
  present: Present = NOTHING;
  committed = false;
  readonly #worker: Worker | undefined;
  readonly #onProgress: Loading["onProgress"];
  readonly #waiting = new Map<number, Waiting>();
  /** The memory in which each input last went to the worker. */
  #carriers: ArrayBuffer[] = [];
  #last = 0;
  #stopped: unknown;

  constructor(workerUrl: Loading["workerUrl"], onProgress: Loading["onProgress"]) {
    this.#onProgress = onProgress;
    let worker: Worker;
    try {
      worker = this.#worker = startWorker(workerUrl);
    } catch (error) {
      this.#stopped = error;
      return;
    }
    worker.onmessage = ({ data }: MessageEvent<Reply>) => {
      if ("progress" in data) return onProgress?.(...data.progress);
      const waiting = this.#waiting.get(data.id);
      if (data.present) this.present = data.present;
      this.#waiting.delete(data.id);
      if ("error" in data) {
        this.committed = data.committed;
        waiting?.reject(unpackError(data.error));
      } else waiting?.resolve(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.#stop(new DeviceError(`the worker failed: ${event.message || "its file cannot be loaded; see workerUrl"}`));
    };
  }

  async #ask<K extends "report" | "outputs" | "state" | "done">(
    make: (id: number) => Request,
    signal?: AbortSignal,
  ): Promise<Extract<Reply, Record<K, unknown>>> {
    if (this.#stopped) throw this.#stopped;
    const id = ++this.#last;
    const request = make(id);
    const abort = (): void => this.#worker!.postMessage({ op: "abort", id } satisfies Request);
    signal?.addEventListener("abort", abort);
    try {
      return (await new Promise<Reply>((resolve, reject) => {
        this.#waiting.set(id, { resolve, reject });
        this.#worker!.postMessage(request, transfersOf(request));
      })) as Extract<Reply, Record<K, unknown>>;
    } finally {
      signal?.removeEventListener("abort", abort);
    }
  }

  /** Loads an entry; without a choice, the worker decides where it runs. Gives this, which has its report then. */
  async open(loading: Loading, asked: Device | "auto", choice?: Choice): Promise<this> {
    const { pack, index, threads, signal } = loading;
    signal?.throwIfAborted();
    const stop = (): void => this.#stop(signal?.reason);
    signal?.addEventListener("abort", stop);
    try {
      const decided = choice && { device: choice.device, reason: choice.reason };
      const progress = this.#onProgress !== undefined;
      const request = { op: "open", pack, index, asked, threads, choice: decided, progress } as const;
      const { report } = await this.#ask<"report">((id) => ({ ...request, id }));
      this.report = this.present = report;
      return this;
    } catch (error) {
      this.dispose();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  async run(
    inputs: readonly Uint8Array[],
    symbols: Symbols,
    outputs: readonly number[],
    spares: readonly (ArrayBuffer | undefined)[],
    signal?: AbortSignal,
  ): Promise<RawOutput[]> {
    // copies, which can be transferred: the user keeps the arrays
    const copies = inputs.map((bytes, i) => copyInto(this.#carriers[i], bytes));
    this.#carriers = [];
    const make = (id: number): Request => ({ op: "run", id, inputs: copies, symbols, outputs, spares });
    const reply = await this.#ask<"outputs">(make, signal);
    if (!this.#stopped) this.#carriers = reply.inputs;
    return reply.outputs;
  }

  async readState(number: number): Promise<Uint8Array<ArrayBuffer>> {
    return (await this.#ask<"state">((id) => ({ op: "readState", id, number }))).state;
  }

  async writeStates(states: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    await this.#ask<"done">((id) => ({ op: "writeStates", id, states }));
  }

  async resetStates(): Promise<void> {
    await this.#ask<"done">((id) => ({ op: "resetStates", id }));
  }

  #stop(reason: unknown): void {
    this.#stopped = reason;
    this.present = NOTHING;
    this.#carriers = [];
    const worker = this.#worker;
    if (this.report?.threads > 1) {
      // it has threads to end first
      worker?.postMessage({ op: "end" } satisfies Request);
      setTimeout(() => worker?.terminate(), END_LIMIT);
    } else {
      worker?.terminate();
    }
    for (const { reject } of this.#waiting.values()) reject(reason);
    this.#waiting.clear();
  }

  dispose(): void {
    this.#stop(new DisposedError("the session was disposed"));
  }
}

/** What a request hands over rather than copies. */
function transfersOf(request: Request): ArrayBuffer[] {
  if (request.op === "run") {
    const spares = request.spares.filter((spare) => spare !== undefined);
    return [...request.inputs.map(({ buffer }) => buffer), ...spares];
  }
  return request.op === "writeStates" ? [...request.states.values()].map(({ buffer }) => buffer) : [];
}

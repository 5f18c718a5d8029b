// The package's public face: load a pack, run it, and the errors that either can raise.

import { choose, type Device, findEntry, openBackend, openPack } from "./backend.ts";
import { DEFAULT_CACHE } from "./cache.ts";
import { DeviceError } from "./errors.ts";
import type { Progress } from "./fetch.ts";
import type { GpuDevice } from "./platform.ts";
import { RemoteBackend } from "./remote.ts";
import { type LongIntegers, Session } from "./session.ts";
import { MOST_THREADS } from "./threads.ts";

export {
  DeviceError,
  DeviceLostError,
  DisposedError,
  HashError,
  InputError,
  MemoryLimitError,
  MissingFileError,
  PackError,
  PackVersionError,
  PyRuntimeError,
  RunError,
  StateError,
} from "./errors.ts";
export type { Device, Present, Report } from "./backend.ts";
export type { Progress } from "./fetch.ts";
export type { Listed } from "./manifest.ts";
export type { Profile, ProfileOptions, StepTime } from "./profile.ts";
export type { Feeds, LongIntegers, Results, RunOptions, Session } from "./session.ts";
/** @internal for worker.js */
export { serve } from "./serve.ts";
/** @internal for modules that are loaded on demand */
export { narrow, widen } from "./convert.ts";
/** @internal */
export { messageOf } from "./errors.ts";
/** @internal */
export { choice, dim, fail, list, object, size, text, tuple } from "./decode.ts";
/** @internal */
export { download } from "./fetch.ts";
/** @internal */
export { variantHolds } from "./validate.ts";
/** @internal */
export { checkDim, evaluate, product } from "./dims.ts";
/** @internal */
export { guard, MAP_READ, USAGE } from "./gpu.ts";
/** @internal */
export { copyOut } from "./memory.ts";
/** @internal */
export { openWasm, prepareWasm } from "./wasm.ts";
/** @internal */
export { checkedFeed, DTYPES, rowOf } from "./tensors.ts";
export type { SessionState } from "./state.ts";
export type { DType, Feed, Tensor, TensorData, TensorSpec } from "./tensors.ts";

/** Options of {@link load}. */
export interface LoadOptions {
  /** Where to run. `"auto"`, the default, takes WebGPU where there is a real GPU, else Wasm; `session.report.reason` says why. */
  readonly device?: Device | "auto" | undefined;
  /** Called before the first byte, and as bytes arrive: how many so far, of how many, and in which file. */
  readonly onProgress?: Progress | undefined;
  /** Ends loading; the promise then rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Whether to run in a dedicated Worker. The default: Wasm does where there are Workers, WebGPU does not. */
  readonly worker?: boolean | undefined;
  /** Where `worker.js` of this package lies, if a bundler or a CDN moved it. */
  readonly workerUrl?: string | URL | undefined;
  /**
   * How many threads share a run on Wasm, 1 to 64. They need a cross-origin isolated page. The default: one for each
   * processor, up to four, where the page and the pack allow it; `session.report.threadsReason` says why.
   */
  readonly threads?: number | undefined;
  /** A device to run on rather than a new one; it stays yours, and stays alive. */
  readonly gpuDevice?: GpuDevice | undefined;
  /** The name of the pack's program to load; the first one where it is left out. */
  readonly entry?: string | undefined;
  /**
   * Keeps the pack's files in this cache of the page's origin (`true`: in "pyruntime"), and takes them from there the
   * next time, checked all the same. Files of earlier versions leave it. Where storage is full, forbidden or missing,
   * loading goes on without it.
   */
  readonly cache?: boolean | string | undefined;
  /** How int64 and uint64 outputs come back: as a `BigInt64Array` (the default), or as checked numbers. */
  readonly int64?: LongIntegers | undefined;
}

/**
 * Loads a pack: checks it, fetches what the chosen device needs, and makes it ready to run.
 *
 * @param url the pack's folder: an absolute or relative URL; in Node also a path or a `file:` URL.
 * @param options where and how to run, and what to tell meanwhile.
 * @returns the session; `dispose` gives it back.
 * @throws PackError and its subclasses for what is wrong with the pack, DeviceError for a device that is not
 *   there, MemoryLimitError, or the signal's reason.
 *
 * @example
 * const session = await load("/packs/model/");
 * const { y } = await session.run({ x: { data: new Float32Array(4), shape: [1, 4] } });
 * session.dispose();
 */
export async function load(url: string | URL, options: LoadOptions = {}): Promise<Session> {
  const { device = "auto", onProgress, signal, worker, workerUrl, gpuDevice, cache, threads, int64 = "bigint" } = options;
  if (!["auto", "webgpu", "wasm"].includes(device)) {
    throw new DeviceError(`device must be "auto", "webgpu" or "wasm", got ${JSON.stringify(device)}`);
  }
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= MOST_THREADS))
    throw new DeviceError(`there can be 1 to ${MOST_THREADS} threads, not ${threads}`);
  if (worker && gpuDevice) throw new DeviceError("a GPUDevice cannot be handed to a worker: load with worker: false");
  signal?.throwIfAborted();
  // a Worker that will be needed, whatever the pack holds, starts while pack.json arrives
  const early = surelyRemote(options) ? new RemoteBackend(workerUrl, onProgress) : undefined;
  try {
    const pack = await openPack(url, signal, (cache === true ? DEFAULT_CACHE : cache) || undefined);
    const { entry, index } = findEntry(pack, options.entry);
    const loading = { pack, entry, index, threads, workerUrl, ...(onProgress && { onProgress }), ...(signal && { signal }) };

    // asked for a worker, the choice is made there, so that the GPU is asked for once
    const choice = worker ? undefined : await choose(pack, device, gpuDevice);
    if (!choice || (worker === undefined && choice.device === "wasm" && typeof Worker !== "undefined")) {
      const backend = await (early ?? new RemoteBackend(workerUrl, onProgress)).open(loading, device, choice);
      return new Session(pack, entry, backend, backend.report, int64);
    }
    const backend = await openBackend(loading, choice);
    const { reason } = choice;
    const report = { device: choice.device, reason, ...backend.report };
    return new Session(pack, entry, backend, report, int64);
  } catch (error) {
    early?.dispose();
    throw error;
  }
}

/** Whether the options and this page decide, without the pack, that it runs in a Worker. */
function surelyRemote({ device = "auto", worker, gpuDevice }: LoadOptions): boolean {
  if (worker !== undefined) return worker;
  const wasm = device === "wasm" || (device === "auto" && !gpuDevice && !globalThis.navigator?.gpu);
  return wasm && typeof Worker !== "undefined";
}

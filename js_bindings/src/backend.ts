// What runs an entry of a pack: the interface of the devices, and the choice between them.

import { FileCache, filesOf } from "./cache.ts";
import type { Symbols } from "./dims.ts";
import { DeviceError, InputError, MissingFileError } from "./errors.ts";
import { folderUrl, type Progress, readText } from "./fetch.ts";
import { acquireGpu, type Gpu } from "./gpu.ts";
import type { Entry, GpuTarget, Manifest } from "./manifest.ts";
import { parseManifest } from "./schema.ts";
import { openWasm } from "./wasm.ts";
import { openWebgpu } from "./webgpu.ts";

/** Where a session runs. */
export type Device = "webgpu" | "wasm";

/** What a report tells of the present. */
export interface Present {
  /** Bytes that the device holds at present, weights included; grows with the sizes fed. */
  readonly memoryBytes: number;
  /** How often the GPU was lost and the pack loaded again by itself: once at most. */
  readonly reloads: number;
}

/** What loading decided and did. */
export interface Report extends Present {
  /** Where it runs. */
  readonly device: Device;
  /** Why this device. */
  readonly reason: string;
  /** The features that the chosen variant of the pack uses beyond the base. */
  readonly variant: readonly string[];
  /** Names of the program's steps, in order. */
  readonly steps: readonly string[];
  /** Dispatches on the GPU in one run; 0 on Wasm. */
  readonly dispatches: number;
  /** Steps of a WebGPU program that run on the CPU. */
  readonly hostSteps: number;
  /** Threads that share the steps of a run on Wasm. */
  readonly threads: number;
  /** Why so many. */
  readonly threadsReason: string;
  /** Places where a WebGPU program waits for a number that it computed, to decide how it goes on. */
  readonly reads: number;
  /** Whether shaders are those that `pyruntime tune` found best on GPUs of this vendor and architecture. */
  readonly tuned: boolean;
  /** Bytes that were loaded, pack.json not counted. */
  readonly bytesLoaded: number;
  /** How many of them came from the cache. */
  readonly bytesCached: number;
  /** The GPU's vendor and architecture, or what runs Wasm. */
  readonly engine: string;
  /** Bytes of weights on the device. */
  readonly weightsBytes: number;
}

/** @internal An output as a device gives it: contiguous bytes of the API's dtype. */
export interface RawOutput {
  readonly buffer: ArrayBuffer;
  readonly shape: number[];
}

/** @internal A loaded entry on a device. Runs never overlap. */
export interface Backend {
  readonly report: Omit<Report, "device" | "reason" | keyof Present>;
  /** What the report tells of the present. */
  readonly present: Present;
  /** Inputs in the entry's order; `outputs` numbers the ones wanted, and `spares` is memory that each may take. */
  run(
    inputs: readonly Uint8Array[],
    symbols: Symbols,
    outputs: readonly number[],
    spares: readonly (ArrayBuffer | undefined)[],
    signal?: AbortSignal,
  ): Promise<RawOutput[]>;
  /** Whether the latest run has begun to overwrite states. */
  readonly committed: boolean;
  /** A copy of a state's memory: its largest shape, row-major, in the API's dtype. */
  readState(number: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Sets the memory of states. Rejects with InputError, before any is set, for elements that do not fit. */
  writeStates(states: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void>;
  /** Makes all states what they are at first. */
  resetStates(): Promise<void>;
  /** Gives everything back; the promise, if there is one, never rejects: until then helper threads end. */
  dispose(): Promise<void> | void;
}

/** @internal A pack whose manifest was read and checked. */
export interface Pack {
  readonly folder: string;
  readonly manifest: Manifest;
  /** pack.json itself. */
  readonly text: string;
  /** The name of the cache that keeps its files, if any. */
  readonly cache: string | undefined;
}

/** @internal A device, why, and, where it was needed to decide, the GPU. */
export interface Choice {
  readonly device: Device;
  readonly reason: string;
  readonly gpu?: Gpu;
}

/** @internal What a backend needs to load an entry. */
export interface Loading {
  readonly pack: Pack;
  readonly entry: Entry;
  /** The entry's place in the manifest. */
  readonly index: number;
  /** How many threads the user asked for, if any number. */
  readonly threads: number | undefined;
  /** Where worker.js is, if not beside this. */
  readonly workerUrl: string | URL | undefined;
  readonly onProgress?: Progress;
  readonly signal?: AbortSignal;
}

/** @internal Reads and checks pack.json; without a network the one that the cache keeps. */
export async function openPack(url: string | URL, signal?: AbortSignal, cache?: string): Promise<Pack> {
  const folder = folderUrl(url);
  const text = await readText(folder, "pack.json", signal).catch(async (error: unknown) => {
    const offline = error instanceof MissingFileError && error.cause !== undefined;
    const kept = offline && (await (await FileCache.open(cache, folder))?.manifest());
    if (!kept) throw error;
    return kept;
  });
  return { folder, manifest: parseManifest(text), text, cache };
}

/** @internal The entry of this name, or the first one. Throws InputError where there is none. */
export function findEntry({ manifest }: Pack, name?: string): { entry: Entry; index: number } {
  const index = name === undefined ? 0 : manifest.entries.findIndex((entry) => entry.name === name);
  const entry = manifest.entries[index];
  if (!entry) {
    const names = manifest.entries.map((each) => each.name).join(", ");
    throw new InputError(`the pack has no entry ${JSON.stringify(name)}; entries: ${names}`);
  }
  return { entry, index };
}

/**
 * Decides where a pack runs. `auto` takes a GPU, else Wasm, else WebGPU in software.
 *
 * @throws DeviceError when the pack lacks the asked target, or this machine the device.
 * @internal
 */
export async function choose({ manifest }: Pack, asked: Device | "auto", gpuDevice?: GPUDevice): Promise<Choice> {
  const { webgpu, wasm } = manifest.targets;
  const lacks = (device: Device): DeviceError => new DeviceError(`the pack has no ${device} target`);
  if (asked === "wasm") {
    if (!wasm) throw lacks("wasm");
    return { device: "wasm", reason: "asked for" };
  }
  if (asked === "webgpu") {
    if (!webgpu) throw lacks("webgpu");
    return { device: "webgpu", reason: "asked for", gpu: await acquireGpu(webgpu, true, gpuDevice) };
  }
  try {
    if (!webgpu) throw lacks("webgpu");
    const gpu = await acquireGpu(webgpu, !wasm, gpuDevice);
    return { device: "webgpu", reason: `there is a GPU: ${gpu.name}`, gpu };
  } catch (error) {
    if (!(error instanceof DeviceError)) throw error;
    if (!wasm) throw new DeviceError(`no device can run this pack: ${error.message}; ${lacks("wasm").message}`);
    return { device: "wasm", reason: `runs everywhere; ${error.message}` };
  }
}

/** Loads an entry on a GPU; on one that is not the user's own, so that the loss of it is made good once. */
async function openGpu(loading: Loading, target: GpuTarget, gpu: Gpu): Promise<Backend> {
  if (!gpu.release) return openWebgpu(loading, target, gpu);
  const lasting = import("./lasting.ts");
  lasting.catch(() => undefined); // awaited below, unless loading fails first
  const { onProgress, signal, ...again } = loading;
  const opened = await openWebgpu(loading, target, gpu);
  return new (await lasting).LastingBackend(opened, loading.pack.manifest.state.length, async () =>
    openWebgpu(again, target, await acquireGpu(target, true)),
  );
}

/** @internal Loads an entry on the chosen device; then earlier versions of the pack leave the cache. */
export async function openBackend(loading: Loading, { device, gpu }: Choice): Promise<Backend> {
  const { manifest, text, folder, cache } = loading.pack;
  const { wasm, webgpu } = manifest.targets;
  const backend = await (device === "wasm" ? openWasm(loading, wasm!) : openGpu(loading, webgpu!, gpu!));
  await (await FileCache.open(cache, folder))?.keepOnly(text, filesOf(manifest));
  return backend;
}

// How long each step of a model takes: a copy of the pack, in this thread, with a clock around each step. On demand.

import type { Pack } from "./backend.ts";
import { DeviceError, messageOf } from "./errors.ts";
import { MAP_READ, USAGE } from "./gpu.ts";
import { load } from "./index.ts";
import type { Entry, GpuTarget } from "./manifest.ts";
import type { Feeds, Session } from "./session.ts";
import { openWasm, type WasmBackend } from "./wasm.ts";

/** Options of {@link Session.profile}. */
export interface ProfileOptions {
  /** For how many seconds to run the model; at least three times. The default is 0.5. */
  readonly seconds?: number | undefined;
  /** Rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

/** A step of the program, and what it took. */
export interface StepTime {
  /** Its name, as in the report's `steps`. */
  readonly step: string;
  /** The kind of kernel: matmul, conv, attention, row, map, ... */
  readonly op: string;
  /** How often a run came by: 0 where it had nothing to do, or is a step that a WebGPU program leaves to the CPU. */
  readonly calls: number;
  /** What it took in a run, all calls together: the mean of the middle half of all runs. */
  readonly milliseconds: number;
}

/** What {@link Session.profile} found. */
export interface Profile {
  /** In the program's order. */
  readonly steps: readonly StepTime[];
  /** How many runs were measured. */
  readonly runs: number;
  /** What told the time: the GPU's timestamps, or the page's clock. */
  readonly clock: "timestamp-query" | "performance.now";
}

/** A measured copy of a session. */
interface Copy {
  readonly session: Session;
  readonly clock: Profile["clock"];
  /** Names and milliseconds of what ran since it was last asked. */
  readonly taken: () => Promise<readonly (readonly [step: string, milliseconds: number])[]>;
  readonly dispose: () => void;
}

const LEAST_RUNS = 3;
const QUERIES = 4096; // of a set, at most, by WebGPU's rules

/** @internal Measures an entry of a pack on the device on which a session has it; `Copied` makes the copy on Wasm. */
export async function profile(
  Copied: typeof Session,
  pack: Pack,
  entry: Entry,
  device: Session["device"],
  feeds: Feeds,
  { seconds = 0.5, signal }: ProfileOptions = {},
): Promise<Profile> {
  const { session, clock, taken, dispose } = await (device === "wasm"
    ? copyOnWasm(Copied, pack, entry, signal)
    : copyOnGpu(pack, entry, signal));
  try {
    const found = new Map<string, { calls: number; times: number[] }>(
      session.report.steps.map((step) => [step, { calls: 0, times: [] }]),
    );
    let runs = -1; // the first warms up
    for (let start = 0; runs < LEAST_RUNS || performance.now() - start < seconds * 1000; runs++) {
      await new Promise((resolve) => setTimeout(resolve)); // the page goes on meanwhile
      signal?.throwIfAborted();
      if (pack.manifest.state.length) await session.state.reset();
      await session.run(feeds, { signal });
      const sums = new Map<string, { calls: number; time: number }>();
      for (const [step, time] of await taken()) {
        const sum = sums.get(step) ?? { calls: 0, time: 0 };
        sums.set(step, { calls: sum.calls + 1, time: sum.time + time });
      }
      if (runs < 0) {
        start = performance.now();
        continue;
      }
      for (const [step, { calls, time }] of sums) {
        const row = found.get(step) ?? { calls, times: [] };
        row.calls = calls;
        row.times.push(time);
        found.set(step, row);
      }
    }
    const steps = [...found].map(([step, { calls, times }]) => {
      return { step, op: step.split(" ")[0]!, calls, milliseconds: middle(times) };
    });
    return { steps, runs, clock };
  } finally {
    dispose();
  }
}

/** The mean of the middle half, which a coarse clock does not round. */
function middle(times: readonly number[]): number {
  const cut = times.length >> 2;
  const kept = times.toSorted((a, b) => a - b).slice(cut, times.length - cut);
  return kept.length ? kept.reduce((sum, time) => sum + time) / kept.length : 0;
}

async function copyOnWasm(
  Copied: typeof Session,
  pack: Pack,
  entry: Entry,
  signal: AbortSignal | undefined,
): Promise<Copy> {
  const index = pack.manifest.entries.indexOf(entry);
  const loading = { pack, entry, index, threads: 1, workerUrl: undefined, ...(signal && { signal }) };
  const backend = (await openWasm(loading, pack.manifest.targets.wasm!)) as WasmBackend;
  let times: [string, number][] = [];
  const execute = backend.execute.bind(backend);
  backend.execute = (exports, ...range) => {
    const run: typeof exports.run = (number, first, last) => {
      const start = performance.now();
      const next = exports.run(number, first, last);
      times.push([backend.report.steps[first]!, performance.now() - start]);
      return next;
    };
    return execute({ ...exports, run }, ...range);
  };
  const session = new Copied(pack, entry, backend, { device: "wasm", reason: "", ...backend.report }, "bigint");
  const taken = (): Promise<typeof times> => {
    const all = times;
    times = [];
    return Promise.resolve(all);
  };
  return { session, clock: "performance.now", taken, dispose: () => session.dispose() };
}

async function copyOnGpu(pack: Pack, entry: Entry, signal: AbortSignal | undefined): Promise<Copy> {
  const { device, clock } = await timedDevice(pack.manifest.targets.webgpu!);
  try {
    const { folder, cache } = pack;
    const session = await load(folder, { device: "webgpu", gpuDevice: device, entry: entry.name, cache, signal });
    const dispose = (): void => {
      session.dispose();
      device.destroy();
    };
    return { session, clock: "timestamp-query", taken: () => clock.taken(), dispose };
  } catch (error) {
    device.destroy();
    throw error;
  }
}

/** A device for the pack whose dispatches are timed. Rejects with DeviceError where the GPU tells no times. */
async function timedDevice({ variants }: GpuTarget): Promise<{ device: GPUDevice; clock: GpuClock }> {
  const adapter = await (globalThis.navigator?.gpu as GPU | undefined)?.requestAdapter({
    powerPreference: "high-performance",
  });
  if (!adapter) throw new DeviceError("the browser offers no WebGPU adapter");
  if (!adapter.features.has("timestamp-query"))
    throw new DeviceError("this GPU does not tell what its steps take: it lacks timestamp-query");
  const wanted = ["timestamp-query", ...variants.flatMap(({ requires }) => requires)];
  const limits = ["maxBufferSize", "maxStorageBufferBindingSize", ...variants.flatMap((each) => Object.keys(each.limits))];
  const offered = adapter.limits as unknown as Readonly<Record<string, number>>;
  try {
    const device = await adapter.requestDevice({
      label: "pyruntime, timed",
      requiredFeatures: [...new Set(wanted)].filter((name) => adapter.features.has(name)) as GPUFeatureName[],
      requiredLimits: Object.fromEntries(limits.map((name) => [name, offered[name]!])),
    });
    return { device, clock: new GpuClock(device) };
  } catch (error) {
    throw new DeviceError(`the WebGPU adapter gives no device: ${messageOf(error)}`);
  }
}

/** Queries of one encoder's passes, and the way of their results back. */
interface Queries {
  readonly set: GPUQuerySet;
  readonly results: GPUBuffer;
  readonly staging: GPUBuffer;
  /** The step of each pair of queries that was written. */
  steps: string[];
}

/** Makes a device's encoders give each dispatch a pass between two timestamps; bind groups are named as their steps. */
class GpuClock {
  readonly #device: GPUDevice;
  readonly #pool: Queries[] = [];
  #used = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
    const make = device.createCommandEncoder.bind(device);
    device.createCommandEncoder = (descriptor) => this.#timed(make(descriptor));
  }

  #timed(encoder: GPUCommandEncoder): GPUCommandEncoder {
    const begin = encoder.beginComputePass.bind(encoder);
    const finish = encoder.finish.bind(encoder);
    const own: Queries[] = [];
    encoder.beginComputePass = () => {
      let pipeline: GPUComputePipeline;
      let group: GPUBindGroup;
      const dispatch = (x: number, y?: number, z?: number): void => {
        if (!own.length || own.at(-1)!.steps.length * 2 === QUERIES) own.push(this.#take());
        const { set: querySet, steps } = own.at(-1)!;
        const at = steps.push(group.label) * 2;
        const timestampWrites = { querySet, beginningOfPassWriteIndex: at - 2, endOfPassWriteIndex: at - 1 };
        const pass = begin({ timestampWrites });
        pass.setPipeline(pipeline);
        pass.setBindGroup(0, group);
        pass.dispatchWorkgroups(x, y, z);
        pass.end();
      };
      const pass = {
        setPipeline: (next: GPUComputePipeline) => void (pipeline = next),
        setBindGroup: (_: number, next: GPUBindGroup) => void (group = next),
        dispatchWorkgroups: dispatch,
        end: () => undefined,
      };
      return pass as unknown as GPUComputePassEncoder;
    };
    encoder.finish = (descriptor) => {
      for (const { set, results, staging, steps } of own) {
        encoder.resolveQuerySet(set, 0, steps.length * 2, results, 0);
        encoder.copyBufferToBuffer(results, 0, staging, 0, steps.length * 16);
      }
      return finish(descriptor);
    };
    return encoder;
  }

  #take(): Queries {
    const size = QUERIES * 8;
    const queries = (this.#pool[this.#used++] ??= {
      set: this.#device.createQuerySet({ type: "timestamp", count: QUERIES }),
      results: this.#device.createBuffer({ size, usage: QUERY_RESOLVE | USAGE.COPY_SRC }),
      staging: this.#device.createBuffer({ size, usage: USAGE.MAP_READ | USAGE.COPY_DST }),
      steps: [],
    });
    queries.steps = [];
    return queries;
  }

  /** What was dispatched since the last time, when all of it is done. */
  async taken(): Promise<[string, number][]> {
    const made: [string, number][] = [];
    for (const { staging, steps } of this.#pool.slice(0, this.#used)) {
      await staging.mapAsync(MAP_READ, 0, steps.length * 16);
      const ticks = new BigUint64Array(staging.getMappedRange(0, steps.length * 16)); // nanoseconds
      steps.forEach((step, i) => made.push([step, Math.max(Number(ticks[2 * i + 1]! - ticks[2 * i]!), 0) / 1e6]));
      staging.unmap();
    }
    this.#used = 0;
    return made;
  }
}

const QUERY_RESOLVE = 512; // GPUBufferUsage's

// Runs a pack's WebGPU program: weights, pipelines, and per shape a plan that each run submits once.

import type { Backend, Loading, Present, RawOutput } from "./backend.ts";
import { narrow, widen } from "./convert.ts";
import { align, evaluate, type Symbols, told } from "./dims.ts";
import { DeviceLostError, InputError, messageOf, MemoryLimitError, PackError, RunError } from "./errors.ts";
import { download } from "./fetch.ts";
import { type Gpu, guard, MAP_READ, offers, USAGE } from "./gpu.ts";
import type { GpuStates } from "./gpu-states.ts";
import type { HostSteps } from "./host.ts";
import { atCapacity } from "./kept.ts";
import { copyOut } from "./memory.ts";
import { makePipelines, type Pipelines } from "./pipelines.ts";
import { type Buffers, makePlan, type Plan, type Planned, type Range } from "./plan.ts";
import type { Entry, GpuEntry, GpuTarget, State } from "./manifest.ts";
import { walk } from "./walk.ts";
import { rowOf } from "./tensors.ts";
import { weightDownloads } from "./weights.ts";

/** Plans that are kept, one per shape. */
const PLANS = 16;
/** Mapped ranges begin at multiples of 8; more does no harm. */
const STAGING_ALIGNMENT = 256;
/** Bytes of weights after which the queue is flushed, since it copies what it is given. */
const UPLOAD_BATCH = 32 << 20;
/** Milliseconds in which the loss of a device is told after calls begin to fail. */
const LOSS_DELAY = 100;

class WebgpuBackend implements Backend {
  readonly report: Backend["report"];
  readonly #gpu: Gpu;
  readonly #entry: Entry;
  readonly #program: GpuEntry;
  readonly #pipelines: Pipelines;
  readonly #weights: GPUBuffer[];
  readonly #states: GpuStates | undefined;
  readonly #kept: readonly State[];
  readonly #host: HostSteps | undefined;
  committed = false;
  readonly #arenas: GPUBuffer[] = [];
  readonly #plans = new Map<string, Plan>(); // the least recently used comes first
  #staging: GPUBuffer | undefined;
  #lost = "";

  constructor(
    report: Backend["report"],
    gpu: Gpu,
    entry: Entry,
    program: GpuEntry,
    pipelines: Pipelines,
    weights: GPUBuffer[],
    states: GpuStates | undefined,
    kept: readonly State[],
    host: HostSteps | undefined,
  ) {
    this.report = report;
    this.#gpu = gpu;
    this.#entry = entry;
    this.#program = program;
    this.#pipelines = pipelines;
    this.#weights = weights;
    this.#states = states;
    this.#kept = kept;
    this.#host = host;
    void gpu.device.lost.then(({ message, reason }) => (this.#lost = message || reason));
  }

  async run(
    inputs: readonly Uint8Array[],
    symbols: Symbols,
    outputs: readonly number[],
    spares: readonly (ArrayBuffer | undefined)[],
    signal?: AbortSignal,
  ): Promise<RawOutput[]> {
    this.committed = false;
    if (this.#lost) throw this.#lostError();
    const { device } = this.#gpu;
    const stored = inputs.map((bytes, i) => {
      const { name, dtype } = this.#entry.inputs[i]!;
      const { dtype: to = dtype } = this.#program.inputs[i]!;
      return widen(dtype, to, bytes, (value) => {
        throw new InputError(
          `input ${JSON.stringify(name)}: expected ${dtype} that fits 32 bits on WebGPU, got ${value}`,
        );
      });
    });
    try {
      const planning = (at: Symbols, start?: number, walked?: number): [Plan, Promise<void>] =>
        guard(device, `planning for ${told(symbols)}`, RunError, () => this.#plan(at, start, walked));
      let [plan, planned] = planning(symbols);
      this.#upload(plan, stored);
      await this.#host?.feed(this.#program.inputs, inputs, symbols);
      while (plan.pause) {
        const { command, element, symbols: known, next } = plan.pause;
        // otherwise states are overwritten by the last commands
        this.committed ||= next > (this.#program.commit ?? Infinity);
        if (!this.committed) signal?.throwIfAborted();
        const copies = (places: readonly Range[]): Promise<ArrayBuffer[]> =>
          this.#copied(plan, planned, places, (bytes) => copyOut(bytes, undefined));
        let told: Symbols;
        if (command.op === "read") {
          const [word] = await copies([element!]);
          told = { [command.symbol]: Number(rowOf(command.dtype).view(word!)[0]) };
        } else told = await this.#host!.run(command, known, this.#buffers, copies);
        [plan, planned] = planning({ ...known, ...told }, next, plan.walked);
      }
      const made = outputs.map((output) => plan.outputs[output]!);
      const places = made.map(({ buffer, offset: at, bytes }) => ({ buffer: buffer!, at, end: at + align(bytes, 4) }));
      return await this.#copied(
        plan,
        planned,
        places,
        (words, i) => {
          const { buffer: there, offset, bytes, shape } = made[i]!;
          const { dtype } = this.#entry.outputs[outputs[i]!]!;
          const from = this.#program.outputs[outputs[i]!]!.dtype;
          const buffer = there
            ? narrow(from!, dtype, copyOut(words.subarray(0, bytes), spares[i]))
            : this.#host!.output(offset, shape, dtype, spares[i]);
          return { buffer, shape: [...shape] };
        },
        true,
      );
    } catch (error) {
      throw error instanceof DOMException ? await this.#explained(error) : error;
    }
  }

  /** Makes the plan of an entry without symbols while loading, not in the first run. */
  async prepare(): Promise<void> {
    await guard(this.#gpu.device, "planning", PackError, () => this.#plan({}))[1];
  }

  get present(): Present {
    const uniforms = [...this.#plans.values()].map((plan) => plan.uniforms);
    const held = [...this.#weights, ...this.#stateBuffers, ...this.#arenas, ...uniforms, this.#staging];
    const sum = (all: number, buffer?: GPUBuffer): number => all + (buffer?.size ?? 0);
    return { memoryBytes: held.reduce(sum, this.#host?.memoryBytes ?? 0), reloads: 0 };
  }

  #lostError(): DeviceLostError {
    return new DeviceLostError(`the GPU was lost (${this.#lost}): load the pack again`);
  }

  /** The plan for these dims from command `start` on, kept or new. */
  #plan(symbols: Symbols, start = 0, walked = 0): Plan {
    const key = `${start} ${told(symbols)}`;
    const kept = this.#plans.get(key);
    const plan = kept ?? this.#make(symbols, start, walked);
    this.#plans.delete(key);
    this.#plans.set(key, plan);
    for (const [oldest, { uniforms }] of this.#plans) {
      if (this.#plans.size <= PLANS) break;
      uniforms?.destroy();
      this.#plans.delete(oldest);
    }
    return plan;
  }

  #make(symbols: Symbols, start: number, walked: number): Plan {
    const { device } = this.#gpu;
    const most = atCapacity(this.#entry, this.#kept, symbols);
    const sizes = this.#program.arenas.map((dim) => Math.max(4, evaluate(dim, symbols), evaluate(dim, most)));
    sizes.forEach((size, i) => checkSize(device, size, `arena ${i} for ${told(symbols)}`));
    if (sizes.some((size, i) => size > (this.#arenas[i]?.size ?? 0))) {
      this.#forget(); // their bind groups hold the old arenas
      sizes.forEach((size, i) => {
        if (size <= (this.#arenas[i]?.size ?? 0)) return;
        this.#arenas[i]?.destroy();
        const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
        this.#arenas[i] = device.createBuffer({ label: `arena ${i}`, size, usage });
      });
    }
    return makePlan(
      device,
      this.#entry,
      this.#program,
      this.#pipelines,
      this.#buffers,
      symbols,
      walk(this.#program, symbols, start, walked),
    );
  }

  get #stateBuffers(): readonly GPUBuffer[] {
    return this.#states?.buffers ?? [];
  }

  get #buffers(): Buffers {
    return { arena: this.#arenas, weights: this.#weights, state: this.#stateBuffers };
  }

  #forget(): void {
    for (const { uniforms } of this.#plans.values()) uniforms?.destroy();
    this.#plans.clear();
  }

  /** Does what a plan does, and gives what `take` makes of the bytes that then lie at some places. */
  async #copied<T>(
    plan: Plan,
    planned: Promise<void>,
    places: readonly Range[],
    take: (bytes: Uint8Array, i: number) => T,
    commits = false,
  ): Promise<T[]> {
    let end = 0;
    const starts = places.map((place) => {
      const start = end;
      end = align(start + place.end - place.at, STAGING_ALIGNMENT);
      return start;
    });
    this.#stage(end);
    const commands = await plan.commands;
    this.committed ||= commits;
    await this.#finish(planned, () => {
      const encoder = this.#encoder(commands);
      places.forEach(({ buffer, at, end }, i) => {
        if (end > at) encoder.copyBufferToBuffer(buffer, at, this.#staging!, starts[i]!, end - at);
      });
      return encoder;
    });
    try {
      return places.map(({ at, end }, i) =>
        take(end > at ? new Uint8Array(this.#staging!.getMappedRange(starts[i], end - at)) : new Uint8Array(), i),
      );
    } finally {
      this.#staging?.unmap();
    }
  }

  /** Makes the staging buffer at least so large. */
  #stage(bytes: number): void {
    if (bytes <= (this.#staging?.size ?? 0)) return;
    checkSize(this.#gpu.device, bytes, "its outputs");
    this.#staging?.destroy();
    const usage = USAGE.MAP_READ | USAGE.COPY_DST;
    this.#staging = this.#gpu.device.createBuffer({ label: "outputs", size: bytes, usage });
  }

  #upload(plan: Plan, inputs: readonly Uint8Array[]): void {
    inputs.forEach((bytes, i) => {
      const at = plan.inputs[i];
      if (at === undefined) return; // the host's alone
      const arena = this.#arenas[this.#program.inputs[i]!.arena!]!;
      // typed as never shared, but browsers take shared memory here
      this.#gpu.device.queue.writeBuffer(arena, at, whole(bytes as Uint8Array<ArrayBuffer>));
    });
  }

  /** What a plan does. */
  #encoder(commands: readonly Planned[]): GPUCommandEncoder {
    const encoder = this.#gpu.device.createCommandEncoder();
    let pass: GPUComputePassEncoder | undefined;
    for (const command of commands) {
      if (command.op === "dispatch") {
        pass ??= encoder.beginComputePass();
        pass.setPipeline(command.pipeline);
        pass.setBindGroup(0, command.group);
        pass.dispatchWorkgroups(...command.workgroups);
        continue;
      }
      pass?.end();
      pass = undefined;
      const { to, at, bytes } = command;
      if (command.op === "copy") encoder.copyBufferToBuffer(command.from, command.start, to, at, bytes);
      else encoder.clearBuffer(to, at, bytes);
    }
    pass?.end();
    return encoder;
  }

  /** Submits what `encode` gives, and waits until the staging buffer can be read. */
  async #finish(planned: Promise<void>, encode: () => GPUCommandEncoder): Promise<void> {
    const { device } = this.#gpu;
    const [, submitted] = guard(device, "the run", RunError, () => device.queue.submit([encode().finish()]));
    const mapped = this.#staging?.mapAsync(MAP_READ) ?? device.queue.onSubmittedWorkDone();
    const [first] = (await Promise.allSettled([planned, submitted, mapped])).filter(
      (each) => each.status === "rejected",
    );
    if (!first) return;
    this.#release(); // buffers may be invalid, as after running out of memory
    throw first.reason;
  }

  readState(number: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#checked(() => this.#states!.read(number));
  }

  writeStates(states: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    return this.#checked(() => this.#states!.write(states));
  }

  resetStates(): Promise<void> {
    return this.#checked(async () => this.#states?.reset());
  }

  /** Does something on the device, unless it is lost. */
  async #checked<T>(action: () => Promise<T>): Promise<T> {
    if (this.#lost) throw this.#lostError();
    try {
      return await action();
    } catch (error) {
      throw error instanceof DOMException ? await this.#explained(error) : error;
    }
  }

  /** What a rejected promise of the device means: such are how a lost device shows first. */
  async #explained(error: DOMException): Promise<Error> {
    await Promise.race([this.#gpu.device.lost, new Promise((resolve) => setTimeout(resolve, LOSS_DELAY))]);
    return this.#lost ? this.#lostError() : new RunError(messageOf(error));
  }

  /** Destroys everything but the weights and the states. */
  #release(): void {
    this.#forget();
    for (const buffer of this.#arenas.splice(0)) buffer.destroy();
    this.#staging?.destroy();
    this.#staging = undefined;
  }

  dispose(): void {
    this.#release();
    for (const buffer of this.#weights.splice(0)) buffer.destroy();
    this.#states?.destroy();
    void this.#host?.dispose();
    this.#gpu.release?.();
  }
}

/** Bytes filled up to whole words, which queues take. */
function whole(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer> {
  if (bytes.length % 4 === 0) return bytes;
  const filled = new Uint8Array(align(bytes.length, 4));
  filled.set(bytes);
  return filled;
}

function checkSize({ limits }: GPUDevice, bytes: number, what: string, most = limits.maxBufferSize): void {
  if (bytes > most) throw new MemoryLimitError(`the model needs ${bytes} bytes for ${what}, the GPU allows ${most}`);
}

/** Loads an entry's WebGPU program. */
export async function openWebgpu(loading: Loading, target: GpuTarget, gpu: Gpu): Promise<Backend> {
  const { pack, entry, index, onProgress, signal } = loading;
  const { device } = gpu;
  const buffers: GPUBuffer[] = [];
  let states: GpuStates | undefined;
  try {
    const best = target.tuned.find(({ vendor, architecture }) => `${vendor} ${architecture}` === gpu.name);
    const tuned = best && (await (await import("./tuned.ts")).extend(loading, target, gpu.variant, best));
    const { variant } = tuned ?? gpu;
    const program = variant.entries[index]!;
    // buffers of more than any device binds at once hold one tensor
    const most = Math.min(device.limits.maxBufferSize, device.limits.maxStorageBufferBindingSize);
    for (const size of [...target.buffers, ...target.state]) checkSize(device, size, "a weight or state", most);
    const kept = target.state.length ? await import("./gpu-states.ts") : undefined;
    const [, allocated] = guard(device, "the weights", PackError, () => {
      const usage = USAGE.STORAGE | USAGE.COPY_SRC | USAGE.COPY_DST;
      target.buffers.forEach((size, i) => buffers.push(device.createBuffer({ label: `weights ${i}`, size, usage })));
      states = kept && new kept.GpuStates(device, pack.manifest.state, target, buffers);
    });
    await allocated;
    let pipelines: Pipelines | undefined;
    let compiled: Promise<unknown> | undefined;
    const startCompiling = (bytes: Uint8Array<ArrayBuffer>): void => {
      const get = (pipelines = makePipelines(device, variant, tuned?.code(bytes) ?? bytes));
      // every run needs the shaders of steps with a single form; of several the sizes leave one
      const single: Record<string, number> = {};
      for (const c of program.commands) if (c.op === "dispatch") single[c.step] = c.step in single ? -1 : c.shader;
      compiled = Promise.all(Object.values(single).map((shader) => shader < 0 || get(shader).made));
      compiled.catch(() => undefined); // awaited below, unless a download fails first
    };
    let pending = 0;
    const upload = (
      { buffer, offset }: GpuTarget["weights"][number],
      at: number,
      bytes: Uint8Array<ArrayBuffer>,
    ): void => {
      device.queue.writeBuffer(buffers[buffer]!, offset + at, whole(bytes));
      pending += bytes.length;
      if (pending < UPLOAD_BATCH) return;
      device.queue.submit([]);
      pending = 0;
    };
    const host = target.host && (await import("./host.ts")).prepareHost(loading, target.host, program, device);
    const files = [
      { stored: gpu.variant, accept: startCompiling },
      ...weightDownloads(pack.manifest.weights, target.weights, upload),
      ...(host?.files ?? []),
    ];
    const cached = await download(pack.folder, files, onProgress, signal, pack.cache);
    const bytesLoaded = files.reduce((sum, { stored }) => sum + stored.bytes, best?.bytes ?? 0);
    const hosted = target.host?.entries[index]!.steps ?? [];
    // several dispatches of one step are forms of a kernel, of which the sizes leave one
    const steps = new Set(
      program.commands.flatMap((c) =>
        c.op === "dispatch" ? c.step : c.op === "host" ? hosted.slice(c.first, c.last) : [],
      ),
    );
    const report = {
      variant: [...variant.requires, ...variant.uses].filter((name) => offers(device, name)),
      steps: [...steps],
      dispatches: steps.size - hosted.length,
      hostSteps: hosted.length,
      threads: 1,
      threadsReason: "the GPU computes",
      tuned: !!tuned,
      reads: program.commands.filter(({ op }) => op === "read").length,
      bytesLoaded,
      bytesCached: cached + (tuned?.cached ?? 0),
      engine: gpu.name,
      weightsBytes: target.buffers.reduce((sum, size) => sum + size, 0),
    };
    await compiled;
    const backend = new WebgpuBackend(
      report,
      gpu,
      entry,
      program,
      pipelines!, // accepted with the download
      buffers,
      states,
      pack.manifest.state,
      await host?.open(),
    );
    await backend.resetStates();
    if (!entry.symbols.length) await backend.prepare();
    return backend;
  } catch (error) {
    for (const buffer of buffers) buffer.destroy();
    states?.destroy();
    gpu.release?.();
    throw error;
  }
}

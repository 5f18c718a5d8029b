// Measures a pack's WebGPU program: whole runs, then runs with a timestamp on each side of every dispatch.
//
// The command line evaluates the program: it gives the commands from some place on up to the end, or to where an
// element is read back, whose value it is then told.

import { failure } from "./errors.js";
import { measure } from "./samples.js";

const USE = { MAP_READ: 1, COPY_SRC: 4, COPY_DST: 8, UNIFORM: 64, STORAGE: 128, QUERY_RESOLVE: 512 };
const COMPUTE = 4;
const ALIGNMENT = 256;
const QUERIES = 4096; // of a set, by WebGPU's rules
const RAISED = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
];

/** Parts of a shader that hang on a feature: what is compiled with it, and what without. */
const SECTION = /\/\/# if (.+)\n([^]*?)\/\/# else\n([^]*?)\/\/# end\n/g;

const seconds = () => performance.now() / 1000;
const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());

/** A device with timestamps, if there are any, and the number of the variant that it can run. */
async function acquire(variants) {
  if (!navigator.gpu) throw failure("device", "there is no WebGPU: navigator.gpu is missing");
  const adapter =
    (await navigator.gpu.requestAdapter({ powerPreference: "high-performance" })) ??
    (await navigator.gpu.requestAdapter({ forceFallbackAdapter: true }));
  if (!adapter) throw failure("device", "the browser offers no WebGPU adapter");
  const meets = ({ requires, limits }) =>
    requires.every((name) => adapter.features.has(name)) &&
    Object.entries(limits).every(([name, least]) => adapter.limits[name] >= least);
  const number = variants.findIndex(meets);
  if (number < 0) throw failure("device", "the GPU lacks what the pack needs");
  const uses = variants[number].uses.filter((name) => adapter.features.has(name));
  const timed = adapter.features.has("timestamp-query");
  const device = await adapter.requestDevice({
    requiredFeatures: [...variants[number].requires, ...uses, ...(timed ? ["timestamp-query"] : [])],
    requiredLimits: Object.fromEntries(RAISED.map((name) => [name, adapter.limits[name]])),
  });
  const { vendor, architecture, description } = adapter.info;
  return { device, number, timed, name: description || [vendor, architecture].filter(Boolean).join(" ") || "GPU" };
}

/** Query sets for as many dispatches as there are, and the way of their results back. */
class Timer {
  #device;
  #sets = [];

  constructor(device) {
    this.#device = device;
  }

  /** Encodes a dispatch between two timestamps; `index` counts those since the last `resolve`. */
  dispatch(encoder, { pipeline, group, workgroups }, index) {
    const set = Math.floor((2 * index) / QUERIES);
    const at = (2 * index) % QUERIES;
    if (set === this.#sets.length) this.#sets.push(this.#make());
    const timestampWrites = {
      querySet: this.#sets[set].queries,
      beginningOfPassWriteIndex: at,
      endOfPassWriteIndex: at + 1,
    };
    const pass = encoder.beginComputePass({ timestampWrites });
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(...workgroups);
    pass.end();
  }

  #make() {
    const size = QUERIES * 8;
    return {
      queries: this.#device.createQuerySet({ type: "timestamp", count: QUERIES }),
      results: this.#device.createBuffer({ size, usage: USE.QUERY_RESOLVE | USE.COPY_SRC }),
      staging: this.#device.createBuffer({ size, usage: USE.MAP_READ | USE.COPY_DST }),
    };
  }

  /** The sets in use, each with how many of its queries are. */
  #parts(count) {
    const used = this.#sets.slice(0, Math.ceil((2 * count) / QUERIES));
    return used.map((set, i) => ({ ...set, size: Math.min(QUERIES, 2 * count - i * QUERIES) }));
  }

  resolve(encoder, count) {
    for (const { queries, results, staging, size } of this.#parts(count)) {
      encoder.resolveQuerySet(queries, 0, size, results, 0);
      encoder.copyBufferToBuffer(results, 0, staging, 0, size * 8);
    }
  }

  /** What the dispatches took, after the encoder was submitted. */
  async seconds(count) {
    const ticks = [];
    for (const { staging, size } of this.#parts(count)) {
      await staging.mapAsync(1, 0, size * 8);
      ticks.push(...new BigUint64Array(staging.getMappedRange(0, size * 8)));
      staging.unmap();
    }
    return Array.from({ length: count }, (_, i) => Math.max(Number(ticks[2 * i + 1] - ticks[2 * i]), 0) / 1e9);
  }
}

/** The pack's buffers, pipelines and plans. */
class Program {
  #plans = new Map();
  #pipelines = new Map();

  constructor(device, details, segment) {
    const usage = USE.STORAGE | USE.COPY_SRC | USE.COPY_DST;
    const buffers = (sizes) => sizes.map((size) => device.createBuffer({ size: Math.max(size, 16), usage }));
    Object.assign(this, { device, details, segment });
    this.buffers = { arena: buffers(details.arenas), weights: buffers(details.buffers), state: buffers(details.states) };
    this.staging = device.createBuffer({ size: Math.max(details.output, 16), usage: USE.MAP_READ | USE.COPY_DST });
  }

  async load() {
    for (const [i, buffer] of this.buffers.weights.entries())
      this.device.queue.writeBuffer(buffer, 0, await bytesOf(`buffer-${i}`));
    this.code = await bytesOf("shaders");
    this.inputs = await Promise.all(this.details.inputs.map(({ url }) => bytesOf(url)));
  }

  async #pipeline(number) {
    if (!this.#pipelines.has(number)) {
      const { name, offset, bytes, bindings } = this.details.shaders[number];
      const kinds = [...bindings.map((access) => (access === "read" ? "read-only-storage" : "storage")), "uniform"];
      const layout = this.device.createBindGroupLayout({
        entries: kinds.map((type, binding) => ({ binding, visibility: COMPUTE, buffer: { type } })),
      });
      const has = (name) => this.device.features.has(name) || navigator.gpu.wgslLanguageFeatures?.has(name);
      const code = new TextDecoder()
        .decode(this.code.subarray(offset, offset + bytes))
        .replace(SECTION, (_, name, part, other) => (has(name) ? part : other));
      const pipeline = await this.device.createComputePipelineAsync({
        label: name,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module: this.device.createShaderModule({ label: name, code }), entryPoint: "main" },
      });
      this.#pipelines.set(number, { pipeline, layout });
    }
    return this.#pipelines.get(number);
  }

  /** What to do from command `start` on, kept or new. */
  async plan(start, symbols) {
    const key = JSON.stringify([start, symbols]);
    if (!this.#plans.has(key)) this.#plans.set(key, await this.#make(await this.segment(start, symbols)));
    return this.#plans.get(key);
  }

  async #make({ commands, read, outputs }) {
    const dispatches = commands.filter(({ words }) => words);
    let size = 0;
    for (const dispatch of dispatches) {
      dispatch.at = size;
      size += Math.ceil((dispatch.words.length * 4) / ALIGNMENT) * ALIGNMENT;
    }
    const uniforms = this.device.createBuffer({ size: Math.max(size, ALIGNMENT), usage: USE.UNIFORM | USE.COPY_DST });
    for (const { words, at } of dispatches) this.device.queue.writeBuffer(uniforms, at, new Int32Array(words));
    for (const dispatch of dispatches) {
      const { pipeline, layout } = await this.#pipeline(dispatch.shader);
      const resources = dispatch.bindings.map(([kind, index, offset, bytes]) => ({
        buffer: this.buffers[kind][index],
        offset,
        size: bytes,
      }));
      resources.push({ buffer: uniforms, offset: dispatch.at, size: Math.ceil(dispatch.words.length / 4) * 16 });
      dispatch.pipeline = pipeline;
      dispatch.group = this.device.createBindGroup({
        layout,
        entries: resources.map((resource, binding) => ({ binding, resource })),
      });
    }
    return { commands, read, outputs };
  }

  /** States as they are at first, and the inputs. */
  prepare() {
    const { queue } = this.device;
    const encoder = this.device.createCommandEncoder();
    this.details.initial.forEach((from, i) => {
      const to = this.buffers.state[i];
      if (!from) encoder.clearBuffer(to);
      else if (from[2]) encoder.copyBufferToBuffer(this.buffers.weights[from[0]], from[1], to, 0, from[2]);
    });
    queue.submit([encoder.finish()]);
    this.details.inputs.forEach(({ arena, offset }, i) => {
      if (this.inputs[i].length) queue.writeBuffer(this.buffers.arena[arena], offset, this.inputs[i]);
    });
  }

  /** Encodes a plan; with a timer each dispatch by itself. Gives the steps that were dispatched. */
  #encode(encoder, { commands }, timer) {
    const steps = [];
    let pass;
    for (const command of commands) {
      if (command.words && timer) {
        timer.dispatch(encoder, command, steps.length);
      } else if (command.words) {
        pass ??= encoder.beginComputePass();
        pass.setPipeline(command.pipeline);
        pass.setBindGroup(0, command.group);
        pass.dispatchWorkgroups(...command.workgroups);
      } else {
        pass?.end();
        pass = undefined;
        const [kind, index, offset, bytes] = command.to;
        const to = this.buffers[kind][index];
        if (command.from) {
          const [from, number, begin] = command.from;
          encoder.copyBufferToBuffer(this.buffers[from][number], begin, to, offset, bytes);
        } else encoder.clearBuffer(to, offset, bytes);
      }
      if (command.words) steps.push(command.step);
    }
    pass?.end();
    timer?.resolve(encoder, steps.length);
    return steps;
  }

  /** One run up to outputs in this page's memory; steps and their seconds, with a timer. */
  async run(timer) {
    const taken = [];
    for (let start = 0, symbols = this.details.symbols; ; ) {
      const plan = await this.plan(start, symbols);
      const { read, outputs } = plan;
      const encoder = this.device.createCommandEncoder();
      const steps = this.#encode(encoder, plan, timer);
      let end = 0;
      for (const [kind, index, offset, bytes] of read ? [read.from] : outputs) {
        if (bytes) encoder.copyBufferToBuffer(this.buffers[kind][index], offset, this.staging, end, bytes);
        end += bytes;
      }
      this.device.queue.submit([encoder.finish()]);
      await this.staging.mapAsync(1, 0, Math.max(end, 8));
      const words = this.staging.getMappedRange(0, Math.max(end, 8)).slice(0);
      this.staging.unmap();
      if (timer) {
        const spent = await timer.seconds(steps.length);
        steps.forEach((step, i) => taken.push([step, spent[i]]));
      }
      if (!read) return taken;
      const views = { int32: Int32Array, uint32: Uint32Array, int64: BigInt64Array, uint64: BigUint64Array };
      const value = Number(new views[read.dtype](words)[0]);
      [start, symbols] = [read.next, { ...read.symbols, [read.symbol]: value }];
    }
  }
}

/** The limits' shaders; see gpu_loops.py. */
class Loops {
  constructor(device, timer, job) {
    Object.assign(this, { device, timer, job });
    this.buffers = [0, 1].map(() => device.createBuffer({ size: job.bytes, usage: USE.STORAGE }));
    const pipeline = (code) =>
      device.createComputePipeline({
        layout: "auto",
        compute: { module: device.createShaderModule({ code }), entryPoint: "main" },
      });
    this.adds = pipeline(job.multiply_adds);
    this.copies = pipeline(job.copy);
    this.groups = job.groups[0];
    this.sizes = [];
  }

  /** How many workgroups take long enough, and which copies do not take too long. */
  async calibrate() {
    const { groups, enough, long, copies } = this.job;
    while ((await this.#measured([this.#adds()]))[0] < enough && 2 * this.groups <= groups[1]) this.groups *= 2;
    for (const moved of copies) {
      this.sizes.push(moved);
      if ((await this.#measured([this.#copy(moved)]))[0] > long) break;
    }
  }

  #call(pipeline, count, groups) {
    const counts = this.device.createBuffer({ size: 16, usage: USE.UNIFORM | USE.COPY_DST });
    this.device.queue.writeBuffer(counts, 0, new Uint32Array([count, 0, 0, 0]));
    const entries = [...this.buffers, counts].map((buffer, binding) => ({ binding, resource: { buffer } }));
    const group = this.device.createBindGroup({ layout: pipeline.getBindGroupLayout(0), entries });
    return { pipeline, group, workgroups: [groups, 1, 1], counts };
  }

  #adds() {
    return this.#call(this.adds, this.job.rounds, this.groups);
  }

  #copy(moved) {
    const vectors = moved / 2 / this.job.vector;
    return this.#call(this.copies, vectors, Math.ceil(vectors / this.job.group));
  }

  async #measured(calls) {
    const encoder = this.device.createCommandEncoder();
    calls.forEach((call, i) => this.timer.dispatch(encoder, call, i));
    this.timer.resolve(encoder, calls.length);
    this.device.queue.submit([encoder.finish()]);
    const spent = await this.timer.seconds(calls.length);
    for (const { counts } of calls) counts.destroy();
    return spent.map((each) => Math.max(each, 1e-9));
  }

  async sample(samples) {
    const { rounds, operations, group } = this.job;
    const [adds, ...copies] = await this.#measured([this.#adds(), ...this.sizes.map((moved) => this.#copy(moved))]);
    const rate = (rounds * operations * group * this.groups) / adds;
    samples.multiply_adds.push(rate);
    samples.dots.push(rate); // WGSL multiplies integers of 32 bits alone
    this.sizes.forEach((moved, i) => samples.addCopy(moved, moved / copies[i]));
  }
}

/** Does the job; `ask` asks the command line by name. */
export async function run(job, progress, ask) {
  const { device, number, timed, name } = await acquire(job.variants);
  let problem;
  device.addEventListener("uncapturederror", ({ error }) => (problem ??= error.message));
  device.lost.then(({ message }) => (problem ??= `the GPU was lost: ${message}`));
  const details = await ask("variant", { number });
  const program = new Program(device, details, (start, symbols) => ask("segment", { number, start, symbols }));
  await program.load();
  const timer = timed ? new Timer(device) : undefined;
  const loops = timed ? new Loops(device, timer, job.loops) : undefined;
  await loops?.calibrate();
  const round = async (samples) => {
    program.prepare();
    const start = seconds();
    await program.run();
    samples.whole.push(seconds() - start);
    if (timer) {
      program.prepare();
      samples.addSteps(await program.run(timer));
      await loops.sample(samples);
    }
    if (problem) throw failure("run", problem);
  };
  const samples = await measure(job.budget, round, progress);
  return { samples, threads: 1, requires: job.variants[number].requires, timed, gpu: name };
}

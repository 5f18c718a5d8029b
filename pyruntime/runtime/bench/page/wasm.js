// Measures a pack's Wasm module (ABI 1) in a Worker: whole runs, then runs step by step, and the limits' loops.

import { failure } from "./errors.js";
import { Loops } from "./loops.js";
import { measure } from "./samples.js";

const PAGE = 65536;
const EMPTY = 200; // calls of nothing, whose mean is what a call takes: far less than a tick of the clock

const bytesOf = async (url) => new Uint8Array(await (await fetch(url)).arrayBuffer());
const validates = (hex) => WebAssembly.validate(Uint8Array.from(hex.match(/../g), (byte) => parseInt(byte, 16)));
const seconds = () => performance.now() / 1000;

/** How many threads share the steps. */
function threadsOf({ threads, threadBytes, variants, usual }) {
  const can = variants.some(({ requires }) => requires.includes("threads")) && threadBytes > 0;
  if (!can || threads === 1 || !self.crossOriginIsolated || typeof SharedArrayBuffer === "undefined") return 1;
  return threads ?? Math.min(navigator.hardwareConcurrency || 1, usual);
}

function memoryOf(bytes, shared) {
  const initial = Math.ceil(bytes / PAGE);
  try {
    return new WebAssembly.Memory(shared ? { initial, maximum: 65536, shared } : { initial });
  } catch (error) {
    throw failure("memory", `no memory of ${bytes} bytes: ${error.message}`);
  }
}

/** Helpers of the module, ready to be called. */
function helpers(count, module, memory) {
  return Promise.all(
    Array.from({ length: count }, (_, i) => {
      const worker = new Worker("helper.js", { type: "module" });
      worker.postMessage({ module, memory, thread: i + 1 });
      return new Promise((resolve, reject) => {
        worker.onmessage = resolve;
        worker.onerror = (event) => reject(failure("device", `a thread cannot be started: ${event.message}`));
      });
    }),
  );
}

async function run(job, progress) {
  const { number, steps, variants, probes } = job;
  const threads = threadsOf(job);
  const has = (name) => (name === "threads" ? threads > 1 : name in probes && validates(probes[name]));
  const { requires, url } = variants.find((variant) => variant.requires.every(has));
  const [code, weights, ...inputs] = await Promise.all([url, job.weights, ...job.inputs].map(bytesOf));
  let module;
  try {
    module = await WebAssembly.compile(code);
  } catch (error) {
    throw failure("device", `the module does not compile: ${error.message}`);
  }
  const memory = memoryOf(Math.max(job.bytes + job.threadBytes * (threads - 1), job.least), threads > 1);
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  if (exports.abi() !== 1 || exports.steps(number) !== steps.length) throw failure("pack", "it is another module");
  new Uint8Array(memory.buffer).set(weights, job.base);
  if (threads > 1) {
    exports.threads(threads);
    await helpers(threads - 1, module, memory);
  }
  new BigInt64Array(memory.buffer, exports.dims(number) >>> 0, job.symbols.length).set(job.symbols.map(BigInt));
  if (exports.plan(number) < 0) throw failure("memory", "the program cannot be laid out for these sizes");
  const missing = Math.ceil((Number(exports.bytes(number)) - memory.buffer.byteLength) / PAGE);
  if (missing > 0) memory.grow(missing);

  const call = (first, last) => {
    const after = exports.run(number, first, last);
    if (after < 0) throw failure("run", `step ${first} ${steps[first]} failed: code ${after}`);
    return after;
  };
  /** States are what they are at first, and inputs are there: steps may have overwritten both. */
  const prepare = () => {
    const bytes = new Uint8Array(memory.buffer);
    for (const { address, size, initial } of job.states) {
      if (initial === null) bytes.fill(0, address, address + size);
      else bytes.copyWithin(address, initial, initial + size);
    }
    inputs.forEach((input, i) => bytes.set(input, exports.input(number, i) >>> 0));
  };
  const loops = await Loops.start(job.loops, requires.includes("relaxed-simd"), threads);
  const round = (samples) => {
    prepare();
    let start = seconds();
    call(0, steps.length);
    samples.whole.push(seconds() - start);
    prepare();
    start = seconds();
    for (let i = 0; i < EMPTY; i++) call(0, 0);
    samples.empty.push((seconds() - start) / EMPTY);
    const taken = [];
    for (let step = 0; step < steps.length; ) {
      start = seconds();
      const after = call(step, step + 1);
      taken.push([steps[step], seconds() - start]);
      step = after;
    }
    samples.addSteps(taken);
    loops.sample(samples);
  };
  const samples = await measure(job.budget, round, progress);
  return { samples, threads, requires };
}

onmessage = async ({ data: job }) => {
  try {
    postMessage({ result: await run(job, (done) => postMessage({ done })) });
  } catch (error) {
    postMessage({ error: error.message, kind: error.kind ?? "run" });
  }
};

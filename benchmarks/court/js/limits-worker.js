// One thread of limits.js: says when what it was asked for began and ended, in ms of one clock for all threads.

const node = typeof process === "object" && process.versions?.node;
const port = node ? (await import("node:worker_threads")).parentPort : globalThis;
const now = () => performance.timeOrigin + performance.now();
let loops;

async function work({ bytes, memory, adds, copy }) {
  if (bytes) {
    const room = new WebAssembly.Memory({ initial: 2 + memory / 65536 });
    loops = (await WebAssembly.instantiate(bytes, { env: { memory: room } })).instance.exports;
  }
  const start = now();
  if (adds) loops.multiply_adds(adds);
  if (copy) loops.stream_copy(131072, 131072 + copy, copy);
  return { start, end: now() };
}

const answer = async (message) => port.postMessage(await work(message));
if (node) port.on("message", answer);
else globalThis.onmessage = ({ data }) => answer(data);

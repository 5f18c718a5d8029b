// jax-js: an ONNX model through @jax-js/onnx, compiled by `jit`, on its Wasm backend.
import { pretend } from "../processors.js";

export async function open({ model, device, threads, feeds }) {
  // it takes a thread for each processor where memory can be shared, and has no option for that
  if (threads === 1) globalThis.SharedArrayBuffer = undefined;
  else pretend(threads);
  const { defaultDevice, init, jit, numpy } = await import("@jax-js/jax");
  const { ONNXModel } = await import("@jax-js/onnx");
  await init(device);
  defaultDevice(device);
  const loaded = new ONNXModel(new Uint8Array(await (await fetch(model)).arrayBuffer()));
  const run = jit(loaded.run);
  return {
    settings: { jit: true, threads },
    async run() {
      const inputs = Object.fromEntries(
        feeds.map(({ name, data, shape, dtype }) => [name, numpy.array(plain(data), { shape, dtype: small(dtype) })]),
      );
      const outputs = run(inputs);
      const found = [];
      for (const [name, array] of Object.entries(outputs)) found.push({ name, data: await array.data() });
      return found;
    },
  };
}

// it has no 64-bit integers
const small = (dtype) => (dtype === "int64" ? "int32" : dtype);
const plain = (data) => (data instanceof BigInt64Array ? Int32Array.from(data, Number) : data);

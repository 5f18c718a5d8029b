// TensorFlow.js: a graph model on the Wasm backend, which has builds for SIMD and for SIMD with threads.
import { loadGraphModel } from "@tensorflow/tfjs-converter";
import * as tf from "@tensorflow/tfjs-core";
import { getThreadsCount, setThreadsCount, setWasmPaths } from "@tensorflow/tfjs-backend-wasm";
import { pretend } from "../processors.js";

export async function open({ model, files, device, threads, feeds, outputs: outputNames }) {
  setWasmPaths(files);
  if (threads > 1) {
    pretend(2 * threads); // it takes half of the processors at most
    setThreadsCount(threads);
  } else {
    // the build without threads is the faster one on one thread
    tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
  }
  if (!(await tf.setBackend(device))) throw new Error(`no backend ${device}`);
  await tf.ready();
  const graph = await loadGraphModel(model);
  const settings = {
    simd: await tf.env().getAsync("WASM_HAS_SIMD_SUPPORT"),
    threads: threads > 1 ? getThreadsCount() : 1,
  };
  if (settings.threads !== threads) throw new Error(`runs on ${settings.threads} threads, not ${threads}`);
  return {
    settings,
    async run() {
      const inputs = Object.fromEntries(feeds.map(({ name, data, shape, dtype }) => [name, tf.tensor(data, shape, dtype)]));
      const made = graph.execute(inputs, outputNames);
      const outputs = [made].flat();
      const found = [];
      for (const [i, tensor] of outputs.entries()) found.push({ name: outputNames[i], data: await tensor.data() });
      tf.dispose([...Object.values(inputs), ...outputs]);
      return found;
    },
  };
}

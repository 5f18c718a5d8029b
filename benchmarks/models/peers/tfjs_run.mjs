// Runs a graph model on TensorFlow.js's Wasm backend in Node: node tfjs_run.mjs PEERS TASK.json
// PEERS is a node_modules folder. TASK.json names the model's folder, input files (raw bytes) and where outputs go.
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const [peers, file] = process.argv.slice(2);
const require = createRequire(join(peers, "x.js"));
const tf = require("@tensorflow/tfjs-core");
const { loadGraphModel } = require("@tensorflow/tfjs-converter");
const { setWasmPaths } = require("@tensorflow/tfjs-backend-wasm");
const task = JSON.parse(readFileSync(file, "utf8"));

setWasmPaths(join(peers, "@tensorflow/tfjs-backend-wasm/dist/"));
tf.env().set("WASM_HAS_MULTITHREAD_SUPPORT", false);
await tf.setBackend("wasm");
await tf.ready();

const told = JSON.parse(readFileSync(join(task.model, "model.json"), "utf8"));
const shards = told.weightsManifest[0].paths.map((path) => readFileSync(join(task.model, path)));
const whole = Buffer.concat(shards);
const graph = await loadGraphModel({
  load: async () => ({
    modelTopology: told.modelTopology,
    signature: told.signature,
    weightSpecs: told.weightsManifest[0].weights,
    weightData: whole.buffer.slice(whole.byteOffset, whole.byteOffset + whole.length),
  }),
});
const kinds = { float32: Float32Array, int32: Int32Array };
const inputs = {};
for (const { name, dtype, shape, path } of task.inputs) {
  const bytes = readFileSync(path);
  const data = new kinds[dtype](bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length));
  inputs[name] = tf.tensor(data, shape, dtype);
}
const names = task.outputs.map((output) => output.name);
const made = graph.execute(inputs, names);
for (const [i, tensor] of (Array.isArray(made) ? made : [made]).entries())
  writeFileSync(task.outputs[i].path, new Uint8Array((await tensor.data()).buffer.slice(0)));

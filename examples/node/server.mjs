// Answers HTTP requests with a pack on Wasm, in Node without a framework.
//
//     node server.mjs PACK [PORT]
//
// POST / takes {"NAME": {"data": [...], "shape": [...]}, ...} for the inputs and gives the outputs in the same form;
// GET / tells the inputs and outputs. Runs queue in the session, so that requests never share memory.
import { createServer } from "node:http";
import { json } from "node:stream/consumers";

import { load, PyRuntimeError } from "pyruntime";

const [pack, port = "8000"] = process.argv.slice(2);
const session = await load(pack, { device: "wasm", int64: "number" });

const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  float32: Float32Array,
  float64: Float64Array,
};

/** JSON has numbers only: each input's dtype says which typed array they belong in. */
function feedsOf(body) {
  const feeds = {};
  for (const { name, dtype } of session.inputs) {
    if (!body?.[name]) continue;
    const { data, shape } = body[name];
    feeds[name] = { data: ARRAYS[dtype]?.from(data) ?? data, shape };
  }
  return feeds;
}

async function answer(request) {
  if (request.method !== "POST") return { inputs: session.inputs, outputs: session.outputs };
  const outputs = await session.run(feedsOf(await json(request)));
  const plain = Object.entries(outputs).map(([name, { data, shape }]) => [name, { data: [...data], shape }]);
  return Object.fromEntries(plain);
}

const server = createServer(async (request, response) => {
  try {
    const body = JSON.stringify(await answer(request));
    response.writeHead(200, { "content-type": "application/json" }).end(body);
  } catch (error) {
    const status = error instanceof PyRuntimeError || error instanceof SyntaxError || error instanceof TypeError ? 400 : 500;
    response.writeHead(status, { "content-type": "application/json" }).end(JSON.stringify({ error: String(error) }));
  }
});
server.listen(Number(port), "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}/`));
process.on("SIGTERM", () => server.close(() => session.dispose()));

// Runs in the page of peers.py: engines loaded side by side, timed in turns, outputs kept for comparison.

const ARRAYS = { float32: Float32Array, int32: Int32Array, int64: BigInt64Array, uint8: Uint8Array, bool: Uint8Array };

/** An engine is { run(): Promise<{ name: typed array }>, dispose() }; its opener gets { url, device, feeds }. */
const OPENERS = {
  async pyruntime({ pack, device, feeds }) {
    const { load } = await import("/js/pyruntime.js");
    const session = await load(pack, { device });
    return {
      run: async () => mapped(await session.run(feeds), ({ data }) => data),
      dispose: () => session.dispose(),
    };
  },
  async "onnxruntime-web"({ model, device, feeds }) {
    const bundle = device === "wasm" ? "ort.wasm.min.mjs" : "ort.webgpu.min.mjs";
    const ort = await import(`/peers/onnxruntime-web/dist/${bundle}`);
    ort.env.wasm.numThreads = 1;
    const session = await ort.InferenceSession.create(model, { executionProviders: [device] });
    const tensors = mapped(feeds, ({ data, shape, dtype }) => new ort.Tensor(dtype, data, shape));
    return {
      run: async () => mapped(await session.run(tensors), ({ data }) => data),
      dispose: () => session.release(),
    };
  },
};

const mapped = (object, change) => Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value)]));

function decode({ dtype, shape, base64 }) {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return { dtype, shape, data: new ARRAYS[dtype](bytes.buffer) };
}

/**
 * @returns per engine: `opened`, ms until the first result; `times`, ms of each run; `outputs`, numbers by name.
 */
export async function race({ pack, model, device, feeds, rounds, runs }) {
  const options = { pack, model, device, feeds: mapped(feeds, decode) };
  const engines = [];
  for (const [name, open] of Object.entries(OPENERS)) {
    const started = performance.now();
    const engine = await open(options);
    const outputs = mapped(await engine.run(), (data) => Array.from(data, Number));
    engines.push({ name, engine, outputs, opened: performance.now() - started, times: [] });
  }
  // warm-up: engines replace slow code by fast while it runs
  for (const { engine } of engines) for (let i = 0; i < runs; i++) await engine.run();
  for (let round = 0; round < rounds; round++) {
    // turns, each first as often as last: the machine's other load hits all alike
    for (const each of round % 2 ? [...engines].reverse() : engines) {
      for (let i = 0; i < runs; i++) {
        const started = performance.now();
        await each.engine.run();
        each.times.push(performance.now() - started);
      }
    }
  }
  for (const { engine } of engines) await engine.dispose();
  return engines.map(({ name, opened, times, outputs }) => ({ name, opened, times, outputs }));
}

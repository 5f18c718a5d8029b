// ONNX Runtime Web, whichever of its bundles.

const inNode = typeof document === "undefined";

export const opener = (ort) => async ({ model, files, device, threads, feeds }) => {
  ort.env.wasm.numThreads = threads;
  if (!inNode) ort.env.wasm.wasmPaths = files;
  // in Node a string is the path of a file
  const source = inNode ? new Uint8Array(await (await fetch(model)).arrayBuffer()) : model;
  const session = await ort.InferenceSession.create(source, {
    executionProviders: [device],
    graphOptimizationLevel: "all",
  });
  const given = Object.fromEntries(
    feeds.map(({ name, dtype, data, shape }) => [name, new ort.Tensor(dtype, data, shape)]),
  );
  return {
    settings: { numThreads: ort.env.wasm.numThreads, graphOptimizationLevel: "all" },
    run: async () => Object.entries(await session.run(given)).map(([name, { data }]) => ({ name, data })),
  };
};

// LiteRT.js: XNNPACK as Wasm with relaxed SIMD where there is any, and a build of its own for threads.
import { loadAndCompile, loadLiteRt, Tensor } from "@litertjs/core";

export async function open({ model, files, device, threads, feeds }) {
  await loadLiteRt(files, { threads: threads > 1 });
  const compiled = await loadAndCompile(model, { accelerator: device, cpuOptions: { numThreads: threads } });
  return {
    settings: { threads: threads > 1, numThreads: threads },
    async run() {
      const inputs = feeds.map(({ data, shape }) => new Tensor(data, shape));
      const outputs = await compiled.run(inputs);
      const found = outputs.map((tensor, i) => ({ name: compiled.getOutputDetails()[i].name, data: tensor.toTypedArray() }));
      for (const tensor of [...inputs, ...outputs]) tensor.delete();
      return found;
    },
  };
}

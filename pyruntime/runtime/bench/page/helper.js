// A thread that helps a pack's module: it computes parts of steps until the page ends.

onmessage = async ({ data: { module, memory, thread } }) => {
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  postMessage("ready");
  exports.worker(thread);
};

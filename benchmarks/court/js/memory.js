// Runs before anything else in pages and Workers of the court: counts the bytes of every Wasm memory that is made there,
// and of WebGPU's buffers. Wasm memories never shrink, so that what they have is the peak; of buffers it is the most that
// there were at once. Answers "memory" on a channel, Workers included.
(() => {
  const memories = new Set();
  const Memory = WebAssembly.Memory;
  const known = (memory) => (memory instanceof Memory && memories.add(memory), memory);

  WebAssembly.Memory = new Proxy(Memory, {
    construct: (target, given, type) => known(Reflect.construct(target, given, type)),
  });
  // memories that modules make themselves are seen where they are exported
  const exported = (instance) => (Object.values(instance.exports).forEach(known), instance);
  WebAssembly.Instance = new Proxy(WebAssembly.Instance, {
    construct: (target, given, type) => exported(Reflect.construct(target, given, type)),
  });
  for (const name of ["instantiate", "instantiateStreaming"]) {
    const original = WebAssembly[name];
    WebAssembly[name] = async (...given) => {
      const made = await original.apply(WebAssembly, given);
      exported(made.instance ?? made);
      return made;
    };
  }

  const buffers = new Map(); // bytes of each that is not destroyed
  let live = 0;
  let most = 0;
  const { GPUDevice, GPUBuffer } = globalThis;
  if (GPUDevice) {
    const { createBuffer } = GPUDevice.prototype;
    GPUDevice.prototype.createBuffer = function (descriptor) {
      const buffer = createBuffer.call(this, descriptor);
      buffers.set(buffer, buffer.size);
      live += buffer.size;
      most = Math.max(most, live);
      return buffer;
    };
    const { destroy } = GPUBuffer.prototype;
    GPUBuffer.prototype.destroy = function () {
      live -= buffers.get(this) ?? 0;
      buffers.delete(this);
      return destroy.call(this);
    };
  }

  const bytes = () => [...memories].reduce((sum, { buffer }) => sum + buffer.byteLength, most);
  const page = typeof document === "object";
  // a page and its Workers have one name between them, and no other page has it
  const name = page ? crypto.randomUUID() : globalThis.courtChannel;
  const channel = new BroadcastChannel(name);
  if (!page) {
    channel.onmessage = ({ data }) => data === "memory" && channel.postMessage({ bytes: bytes() });
    return;
  }
  const own = document.currentScript?.src ?? "/court/memory.js";
  globalThis.Worker = new Proxy(Worker, {
    construct(target, [url, options], type) {
      const text = (value) => JSON.stringify(String(new URL(value, location.href)));
      const set = `globalThis.courtChannel = ${JSON.stringify(name)};`;
      const modules = options?.type === "module";
      // static imports run in order, and before any message is delivered
      const lines = modules
        ? [`import ${text(`data:text/javascript,${encodeURIComponent(set)}`)};`, `import ${text(own)};`, `import ${text(url)};`]
        : [set, `importScripts(${text(own)}, ${text(url)});`];
      const blob = URL.createObjectURL(new Blob([lines.join("\n")], { type: "text/javascript" }));
      return Reflect.construct(target, [blob, options], type);
    },
  });
  globalThis.courtMemory = async () => {
    let sum = bytes();
    channel.onmessage = ({ data }) => (sum += data.bytes);
    channel.postMessage("memory");
    await new Promise((resolve) => setTimeout(resolve, 200));
    return sum;
  };
})();

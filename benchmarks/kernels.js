// Times each entry of a module beside a loop of multiply-adds; runs in Node and in a page alike.
async (base64, entries, seconds) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 16384 });
  const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } });
  const wasm = instance.exports;
  const best = (run) => {
    const until = performance.now() + seconds * 1000;
    let least = Infinity;
    let count = 1;
    do {
      const start = performance.now();
      for (let i = 0; i < count; i++) run();
      const time = (performance.now() - start) / count;
      // enough runs at a time that a coarse clock does not matter
      if (time * count < 2) count *= 2;
      else least = Math.min(least, time);
    } while (performance.now() < until || least === Infinity);
    return least;
  };
  const peak = () => 96e6 / best(() => wasm.multiply_adds(1e6)) / 1e6;
  peak();
  return entries.map(({ name, operations, weights }, entry) => {
    wasm.plan(entry);
    const missing = Number(wasm.bytes(entry)) - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    const floats = new Float32Array(memory.buffer, 131072);
    for (let i = 0; i < floats.length; i++) floats[i] = ((i * 7919) % 1000) / 1000 - 0.5;
    const start = performance.now();
    wasm.run(entry, 0, 1);
    const first = performance.now() - start;
    const before = peak();
    const time = best(() => wasm.run(entry, 0, 1));
    const row = { name, first, time, speed: operations / time / 1e6, peak: Math.max(before, peak()) };
    if (weights) row.reading = best(() => wasm.read_floats(...weights));
    return row;
  });
}

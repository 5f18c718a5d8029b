// Times entries of a module and loops that bound them, all in turns; runs in Node and in a page alike.
async (base64, entries, loops, seconds) => {
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  const memory = new WebAssembly.Memory({ initial: 64, maximum: 16384 });
  const { instance } = await WebAssembly.instantiate(bytes, { env: { memory } });
  const wasm = instance.exports;
  const jobs = loops.map((name) => ({ name, run: () => wasm[name](1e5) }));
  for (const [entry, { name }] of entries.entries()) {
    wasm.plan(entry);
    const missing = Number(wasm.bytes(entry)) - memory.buffer.byteLength;
    if (missing > 0) memory.grow(Math.ceil(missing / 65536));
    jobs.push({ name, run: () => wasm.run(entry, 0, 1) });
  }
  const floats = new Float32Array(memory.buffer, 131072);
  for (let i = 0; i < floats.length; i++) floats[i] = ((i * 7919) % 1000) / 1000 - 0.5;
  const values = floats.slice();
  for (const job of jobs) Object.assign(job, { count: 1, least: Infinity });
  const until = performance.now() + seconds * 1000 * jobs.length;
  do {
    for (const job of jobs) {
      floats.set(values); // entries share the memory
      job.run();
      const start = performance.now();
      for (let i = 0; i < job.count; i++) job.run();
      const elapsed = performance.now() - start;
      // so many runs at a time that a coarse clock does not matter
      if (elapsed < 4) job.count *= 2;
      else job.least = Math.min(job.least, elapsed / job.count);
    }
  } while (performance.now() < until || jobs.some((job) => job.least === Infinity));
  return jobs.map(({ name, least }) => ({ name, time: least }));
};

// Runs in the page of threads.py: runs of a pack with one thread and with several, in turns with multiply-add loops in as
// many Workers. The same file is the Worker of such a loop.

const inWorker = "WorkerGlobalScope" in globalThis;

if (inWorker) {
  let loop;
  onmessage = async ({ data }) => {
    if (data.module) {
      const memory = new WebAssembly.Memory({ initial: 2 });
      loop = (await WebAssembly.instantiate(data.module, { env: { memory } })).exports.multiply_adds;
    } else {
      loop(data.count);
    }
    postMessage(null);
  };
}

const asked = (worker, message) =>
  new Promise((resolve) => {
    worker.onmessage = resolve;
    worker.postMessage(message);
  });

async function timed(action) {
  const start = performance.now();
  await action();
  return performance.now() - start;
}

/** @returns ms per round of: `runs`, [with one thread, with several]; `loops`, [one, several at once]. */
export async function measure({ peak, threads, rounds, runs, count, feeds }) {
  const { load } = await import("/js/pyruntime.js");
  const { decodeAll } = await import("/harness.js");
  const given = decodeAll(feeds);
  const module = await WebAssembly.compile(Uint8Array.from(atob(peak), (c) => c.charCodeAt(0)));
  const loops = Array.from({ length: threads }, () => new Worker("/threads.js", { type: "module" }));
  await Promise.all(loops.map((worker) => asked(worker, { module })));
  const sessions = [];
  for (const n of [1, threads]) sessions.push(await load("/pack/", { device: "wasm", threads: n }));
  const found = { runs: [[], []], loops: [[], []], threads: sessions.map(({ report }) => report.threads) };
  for (let round = -3; round < rounds; round++) {
    for (const each of [0, 1]) {
      const runTime = await timed(async () => {
        for (let i = 0; i < runs; i++) await sessions[each].run(given);
      });
      const loopTime = await timed(() =>
        Promise.all(loops.slice(0, each ? threads : 1).map((worker) => asked(worker, { count }))),
      );
      if (round < 0) continue; // engines are still compiling
      found.runs[each].push(runTime / runs);
      found.loops[each].push(loopTime);
    }
  }
  for (const session of sessions) session.dispose();
  for (const worker of loops) worker.terminate();
  return found;
}

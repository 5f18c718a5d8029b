// The machine's limits, as a contest of their own: a loop of multiply-adds and a copy through memory, on some threads.
import { thread } from "./threads.js";

const ADDS = 6e6; // steps of the loop, 96 floating-point operations each
const TURNS = 6; // of the loop a round: as long as a contestant's turn, and disturbed as often
const BYTES = 64 << 20; // of each of the copy's two arrays, past any cache

export async function enter({ module, worker, threads }) {
  const bytes = await (await fetch(module)).arrayBuffer();
  const workers = [];
  for (let i = 0; i < threads; i++) workers.push(await thread(worker));
  await Promise.all(workers.map((each) => each.ask({ bytes, memory: 2 * BYTES })));
  const together = async (count, message) => {
    const spans = await Promise.all(workers.slice(0, count).map((each) => each.ask(message)));
    return Math.max(...spans.map(({ end }) => end)) - Math.min(...spans.map(({ start }) => start));
  };
  return {
    facts: {},
    /** @returns for each number of threads: GFLOP/s of the loop and GB/s of the copy, reads and writes both counted. */
    async round() {
      const found = {};
      const counts = workers.map((_, i) => i + 1);
      const loop = counts.map(() => 0);
      for (let turn = 0; turn < TURNS; turn++)
        for (const count of turn % 2 ? counts : counts.toReversed()) loop[count - 1] += await together(count, { adds: ADDS });
      for (const count of counts) {
        const copy = await together(count, { copy: BYTES });
        found[count] = {
          fma_gflops: (count * TURNS * ADDS * 96) / loop[count - 1] / 1e6,
          copy_gb_s: (count * 2 * BYTES) / copy / 1e6,
        };
      }
      return found;
    },
  };
}

// pyruntime: packs as `convert` makes them, with `load`'s defaults: a Worker, hashes checked.
import { load } from "../../../../js_bindings/dist/pyruntime.js";

export async function open({ model, files, device, threads, feeds }) {
  // the Worker's script as a bundler makes it, a whole of its own; Node has no Workers
  const session = await load(model, { device, threads, workerUrl: `${files}standalone/worker.js` });
  const given = Object.fromEntries(feeds.map(({ name, data, shape }) => [name, { data, shape }]));
  const used = session.report.threads;
  if (used !== threads) throw new Error(`runs on ${used} threads, not ${threads}: ${session.report.threadsReason}`);
  return {
    settings: session.report,
    run: async () => Object.entries(await session.run(given)).map(([name, { data }]) => ({ name, data })),
  };
}

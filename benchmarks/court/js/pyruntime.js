// pyruntime, on the page's own thread or in a Worker: packs as `convert` makes them, all hashes checked.
import { load } from "../../../js_bindings/dist/pyruntime.js";

export const opener = (worker) => async ({ model, files, device, threads, feeds }) => {
  // threads wait for each other, which a page's own may not
  const where = threads > 1 ? undefined : worker;
  // the Worker's script as a bundler makes it, a whole of its own; Node has no Workers
  const session = await load(model, { device, threads, worker: where, workerUrl: `${files}standalone/worker.js` });
  const given = Object.fromEntries(feeds.map(({ name, data, shape }) => [name, { data, shape }]));
  const used = session.report.threads;
  if (used !== threads) throw new Error(`runs on ${used} threads, not ${threads}: ${session.report.threadsReason}`);
  return {
    settings: session.report,
    run: async () => Object.entries(await session.run(given)).map(([name, { data }]) => ({ name, data })),
  };
};

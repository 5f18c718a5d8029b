// pyruntime with the settings of a page that runs a model again and again, or with none: packs as `convert` makes them.
import { load } from "../../../js_bindings/dist/pyruntime.js";

/** `settled`: on the page's own thread, unless there are more, and each result's memory is the next one's. */
export const opener = (settled) => async ({ model, files, device, threads, feeds }) => {
  // threads wait for each other, which a page's own may not
  const worker = settled && threads === 1 ? false : undefined;
  // the Worker's script as a bundler makes it, a whole of its own; Node has no Workers
  const session = await load(model, { device, threads, worker, workerUrl: `${files}standalone/worker.js` });
  const given = Object.fromEntries(feeds.map(({ name, data, shape }) => [name, { data, shape }]));
  const used = session.report.threads;
  if (used !== threads) throw new Error(`runs on ${used} threads, not ${threads}: ${session.report.threadsReason}`);
  let made;
  return {
    settings: session.report,
    run: async () => {
      made = await session.run(given, settled && made ? { recycle: made } : {});
      return Object.entries(made).map(([name, { data }]) => ({ name, data }));
    },
  };
};

// pyruntime: packs as `convert` makes them, with `load`'s defaults: a Worker, hashes checked.

export async function open({ model, files, device, threads, feeds }) {
  const { load } = await import(`${files}pyruntime.js`);
  const session = await load(model, { device, threads });
  const given = Object.fromEntries(feeds.map(({ name, data, shape }) => [name, { data, shape }]));
  const used = session.report.threads;
  if (used !== threads) throw new Error(`runs on ${used} threads, not ${threads}: ${session.report.threadsReason}`);
  return {
    settings: session.report,
    run: async () => Object.entries(await session.run(given)).map(([name, { data }]) => ({ name, data })),
  };
}

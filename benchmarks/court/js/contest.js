// What pages and Node processes of the court share: one engine with one model, opened, run, and timed when asked.
import { decode, encode } from "./tensors.js";

/**
 * @param job `module`: the engine's opener; `model`: URL of the model in the engine's format; `feeds`: URL of its inputs
 *   as safetensors; `order`: their names in the model's order; `threads`; `device`; `files`: URL of the engine's own files.
 * @returns `facts` of the first result (times in ms), and `round(runs)`, which gives ms per run.
 */
export async function enter(job) {
  const asked = fetch(job.feeds).then((response) => response.arrayBuffer());
  const { open } = await import(job.module);
  const given = decode(await asked);
  const feeds = job.order.map((name) => ({ name, ...given[name] }));
  const opening = performance.now();
  const engine = await open({ ...job, feeds });
  const opened = performance.now();
  const outputs = await engine.run();
  const ended = performance.now();
  return {
    facts: {
      open_ms: opened - opening,
      first_ms: ended - opened,
      since_navigation_ms: ended, // performance.now() counts from the navigation's start
      outputs: encode(outputs),
      settings: engine.settings,
    },
    async round(runs) {
      const start = performance.now();
      for (let i = 0; i < runs; i++) await engine.run();
      return (performance.now() - start) / runs;
    },
  };
}

/** An error as text that a table can show. */
export const told = (error) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));

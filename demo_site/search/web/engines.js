// The ways to run the model. Each loads the pack and turns sentences into vectors of unit length.
import { describe, DEVICES } from "../shared/devices.js";
import { open } from "./model.js";

export const PACK = "minilm.pack/";

/** @typedef {import("../shared/switch.js").Engine & {embed: (texts: string[]) => Promise<Float32Array>,
 *   profile?: (text: string) => Promise<import("../shared/profile.js").Profile>}} Engine `embed` gives one vector after the
 *   other; `profile` tells what each step takes, where JavaScript runs the model. */

/** @type {Record<string, import("../shared/devices.js").Kind>} */
export const KINDS = {
  ...DEVICES,
  python: { name: "Python", about: "in Pyodide", missing: async () => "" },
};

/** @type {(kind: string, progress: import("../shared/switch.js").Progress, signal: AbortSignal) => Promise<Engine>} */
export async function openEngine(kind, progress, signal) {
  if (kind === "python") return (await import("./python.js")).openPython(progress, signal);
  const { session, embed, profile } = await open(PACK, { ...DEVICES[kind].options, onProgress: progress, signal });
  return { embed, profile, told: await describe(session), report: session.report, dispose: () => session.dispose() };
}

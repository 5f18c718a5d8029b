// The ways to run the model. Each loads the pack and turns sentences into vectors of unit length.
import { load } from "../js/pyruntime.js";
import { feedsOf, makeTokenizer } from "./tokens.js";

export const PACK = "minilm.pack/";
const OUTPUT = "sentence_embedding";
const MOST_THREADS = 4; // short sentences gain little from more

/** What an engine does, whichever it is. @typedef {{
 *   embed: (texts: string[]) => Promise<Float32Array>,
 *   dispose: () => void,
 *   told: string,
 *   report: {device: string, variant: readonly string[], bytesLoaded: number, bytesCached: number},
 * }} Engine `embed` gives one vector after the other; `told` is a line about the engine. */

/** @typedef {(loaded?: number, total?: number, doing?: string) => void} Progress nothing where the share is unknown. */

/** How many threads share a run where threads are chosen. */
export const threads = () => Math.max(2, Math.min(MOST_THREADS, navigator.hardwareConcurrency ?? 2));

/** @type {Record<string, {name: string, about: string, missing: () => Promise<string>, open: (progress: Progress, signal: AbortSignal) => Promise<Engine>}>} */
export const KINDS = {
  webgpu: {
    name: "WebGPU",
    about: "graphics card",
    async missing() {
      if (!navigator.gpu) return isSecureContext ? "this browser has no WebGPU" : "needs https or localhost";
      return (await navigator.gpu.requestAdapter()) ? "" : "no graphics card can be used";
    },
    open: (progress, signal) => openNative({ device: "webgpu" }, progress, signal),
  },
  wasm: {
    name: "Wasm",
    about: "one thread",
    missing: async () => "",
    open: (progress, signal) => openNative({ device: "wasm", threads: 1 }, progress, signal),
  },
  threads: {
    name: "Wasm, threads",
    about: `${threads()} threads`,
    async missing() {
      if (!crossOriginIsolated) return "the server does not isolate this page (COOP and COEP)";
      return navigator.hardwareConcurrency === 1 ? "this processor has one core" : "";
    },
    open: (progress, signal) => openNative({ device: "wasm", threads: threads() }, progress, signal),
  },
  python: {
    name: "Python",
    about: "in Pyodide",
    missing: async () => "",
    open: async (progress, signal) => (await import("./python.js")).openPython(progress, signal),
  },
};

/** The one to begin with: a real graphics card, else threads, else one. */
export async function preferred() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (adapter && !adapter.info?.isFallbackAdapter && adapter.info?.architecture !== "swiftshader") return "webgpu";
  return (await KINDS.threads.missing()) ? "wasm" : "threads";
}

async function openNative(options, progress, signal) {
  const session = await load(PACK, { ...options, cache: true, onProgress: progress, signal });
  try {
    const vocabulary = new TextDecoder().decode(await session.asset("tokenizer.json", { signal }));
    return new Native(session, makeTokenizer(vocabulary), await describe(session));
  } catch (error) {
    session.dispose();
    throw error;
  }
}

class Native {
  #session;
  #tokenize;

  constructor(session, tokenize, told) {
    this.#session = session;
    this.#tokenize = tokenize;
    this.told = told;
    this.report = session.report;
  }

  async embed(texts) {
    const made = await this.#session.run(feedsOf(this.#tokenize(texts)), { outputs: [OUTPUT] });
    return made[OUTPUT].data;
  }

  dispose() {
    this.#session.dispose();
  }
}

async function describe({ report }) {
  if (report.device === "wasm") return toldOfWasm(report);
  const { info } = (await navigator.gpu.requestAdapter()) ?? {};
  const maker = [info?.vendor, info?.architecture].filter(Boolean).join(" ") || "A GPU of unknown make";
  return [maker, `${report.dispatches} dispatches`, ...report.variant].join(", ");
}

/** A line about a session on Wasm. */
export function toldOfWasm({ threads, variant, steps }) {
  const workers = threads > 1 ? `${threads} Workers share each run` : "In a Worker";
  return [workers, ...variant.filter((name) => name !== "threads"), `${steps.length} steps`].join(", ");
}

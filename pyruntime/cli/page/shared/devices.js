// The devices that a page lets one choose from, and which of them to begin with.

const MOST_THREADS = 4; // small models gain little from more

/** How many threads share a run where threads are chosen. */
export const threads = () => Math.max(2, Math.min(MOST_THREADS, navigator.hardwareConcurrency ?? 2));

/** A way to run a model. @typedef {{
 *   name: string,
 *   about: string,
 *   missing: () => Promise<string>,
 *   options?: {device: "webgpu" | "wasm", threads?: number},
 * }} Kind `missing` tells why it cannot be chosen, if so; `options` are those of pyruntime's `load`. */

/** @type {Record<"webgpu" | "wasm" | "threads", Kind>} */
export const DEVICES = {
  webgpu: {
    name: "WebGPU",
    about: "graphics card",
    async missing() {
      if (!navigator.gpu) return isSecureContext ? "this browser has no WebGPU" : "needs https or localhost";
      return (await navigator.gpu.requestAdapter()) ? "" : "no graphics card can be used";
    },
    options: { device: "webgpu" },
  },
  wasm: {
    name: "Wasm",
    about: "one thread",
    missing: async () => "",
    options: { device: "wasm", threads: 1 },
  },
  threads: {
    name: "Wasm, threads",
    about: `${threads()} threads`,
    async missing() {
      if (!crossOriginIsolated) return "the server does not isolate this page (COOP and COEP)";
      return navigator.hardwareConcurrency === 1 ? "this processor has one core" : "";
    },
    options: { device: "wasm", threads: threads() },
  },
};

/** The one to begin with: a real graphics card, else threads, else one. */
export async function preferred() {
  const adapter = await navigator.gpu?.requestAdapter();
  if (adapter && !adapter.info?.isFallbackAdapter && adapter.info?.architecture !== "swiftshader") return "webgpu";
  return (await DEVICES.threads.missing()) ? "wasm" : "threads";
}

/** A line about a session. */
export async function describe({ report }) {
  if (report.device === "wasm") return toldOfWasm(report);
  const { info } = (await navigator.gpu.requestAdapter()) ?? {};
  const maker = [info?.vendor, info?.architecture].filter(Boolean).join(" ") || "A GPU of unknown make";
  return [maker, `${report.dispatches} dispatches`, ...report.variant].join(", ");
}

/** A line about a session on Wasm. */
export function toldOfWasm({ threads, threadsReason, variant, steps }) {
  const alone = threadsReason === "asked for" ? "In a Worker" : `In one Worker, since ${threadsReason}`;
  const workers = threads > 1 ? `${threads} Workers share each run` : alone;
  return [workers, ...variant.filter((name) => name !== "threads"), `${steps.length} steps`].join(", ");
}

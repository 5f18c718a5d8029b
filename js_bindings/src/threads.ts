// How many threads a Wasm session has, and the memory that they share.

import type { WasmTarget } from "./manifest.ts";

/** How many threads share a run, and why. */
export interface Threads {
  readonly threads: number;
  readonly threadsReason: string;
}

/** As many as a module knows. */
export const MOST_THREADS = 64;
/** More gain little for what they take from the rest of the machine. */
const USUAL = 4;
const PAGES = 65536;

/** Decides for an entry of a pack, on this thread of this page; `asked` is the user's number, if any. */
export function decideThreads({ variants, entries }: WasmTarget, index: number, asked: number | undefined): Threads {
  const one = (threadsReason: string): Threads => ({ threads: 1, threadsReason });
  if (asked === 1) return one("asked for");
  if (!variants.some(({ requires }) => requires.includes("threads")) || !entries[index]!.thread_bytes)
    return one("the pack has no steps that are worth sharing");
  if (typeof Worker === "undefined") return one("there are no Workers here");
  if (!globalThis.crossOriginIsolated)
    return one("the page is not cross-origin isolated: serve it with the headers COOP and COEP");
  if (!("WorkerGlobalScope" in globalThis)) return one("a page's own thread may not wait for others: see worker");
  if (!knowsSharedMemory()) return one("this engine has no shared WebAssembly memory");
  if (asked) return { threads: asked, threadsReason: "asked for" };
  const processors = navigator.hardwareConcurrency || 1;
  const threadsReason = `one for each processor, up to ${USUAL}; there are ${processors}`;
  return { threads: Math.min(processors, USUAL), threadsReason };
}

/** Whether the engine validates an import of a shared memory. */
function knowsSharedMemory(): boolean {
  const name = (text: string): number[] => [text.length, ...Array.from(text, (c) => c.charCodeAt(0))];
  const shared = [1, ...name("env"), ...name("memory"), 2, 3, 1, 1];
  return WebAssembly.validate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0, 2, shared.length, ...shared]));
}

/**
 * A shared memory of so many pages, which grows, unless it is `fixed`, as far as the engine allows: what it may grow to
 * must be named first, and phones refuse large numbers. Undefined where the engine refuses all.
 */
export function sharedMemory(initial: number, fixed: boolean): WebAssembly.Memory | undefined {
  for (let maximum = fixed ? initial : PAGES; ; maximum = Math.max(initial, maximum >> 1)) {
    try {
      return new WebAssembly.Memory({ initial, maximum, shared: true });
    } catch {
      if (maximum <= initial) return undefined;
    }
  }
}

// Starts this package's Workers.

import { DeviceError, messageOf } from "./errors.ts";

/**
 * A Worker that runs worker.js, from `url` or from beside this file.
 *
 * @throws DeviceError where there are no Workers, or the page's policies forbid this one.
 */
export function startWorker(url: string | URL | undefined, name = "pyruntime"): Worker {
  if (typeof Worker === "undefined") throw new DeviceError("there are no Workers here: load with worker: false");
  try {
    if (url !== undefined) return new Worker(url, { type: "module", name });
    // written out, so that bundlers find the file
    return new Worker(new URL("./worker.js", import.meta.url), { type: "module", name });
  } catch (error) {
    throw new DeviceError(
      `the worker cannot be started: ${messageOf(error)} (workers are loaded from the page's own origin: see workerUrl)`,
    );
  }
}

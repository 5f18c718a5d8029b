// The helpers of a Wasm session: Workers that share the steps of its runs, each in an instance of its own.

import { DeviceError, messageOf } from "./errors.ts";
import { startWorker } from "./workers.ts";

/** What is posted to a helper. */
export interface HelpRequest {
  readonly op: "help";
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly thread: number;
}

/** What a helper posts: that it is there, then that it has left the module, and what went wrong, if anything did. */
export type HelpReply = { readonly ready: true } | { readonly left: string };

/** Milliseconds in which a helper must be there, or have left after `stop`. */
const START_LIMIT = 20_000;
const END_LIMIT = 1_000;

/** Helpers 1 to threads - 1 of a module. They sleep where there is nothing to do. */
export class Team {
  readonly #workers: readonly Worker[];
  readonly #left: readonly Promise<string>[];

  private constructor(workers: readonly Worker[], left: readonly Promise<string>[]) {
    this.#workers = workers;
    this.#left = left;
  }

  /**
   * Starts helpers, and waits until all are there.
   *
   * @throws DeviceError when one cannot be started.
   */
  static async start(
    threads: number,
    module: WebAssembly.Module,
    memory: WebAssembly.Memory,
    url: string | URL | undefined,
  ): Promise<Team> {
    const workers = Array.from({ length: threads - 1 }, () => startWorker(url, "pyruntime helper"));
    const ready: Promise<void>[] = [];
    const left = workers.map((worker, i) => {
      let leave: (cause: string) => void;
      const left = new Promise<string>((resolve) => (leave = resolve));
      ready.push(
        new Promise((resolve, reject) => {
          worker.onmessage = ({ data }: MessageEvent<HelpReply>) => {
            if ("ready" in data) return resolve();
            leave(data.left);
            reject(new Error(data.left));
          };
          worker.onerror = (event) => {
            event.preventDefault();
            leave(event.message);
            reject(new Error(event.message || "its file cannot be loaded; see workerUrl"));
          };
          setTimeout(() => reject(new Error("it does not answer")), START_LIMIT);
        }),
      );
      worker.postMessage({ op: "help", module, memory, thread: i + 1 } satisfies HelpRequest);
      return left;
    });
    const team = new Team(workers, left);
    try {
      await Promise.all(ready);
    } catch (error) {
      team.dispose();
      throw new DeviceError(`a helper thread cannot be started: ${messageOf(error)}; load with threads: 1`);
    }
    return team;
  }

  /** Waits until all have left, which `stop` asks of them, and ends them; gives what went wrong, if anything did. */
  async end(): Promise<string> {
    const late = new Promise<string>((resolve) => setTimeout(resolve, END_LIMIT, "it does not come back"));
    const causes = await Promise.all(this.#left.map((left) => Promise.race([left, late])));
    this.dispose();
    return causes.filter(Boolean).join(", ");
  }

  /** Ends them at once. */
  dispose(): void {
    for (const worker of this.#workers) worker.terminate();
  }
}

interface HelperExports {
  worker(thread: number): number;
  stop(): void;
}

/** A helper's half: computes parts of steps until it is told to stop; whatever fails ends the run that needs it. */
export async function help(
  { module, memory, thread }: HelpRequest,
  post: (reply: HelpReply) => void,
): Promise<void> {
  let exports: HelperExports | undefined;
  try {
    const instance = await WebAssembly.instantiate(module, { env: { memory } });
    exports = instance.exports as unknown as HelperExports;
    post({ ready: true });
    exports.worker(thread);
    post({ left: "" });
  } catch (error) {
    exports?.stop();
    post({ left: messageOf(error) });
  }
}

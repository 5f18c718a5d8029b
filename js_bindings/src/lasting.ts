// A session on a GPU that may be lost: the pack is then loaded once more, by itself. Fetched beside a WebGPU program.

import type { Backend, Present, RawOutput } from "./backend.ts";
import { DeviceLostError, DisposedError, messageOf, StateError } from "./errors.ts";

/** A backend that is opened anew, once, when what it asks is refused because the GPU was lost. */
export class LastingBackend implements Backend {
  #backend: Backend;
  readonly #states: number;
  readonly #open: () => Promise<Backend>;
  #reloads = 0;
  #disposed = false;
  /** States that went with the GPU, and have not been set since. */
  readonly #gone = new Set<number>();

  /** `states` says how many the pack keeps; `open` loads the same entry on another GPU. */
  constructor(backend: Backend, states: number, open: () => Promise<Backend>) {
    this.#backend = backend;
    this.#states = states;
    this.#open = open;
  }

  get report(): Backend["report"] {
    return this.#backend.report;
  }

  get present(): Present {
    return { ...this.#backend.present, reloads: this.#reloads };
  }

  get committed(): boolean {
    return this.#backend.committed;
  }

  run(...all: Parameters<Backend["run"]>): Promise<RawOutput[]> {
    return this.#lasting((backend) => backend.run(...all), true);
  }

  readState(number: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#lasting((backend) => backend.readState(number), true);
  }

  async writeStates(states: ReadonlyMap<number, Uint8Array<ArrayBuffer>>): Promise<void> {
    await this.#lasting((backend) => backend.writeStates(states));
    for (const number of states.keys()) this.#gone.delete(number);
  }

  async resetStates(): Promise<void> {
    await this.#lasting((backend) => backend.resetStates());
    this.#gone.clear();
  }

  dispose(): Promise<void> | void {
    this.#disposed = true;
    return this.#backend.dispose();
  }

  /** Does something, again where the GPU was lost; what uses states finds them as they were, or a StateError. */
  async #lasting<T>(action: (backend: Backend) => Promise<T>, uses = false): Promise<T> {
    const whole = (): void => {
      if (uses && this.#gone.size)
        throw new StateError("the state was lost with the GPU; reset it, or load a saved one");
    };
    whole();
    try {
      return await action(this.#backend);
    } catch (error) {
      if (!(error instanceof DeviceLostError) || this.#reloads) throw error;
      await this.#reload(error);
      whole();
      return action(this.#backend);
    }
  }

  async #reload({ message }: DeviceLostError): Promise<void> {
    this.#reloads++;
    await this.#backend.dispose();
    let fresh: Backend;
    try {
      fresh = await this.#open();
    } catch (error) {
      throw new DeviceLostError(`${message}; loading again failed: ${messageOf(error)}`, { cause: error });
    }
    if (this.#disposed) {
      await fresh.dispose();
      throw new DisposedError("the session was disposed");
    }
    this.#backend = fresh;
    for (let state = 0; state < this.#states; state++) this.#gone.add(state);
  }
}

// Does a slow thing for the newest of many requests: while one is worked on, only the last to come waits.

export class Newest {
  #work;
  #waiting;
  #running = null;

  /** @param {(request: any) => Promise<void>} work called for one request at a time. */
  constructor(work) {
    this.#work = work;
  }

  /** Takes the place of whatever waits; settles when nothing waits any more. */
  ask(request) {
    this.#waiting = { request };
    this.#running ??= this.#run();
    return this.#running;
  }

  /** When nothing is worked on, and nothing waits. */
  async settled() {
    await this.#running;
  }

  async #run() {
    await null; // not over before the promise is kept
    try {
      while (this.#waiting) {
        const { request } = this.#waiting;
        this.#waiting = undefined;
        await this.#work(request);
      }
    } finally {
      this.#running = null;
    }
  }
}

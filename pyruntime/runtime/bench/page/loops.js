// The loops that show the engine's limits, on as many threads as the pack's: this thread is one, Workers are the others.

// of the memory that threads share: the turn, the kind of loop, its two arguments, how many are done; then seconds
const TURN = 0;
const KIND = 1;
const ARGUMENTS = 2;
const DONE = 4;
const WORDS = 6;
const KINDS = ["multiply_adds", "dots", "copy"];
const PATIENCE = 20_000; // milliseconds

const secondsOf = (exports, name, arguments_) => {
  const start = performance.now();
  exports[name](...arguments_);
  return (performance.now() - start) / 1000;
};

export class Loops {
  /** `relaxed` says which of the two modules; see loops.py for what they export. */
  static async start(job, relaxed, threads) {
    const bytes = await (await fetch(relaxed ? job.relaxed : job.plain)).arrayBuffer();
    const module = await WebAssembly.compile(bytes);
    const loops = new Loops();
    loops.job = { ...job, ...(relaxed ? job.relaxedOperations : job.plainOperations) };
    loops.exports = (await WebAssembly.instantiate(module)).exports;
    loops.others = threads - 1;
    if (!loops.others) return loops;
    loops.shared = new SharedArrayBuffer(WORDS * 4 + loops.others * 8);
    loops.words = new Int32Array(loops.shared, 0, WORDS);
    loops.seconds = new Float64Array(loops.shared, WORDS * 4);
    const ready = Array.from({ length: loops.others }, (_, index) => {
      const worker = new Worker("loops.js", { type: "module", name: "loops" });
      worker.postMessage({ module, shared: loops.shared, index });
      return new Promise((resolve, reject) => {
        worker.onmessage = resolve;
        worker.onerror = (event) => reject(new Error(event.message));
      });
    });
    await Promise.all(ready);
    return loops;
  }

  /** One measurement of each loop. */
  sample(samples) {
    const { rounds, multiply_adds, dots, copies } = this.job;
    samples.multiply_adds.push(this.#rate(0, [rounds.multiply_adds, 0.5], rounds.multiply_adds * multiply_adds));
    samples.dots.push(this.#rate(1, [rounds.dots, 1], rounds.dots * dots));
    for (const [moved, times] of copies) samples.addCopy(moved, this.#rate(2, [moved / 2, times], moved * times));
  }

  /** Work a second of all threads together. */
  #rate(kind, arguments_, work) {
    if (this.others) {
      this.words[KIND] = kind;
      this.words[ARGUMENTS] = arguments_[0];
      this.words[ARGUMENTS + 1] = arguments_[1];
      Atomics.store(this.words, DONE, 0);
      Atomics.add(this.words, TURN, 1);
      Atomics.notify(this.words, TURN);
    }
    let rate = work / secondsOf(this.exports, KINDS[kind], arguments_);
    for (let done = 0; done < this.others; ) {
      if (Atomics.wait(this.words, DONE, done, PATIENCE) === "timed-out") throw new Error("a thread does not come back");
      done = Atomics.load(this.words, DONE);
    }
    for (let i = 0; i < this.others; i++) rate += work / this.seconds[i];
    return rate;
  }
}

/** The other threads: each takes its turn when it is called. */
async function serve({ module, shared, index }) {
  const { exports } = await WebAssembly.instantiate(module);
  const words = new Int32Array(shared, 0, WORDS);
  const seconds = new Float64Array(shared, WORDS * 4);
  postMessage("ready");
  for (let turn = 0; ; turn++) {
    Atomics.wait(words, TURN, turn);
    const factor = words[KIND] === 0 ? 0.5 : words[ARGUMENTS + 1];
    seconds[index] = secondsOf(exports, KINDS[words[KIND]], [words[ARGUMENTS], factor]);
    Atomics.add(words, DONE, 1);
    Atomics.notify(words, DONE);
  }
}

if (self.name === "loops") onmessage = ({ data }) => serve(data);

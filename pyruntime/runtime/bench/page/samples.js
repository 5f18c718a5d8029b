// What is measured, in the form that the command line expects, and how long to go on.

const WARM_UP = { rounds: 3, seconds: 0.4, most: 3 }; // engines replace code only after it has run for a while

/** Times of rounds. Where a loop comes by a step again, its times add up. */
export class Samples {
  whole = [];
  steps = {};
  calls = {};
  empty = [];
  multiply_adds = [];
  dots = [];
  copies = {};

  /** Notes one run: names of steps and their seconds, in order. */
  addSteps(taken) {
    const seconds = new Map();
    this.calls = {};
    for (const [name, spent] of taken) {
      seconds.set(name, (seconds.get(name) ?? 0) + spent);
      this.calls[name] = (this.calls[name] ?? 0) + 1;
    }
    for (const [name, spent] of seconds) (this.steps[name] ??= []).push(spent);
  }

  addCopy(moved, rate) {
    (this.copies[moved] ??= []).push(rate);
  }
}

/** Calls `round` with samples until the budget is spent; the first rounds count for nothing. */
export async function measure({ seconds, rounds, least, most }, round, progress) {
  const begun = performance.now();
  for (let i = 0, warm = false; !warm; ) {
    await round(new Samples());
    progress(0);
    const spent = (performance.now() - begun) / 1000;
    warm = (++i >= WARM_UP.rounds && spent >= WARM_UP.seconds) || spent >= WARM_UP.most;
  }
  const samples = new Samples();
  const start = performance.now();
  for (let done = 0; done < 1; progress(Math.min(done, 1))) {
    await round(samples);
    const made = samples.whole.length;
    const spent = (performance.now() - start) / 1000 / seconds;
    done = rounds ? made / rounds : Math.min(made / least, Math.max(spent, made / most));
  }
  return samples;
}

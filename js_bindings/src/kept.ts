// What a session knows of its states: their present sizes, and whether the next run may use them.

import { evaluate, type Symbols } from "./dims.ts";
import { StateError } from "./errors.ts";
import type { Entry, Manifest, State } from "./manifest.ts";
import { bindFeeds, type Bound, type Feed } from "./tensors.ts";

/** The states of a pack while a session runs. */
export class KeptState {
  readonly states: readonly State[];
  /** Identifies the model that a saved state belongs to. */
  readonly model: string;
  /** The present size of each state along the axis along which it grows; 0 for the others. */
  readonly sizes: number[];
  /** Whether a run failed after it had begun to overwrite states. */
  torn = false;

  constructor({ state, model }: Manifest) {
    this.states = state;
    this.model = model.sha256;
    this.sizes = state.map(() => 0);
  }

  /** Checks feeds, and that the states are fit for a run with them. Throws InputError, StateError. */
  bind(entry: Entry, feeds: Readonly<Record<string, Feed>>): Bound {
    this.checkWhole();
    const bound = bindFeeds(entry, feeds, this.sizes);
    for (const { state, length, next } of entry.state) {
      const { name, shape, axis } = this.states[state]!;
      if (axis === undefined) continue;
      const present = this.sizes[state]!;
      const expected = evaluate(length!, bound.symbols);
      if (expected !== present)
        throw new StateError(`state ${JSON.stringify(name)} has size ${present} along axis ${axis}, others have ${expected}`);
      const wanted = evaluate(next!, bound.symbols);
      if (wanted < 0 || wanted > shape[axis]!)
        throw new StateError(
          `state ${JSON.stringify(name)} is full: it would grow from ${present} to ${wanted}, and its capacity is ${shape[axis]}; reset it, or convert with a larger capacity`,
        );
    }
    return bound;
  }

  /** Notes what a run has made of the states' sizes. */
  advance(entry: Entry, symbols: Symbols): void {
    for (const { state, next } of entry.state) {
      if (next !== undefined) this.sizes[state] = evaluate(next, symbols);
    }
  }

  /** Throws StateError where a run left the states unfinished. */
  checkWhole(): void {
    if (this.torn) throw new StateError("a run failed while it was changing the state; reset it, or load a saved one");
  }
}

/** The symbols' values with every state at its capacity: what memory is laid out for, once. */
export function atCapacity({ symbols }: Entry, states: readonly State[], values: Symbols): Symbols {
  const lengths = symbols.flatMap(({ name, state }) => {
    if (state === undefined) return [];
    const { shape, axis } = states[state]!;
    return [[name, shape[axis!]!] as const];
  });
  return { ...values, ...Object.fromEntries(lengths) };
}

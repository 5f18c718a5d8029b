// Lists of tensors, as users feed and get them, over a run of the inputs and outputs that are their elements.

import { InputError } from "./errors.ts";
import type { Entry, Listed } from "./manifest.ts";
import type { Feeds, Results, RunOptions } from "./session.ts";
import type { Feed, Tensor } from "./tensors.ts";

type Flat = Readonly<Record<string, Feed>>;
type Run = (feeds: Flat, options: RunOptions) => Promise<Record<string, Tensor>>;

const listsOf = ({ lists }: Entry, kind: Listed["of"]): Listed[] => lists.filter(({ of }) => of === kind);
const endOf = ({ first, length = 0 }: Listed): number => first + length;

/** Runs an entry that has lists by `run`, which knows nothing of them. Throws InputError for lists that do not fit. */
export async function runLists(entry: Entry, run: Run, feeds: Feeds, options: RunOptions): Promise<Results> {
  const { outputs, recycle, ...rest } = options;
  const lists = listsOf(entry, "outputs");
  const names = entry.outputs.map(({ name }) => name);
  const elements = (list: Listed): string[] => names.slice(list.first, endOf(list));
  const named = (name: string): Listed | undefined => lists.find((list) => list.name === name);

  const spares = lists.flatMap((list) => {
    const made = recycle?.[list.name];
    return Array.isArray(made) ? elements(list).map((name, i) => [name, made[i]]) : [];
  });
  const made = await run(spread(entry, feeds), {
    ...rest,
    outputs: outputs?.flatMap((name) => {
      const list = named(name);
      return list ? elements(list) : [name];
    }),
    recycle: { ...recycle, ...Object.fromEntries(spares) },
  });

  const inOrder: string[] = [];
  let done = 0;
  for (const list of lists) {
    inOrder.push(...names.slice(done, list.first), list.name);
    done = endOf(list);
  }
  return Object.fromEntries(
    (outputs ?? [...inOrder, ...names.slice(done)]).map((name) => {
      const list = named(name);
      const value = list ? (list.length === undefined ? null : elements(list).map((each) => made[each]!)) : made[name]!;
      return [name, value];
    }),
  );
}

/** Feeds with the elements of lists by their own names. */
function spread(entry: Entry, feeds: Feeds): Flat {
  const lists = listsOf(entry, "inputs");
  const parts = Object.entries(feeds).map(([name, feed]): Flat => {
    const list = lists.find((each) => each.name === name);
    if (!list) return { [name]: feed as Feed };
    const { first, length } = list;
    const fed = feed ?? (length === undefined ? [] : feed);
    if (!Array.isArray(fed) || fed.length !== (length ?? 0)) {
      const wanted = length === undefined ? "nothing: it is absent in this pack" : `an array of ${length} tensors`;
      const got = Array.isArray(fed) ? `${fed.length}` : typeof fed;
      throw new InputError(`input ${JSON.stringify(name)}: expected ${wanted}, got ${got}`);
    }
    return Object.fromEntries(fed.map((each: Feed, i) => [entry.inputs[first + i]!.name, each]));
  });
  return Object.assign({}, ...parts) as Flat;
}

// All that this page does with pyruntime: it writes on, and what it has read stays on the device.
import { load } from "../js/pyruntime.js";

const END = 0; // the character between two stories

/** Loads the writer. */
export const open = (pack, options) => load(pack, options);

/** Reads a beginning, numbers of characters, then yields one after the other, and how likely each was. */
export async function* write(session, beginning, temperature) {
  await session.state.reset();
  let unread = [END, ...beginning];
  while (true) {
    const characters = { data: Int32Array.from(unread), shape: [unread.length, 1] };
    const heat = { data: Float32Array.of(temperature()), shape: [] };
    const { shares } = await session.run({ characters, temperature: heat });
    const next = draw(shares.data);
    if (next === END) return;
    yield { next, share: shares.data[next] };
    unread = [next];
  }
}

/** A number, each as often as its share says. */
function draw(shares) {
  let left = Math.random();
  return Math.max(shares.findIndex((share) => (left -= share) < 0), END); // shares may add up to a little less than 1
}

/** What each step takes for a character. */
export const profile = (session) =>
  session.profile({
    characters: { data: Int32Array.of(END), shape: [1, 1] },
    temperature: { data: Float32Array.of(1), shape: [] },
  });

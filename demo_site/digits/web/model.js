// All that this page does with pyruntime: an image of 8 x 8 pixels to how likely each digit is.
import { load } from "../js/pyruntime.js";

/** Loads the network for a device, "webgpu" or "wasm". */
export const open = (pack, options) => load(pack, { threads: 1, ...options });

const feeds = (image) => ({ image: { data: image, shape: [1, 1, 8, 8] } });

/** Runs an image, 64 values from 0 (paper) to 1 (ink); gives ten probabilities. */
export async function read(session, image) {
  const { probabilities } = await session.run(feeds(image));
  return Array.from(probabilities.data);
}

/** What each step takes. */
export const profile = (session) => session.profile(feeds(new Float32Array(64)));

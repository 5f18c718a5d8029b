// All that this page does with pyruntime: samples go in; what the last ones were like stays on the device.
import { load } from "../js/pyruntime.js";

/** Loads the listener. */
export const open = (pack, options) => load(pack, options);

/** Hears the next samples: columns of the spectrogram, and for each how likely each kind of sound is. */
export async function hear(session, samples) {
  const { bands, shares } = await session.run({ samples: { data: samples, shape: [1, samples.length] } });
  return { bands: bands.data, shares: shares.data };
}

/** Begins anew, as if nothing had been heard. */
export const forget = (session) => session.state.reset();

/** What each step takes for so many samples. */
export const profile = (session, samples) =>
  session.profile({ samples: { data: new Float32Array(samples), shape: [1, samples] } });

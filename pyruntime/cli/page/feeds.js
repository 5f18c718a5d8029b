// Inputs for a run, as the command that serves this page makes them: see `Feeder.packed` in cli/demo.py.

const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  int16: Int16Array,
  int32: Int32Array,
  int64: BigInt64Array,
  uint8: Uint8Array,
  uint16: Uint16Array,
  uint32: Uint32Array,
  uint64: BigUint64Array,
  float16: Uint16Array, // its bits: not every browser has a Float16Array
  float32: Float32Array,
  float64: Float64Array,
};
const aligned = (bytes) => Math.ceil(bytes / 8) * 8;

/** An input. @typedef {{name: string, dtype: string, shape: number[], data: any, given: boolean}} Tensor `given`: read from a file. */

/**
 * @param {{symbols: Record<string, number>, seed: number}} asked
 * @returns {Promise<Tensor[]>} in the model's order. Rejects with what the command refuses, and its code.
 */
export async function fetchFeeds(asked) {
  const answer = await fetch("feeds", { method: "POST", body: JSON.stringify(asked) }).catch((error) => {
    throw new Error("pyruntime serve-demo, which makes the inputs, has ended", { cause: error });
  });
  if (!answer.ok) throw new Error(`pyruntime serve-demo makes no inputs: ${answer.status}`);
  const buffer = await answer.arrayBuffer();
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const { error, tensors } = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  if (error) throw Object.assign(new Error(error.message), { code: error.code });
  let begin = 8 + aligned(length);
  return tensors.map(({ bytes, type, ...tensor }) => {
    if (tensor.data) return tensor; // strings
    const data = new ARRAYS[type](buffer.slice(begin, begin + bytes));
    begin += aligned(bytes);
    return { ...tensor, data };
  });
}

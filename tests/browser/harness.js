// What tests in the browser call: tensors cross from and to Python as base64 of their bytes, strings as they are.
import * as pyruntime from "/js/pyruntime.js";

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
  float16: Uint16Array,
  float32: Float32Array,
  float64: Float64Array,
};

function decode(tensor) {
  if (!tensor || Array.isArray(tensor)) return tensor?.map(decode); // a list, or nothing
  const { dtype, shape, base64, data } = tensor;
  if (dtype === "string") return { data, shape };
  const bytes = Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
  return { data: new ARRAYS[dtype](bytes.buffer), shape };
}

function encode(tensor) {
  if (!tensor || Array.isArray(tensor)) return tensor?.map(encode) ?? null;
  const { dtype, shape, data } = tensor;
  if (dtype === "string") return { dtype, shape, data };
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  let text = "";
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
  return { dtype, shape, base64: btoa(text) };
}

export const load = pyruntime.load;
export const names = Object.keys(pyruntime);
export const decodeAll = (tensors) => Object.fromEntries(Object.entries(tensors).map(([k, v]) => [k, decode(v)]));
export const encodeAll = (tensors) => Object.fromEntries(Object.entries(tensors).map(([k, v]) => [k, encode(v)]));

/** A feed of zeros for every input, with this size for every symbol. */
export const zeros = (inputs, size) =>
  Object.fromEntries(
    inputs.map(({ name, dtype, shape }) => {
      const sizes = shape.map((dim) => (typeof dim === "number" ? dim : size));
      return [name, { data: new ARRAYS[dtype](sizes.reduce((a, b) => a * b, 1)), shape: sizes }];
    }),
  );

/** What was thrown, as plain data; null where nothing was. */
export async function caught(action) {
  try {
    await action();
    return null;
  } catch (error) {
    return {
      ours: error instanceof pyruntime.PyRuntimeError,
      right: pyruntime[error.name] !== undefined && error instanceof pyruntime[error.name],
      name: error.name,
      code: error.code,
      message: error.message,
    };
  }
}

/** Loads a pack, runs it once per item of `feeds`, and disposes of it. */
export async function runAll(url, options, feeds) {
  const session = await pyruntime.load(url, options);
  try {
    const outputs = [];
    for (const each of feeds) outputs.push(encodeAll(await session.run(decodeAll(each))));
    return { report: session.report, outputs };
  } finally {
    session.dispose();
  }
}

/** As `runAll`; or what was thrown, or that nothing came of it in time, as `{ error }`. */
export async function tryAll(url, options, feeds, milliseconds) {
  let made, timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new pyruntime.RunError("no answer in time")), milliseconds);
  });
  const error = await caught(async () => {
    made = await Promise.race([runAll(url, options, feeds), late]);
  });
  clearTimeout(timer);
  return error ? { error } : made;
}

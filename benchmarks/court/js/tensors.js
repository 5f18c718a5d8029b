// Tensors in and out: safetensors files to typed arrays, outputs to base64 for the program that compares them.

const ARRAYS = {
  F32: ["float32", Float32Array],
  I64: ["int64", BigInt64Array],
  I32: ["int32", Int32Array],
  I8: ["int8", Int8Array],
  U8: ["uint8", Uint8Array],
  BOOL: ["bool", Uint8Array],
};

/** @returns `{ dtype, shape, data }` by name. */
export function decode(buffer) {
  const length = Number(new DataView(buffer).getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 8, length)));
  delete header.__metadata__;
  const tensor = ({ dtype, shape, data_offsets: [start, end] }) => {
    const [name, TypedArray] = ARRAYS[dtype];
    return { dtype: name, shape, data: new TypedArray(buffer.slice(8 + length + start, 8 + length + end)) };
  };
  return Object.fromEntries(Object.entries(header).map(([name, spec]) => [name, tensor(spec)]));
}

/** @param outputs `{ name, data }` in the model's order. */
export function encode(outputs) {
  return outputs.map(({ name, data }) => {
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return { name, array: data.constructor.name, base64: btoa(text) };
  });
}

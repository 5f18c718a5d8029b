// Copies of tensors in memory that was used before: to touch new pages takes longer than to copy into old ones.

/** A copy of some bytes, in given memory if that is large enough. */
export function copyInto(memory: ArrayBuffer | undefined, bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (!memory || memory.byteLength < bytes.length) return new Uint8Array(bytes);
  const copy = new Uint8Array(memory, 0, bytes.length);
  copy.set(bytes);
  return copy;
}

/** The memory of arrays that are no longer needed; of those that share one, or are but a part of one, nothing. */
export function memoryOf(arrays: readonly unknown[]): (ArrayBuffer | undefined)[] {
  const found = new Set<ArrayBuffer>();
  return arrays.map((data) => {
    if (!ArrayBuffer.isView(data) || !(data.buffer instanceof ArrayBuffer)) return undefined;
    const { buffer, byteLength } = data;
    if (!byteLength || byteLength !== buffer.byteLength || found.has(buffer)) return undefined;
    found.add(buffer);
    return buffer;
  });
}

/** The bytes of an output in a buffer of their own, for which spare memory of their size is taken from its holder. */
export function copyOut(bytes: Uint8Array, spare: ArrayBuffer | undefined): ArrayBuffer {
  if (!bytes.length || spare?.byteLength !== bytes.length) return new Uint8Array(bytes).buffer;
  // several times faster than a clone, where the engine knows it
  const taken = spare.transfer?.() ?? structuredClone(spare, { transfer: [spare] });
  return copyInto(taken, bytes).buffer;
}

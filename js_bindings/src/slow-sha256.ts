// SHA-256 in plain JavaScript, for pages whose origin is insecure (plain http): loaded there alone.

/** The first 32 bits of the fractional parts of the given roots of the first primes. */
function fractions(count: number, root: number): Int32Array {
  const primes: number[] = [];
  for (let n = 2; primes.length < count; n++) if (primes.every((p) => n % p)) primes.push(n);
  return Int32Array.from(primes, (p) => (p ** (1 / root) % 1) * 2 ** 32);
}

/** The digest, about a tenth as fast as the platform's. */
export function slowSha256(bytes: Uint8Array): Uint8Array {
  const constants = fractions(64, 3);
  const state = fractions(8, 2);
  const end = (bytes.length + 9 + 63) & ~63;
  const tail = new Uint8Array(end - (bytes.length & ~63));
  tail.set(bytes.subarray(bytes.length & ~63));
  tail[bytes.length & 63] = 0x80;
  new DataView(tail.buffer).setBigUint64(tail.length - 8, BigInt(bytes.length) * 8n);
  const words = new Int32Array(64);
  const whole = new DataView(bytes.buffer, bytes.byteOffset, bytes.length & ~63);
  for (const view of [whole, new DataView(tail.buffer)]) {
    for (let at = 0; at < view.byteLength; at += 64) {
      for (let i = 0; i < 16; i++) words[i] = view.getInt32(at + 4 * i);
      compress(state, words, constants);
    }
  }
  const digest = new DataView(new ArrayBuffer(32));
  state.forEach((word, i) => digest.setInt32(4 * i, word));
  return new Uint8Array(digest.buffer);
}

const rotate = (x: number, by: number): number => (x >>> by) | (x << (32 - by));

function compress(state: Int32Array, w: Int32Array, constants: Int32Array): void {
  for (let i = 16; i < 64; i++) {
    const x = w[i - 15]!;
    const y = w[i - 2]!;
    w[i] =
      w[i - 16]! +
      (rotate(x, 7) ^ rotate(x, 18) ^ (x >>> 3)) +
      w[i - 7]! +
      (rotate(y, 17) ^ rotate(y, 19) ^ (y >>> 10));
  }
  let [a, b, c, d, e, f, g, h] = state as unknown as [number, number, number, number, number, number, number, number];
  for (let i = 0; i < 64; i++) {
    const one = h + (rotate(e, 6) ^ rotate(e, 11) ^ rotate(e, 25)) + ((e & f) ^ (~e & g)) + constants[i]! + w[i]!;
    const two = (rotate(a, 2) ^ rotate(a, 13) ^ rotate(a, 22)) + ((a & b) ^ (a & c) ^ (b & c));
    [h, g, f, e, d, c, b, a] = [g, f, e, (d + one) | 0, c, b, a, (one + two) | 0];
  }
  [a, b, c, d, e, f, g, h].forEach((value, i) => (state[i] = state[i]! + value));
}

// float16 to float32 and back, in bulk, also in engines without Float16Array.

let table: Float32Array | undefined;

/** The float32 value of each of the 65,536 float16 patterns, made at first use. */
function values(): Float32Array {
  return (table ??= Float32Array.from({ length: 65536 }, (_, bits) => {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const sign = bits & 0x8000 ? -1 : 1;
    if (exponent === 31) return fraction ? NaN : sign * Infinity;
    return sign * (exponent ? (1024 + fraction) * 2 ** (exponent - 25) : fraction * 2 ** -24);
  }));
}

/** Float16 patterns as float32. */
export function widenHalf(bits: Uint16Array): Float32Array<ArrayBuffer> {
  const lookup = values();
  const wide = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) wide[i] = lookup[bits[i]!]!;
  return wide;
}

/** Float32 as float16 patterns, rounded to the nearest, ties to even; too large becomes infinite. */
export function narrowHalf(wide: Float32Array): Uint16Array<ArrayBuffer> {
  const words = new Uint32Array(wide.buffer, wide.byteOffset, wide.length);
  const bits = new Uint16Array(wide.length);
  for (let i = 0; i < bits.length; i++) {
    const word = words[i]!;
    const magnitude = word & 0x7fffffff;
    let half: number;
    if (magnitude > 0x7f800000)
      half = 0x7e00; // NaN
    else if (magnitude >= 0x477ff000)
      half = 0x7c00; // 65520 and more round to infinity
    else if (magnitude < 0x38800000) {
      half = roundEven(Math.abs(wide[i]!) * 2 ** 24); // subnormal: a multiple of 2^-24
    } else half = (magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13;
    bits[i] = ((word >>> 16) & 0x8000) | half;
  }
  return bits;
}

function roundEven(x: number): number {
  const floor = Math.floor(x);
  const rest = x - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** 16-bit floats kept as their bits in Uint16Array, since JavaScript has no array type for them everywhere yet. */

const scratch = new DataView(new ArrayBuffer(4));
let float16Values: Float32Array | undefined;

/** IEEE 754 half precision to single precision; exact. */
export function float16ToFloat32(bits: Uint16Array): Float32Array {
  float16Values ??= Float32Array.from({ length: 65536 }, (_, index) => float16Value(index));
  const result = new Float32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    result[i] = float16Values[bits[i]!]!;
  }
  return result;
}

/** Single to half precision, rounded to nearest, ties to even; what rounds beyond 65504 becomes infinite. */
export function float32ToFloat16(values: Float32Array): Uint16Array {
  const result = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) {
    result[i] = float16Bits(values[i]!);
  }
  return result;
}

/** bfloat16 (the upper half of a single-precision float) to single precision; exact. */
export function bfloat16ToFloat32(bits: Uint16Array): Float32Array {
  const words = new Uint32Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    words[i] = bits[i]! << 16;
  }
  return new Float32Array(words.buffer);
}

/** Single precision to bfloat16, rounded to nearest, ties to even. */
export function float32ToBfloat16(values: Float32Array): Uint16Array {
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const result = new Uint16Array(values.length);
  for (let i = 0; i < words.length; i++) {
    const word = words[i]!;
    // Rounding a NaN could carry into infinity, so it is cut instead.
    const notANumber = (word & 0x7fffffff) > 0x7f800000;
    result[i] = notANumber ? (word >>> 16) | 0x40 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  return result;
}

function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) {
    return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  }
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

function float16Bits(value: number): number {
  scratch.setFloat32(0, value);
  const word = scratch.getUint32(0);
  const sign = (word >>> 16) & 0x8000;
  const magnitude = word & 0x7fffffff;
  if (magnitude > 0x7f800000) {
    return sign | 0x7e00;
  }
  // 65520 lies halfway between the largest half, 65504, and the next power of two.
  if (magnitude >= 0x477ff000) {
    return sign | 0x7c00;
  }
  // Below 2^-14 halves are multiples of 2^-24.
  if (magnitude < 0x38800000) {
    return sign | roundToEven(Math.abs(value) * 2 ** 24);
  }
  return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1)) >>> 13);
}

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

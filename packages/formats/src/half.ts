/** 16-bit floats kept as their bits in Uint16Array, since JavaScript has no array type for them everywhere yet. */

export { float16FromNumbers as float32ToFloat16, float16ToFloat32 } from '@dawnchorus/tensor';

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

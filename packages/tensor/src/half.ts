/** IEEE 754 half precision as 16 bits in a Uint16Array, since JavaScript has no array type for it everywhere yet. */

const scratch = new Float64Array(1);
const words = new Uint32Array(scratch.buffer);
/** Float64Array holds its sign and exponent in the second word on little-endian machines, in the first on others. */
const highWord = new Uint8Array(Uint16Array.of(1).buffer)[0];
let values: Float32Array | undefined;

function roundToEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

/** The bits of the nearest half, ties to even; infinite from 65520, which lies halfway between 65504 and the next power of two. */
export function float16Bits(value: number): number {
  scratch[0] = value;
  const high = words[highWord];
  const sign = (high >>> 16) & 0x8000;
  const magnitude = Math.abs(value);
  if (Number.isNaN(magnitude)) return 0x7e00;
  if (magnitude >= 65520) return sign | 0x7c00;
  // Below 2^-14 halves are multiples of 2^-24. Scaling by a power of two is exact, so nothing is rounded twice, and a
  // fraction that rounds up to 2048 carries into the exponent by itself.
  const exponent = Math.max(-14, ((high >>> 20) & 0x7ff) - 1023);
  return sign | ((exponent + 14) * 1024 + roundToEven(magnitude * 2 ** (10 - exponent)));
}

/** The number that 16 bits stand for; exact. */
export function float16Value(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}

/** Numbers to half precision, rounded to nearest, ties to even; what rounds beyond 65504 becomes infinite. */
export function float16FromNumbers(numbers: ArrayLike<number>): Uint16Array<ArrayBuffer> {
  if (numbers instanceof Float32Array) return float16FromFloat32(numbers);
  const result = new Uint16Array(numbers.length);
  for (let i = 0; i < result.length; i++) result[i] = float16Bits(numbers[i]);
  return result;
}

/** The same, some twenty times as fast: between the smallest normal half and 65536 it takes a few operations on the bits. */
function float16FromFloat32(numbers: Float32Array): Uint16Array<ArrayBuffer> {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length);
  const result = new Uint16Array(bits.length);
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i] & 0x7fffffff;
    if (magnitude < 0x38800000 || magnitude >= 0x47800000) {
      result[i] = float16Bits(numbers[i]);
      continue;
    }
    // The exponent's bias goes from 127 to 15, and 13 bits of the fraction are rounded off, ties to even.
    const rounded = magnitude - 0x38000000 + 0xfff + ((magnitude >>> 13) & 1);
    result[i] = ((bits[i] >>> 16) & 0x8000) | (rounded >>> 13);
  }
  return result;
}

/** Half precision to single precision; exact. */
export function float16ToFloat32(bits: Uint16Array): Float32Array<ArrayBuffer> {
  values ??= Float32Array.from({ length: 65536 }, (_, index) => float16Value(index));
  const result = new Float32Array(bits.length);
  for (let i = 0; i < result.length; i++) result[i] = values[bits[i]];
  return result;
}

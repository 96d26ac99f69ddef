/** Elements of arrays: their types in files, the arrays that hold them in memory, and the way between the two. */
import { type Bytes, fill } from './bytes.ts';
import { type Fail, FormatError } from './error.ts';
import { bfloat16ToFloat32, float16ToFloat32 } from './half.ts';
import { allocate } from './memory.ts';

/** The array that holds each element type in memory: half-precision floats are widened, booleans are 0 or 1. */
export type ElementArrays = {
  F64: Float64Array;
  F32: Float32Array;
  F16: Float32Array;
  BF16: Float32Array;
  I64: BigInt64Array;
  I32: Int32Array;
  I16: Int16Array;
  I8: Int8Array;
  U64: BigUint64Array;
  U32: Uint32Array;
  U16: Uint16Array;
  U8: Uint8Array;
  BOOL: Uint8Array;
};

/** Element types by the names that safetensors gives them. */
export type ElementType = keyof ElementArrays;

/** An array of any element type. */
export type ElementArray = ElementArrays[ElementType];

/** Bytes an element takes in a file, and its array in memory. */
export const elementTypes = {
  F64: { bytes: 8, array: Float64Array },
  F32: { bytes: 4, array: Float32Array },
  F16: { bytes: 2, array: Float32Array },
  BF16: { bytes: 2, array: Float32Array },
  I64: { bytes: 8, array: BigInt64Array },
  I32: { bytes: 4, array: Int32Array },
  I16: { bytes: 2, array: Int16Array },
  I8: { bytes: 1, array: Int8Array },
  U64: { bytes: 8, array: BigUint64Array },
  U32: { bytes: 4, array: Uint32Array },
  U16: { bytes: 2, array: Uint16Array },
  U8: { bytes: 1, array: Uint8Array },
  BOOL: { bytes: 1, array: Uint8Array },
};

/** What elements may be converted to on reading, by the names of the tensor package's dtypes. */
export type ConvertedArrays = { f64: Float64Array; f32: Float32Array; i32: Int32Array; u32: Uint32Array };

/** Names of the dtypes that elements may be converted to on reading. */
export type Conversion = keyof ConvertedArrays;

const conversions = { f64: Float64Array, f32: Float32Array, i32: Int32Array, u32: Uint32Array };

/** Largest piece that is converted at once; a multiple of every element's size. */
const blockBytes = 1 << 18;

/** An array of `count` elements of `type`, as it is in memory, or as what it is converted to. */
export function allocateElements(type: ElementType, count: number, as?: Conversion): ElementArray {
  const array = as === undefined ? elementTypes[type].array : conversions[as];
  return new array(allocate(count * array.BYTES_PER_ELEMENT).buffer);
}

export function isConversion(as: unknown): as is Conversion | undefined {
  return as === undefined || (typeof as === 'string' && Object.hasOwn(conversions, as));
}

/**
 * Reads `count` elements that begin at byte `begin`, converting a block at a time.
 *
 * @param refuse - told of the first element that the conversion cannot hold.
 */
export async function readElements(
  bytes: Bytes,
  begin: number,
  count: number,
  type: { type: ElementType; bigEndian?: boolean; as?: Conversion },
  refuse: (value: number | bigint, index: number) => never,
): Promise<ElementArray> {
  const out = allocateElements(type.type, count, type.as);
  const size = elementTypes[type.type].bytes;
  const stored = type.type !== 'F16' && type.type !== 'BF16' && type.type !== 'BOOL';
  if (stored && type.as === undefined && !type.bigEndian) {
    await fill(bytes, begin, new Uint8Array(out.buffer));
    return out;
  }
  const total = count * size;
  const block = allocate(Math.min(blockBytes, total));
  let filled = 0;
  let done = 0;
  for await (const chunk of bytes.chunks(begin, begin + total)) {
    for (let used = 0; used < chunk.length; ) {
      const take = Math.min(block.length - filled, chunk.length - used);
      block.set(chunk.subarray(used, used + take), filled);
      used += take;
      filled += take;
      if (filled === block.length || done * size + filled === total) {
        if (type.bigEndian) swapBytes(block.subarray(0, filled), size);
        const part = inMemory(type.type, block, filled / size);
        convertElements(part, out, type.as, done, refuse);
        done += part.length;
        filled = 0;
      }
    }
  }
  return out;
}

/** Copies elements to `out` at `at`, converted to `as` if it is given. */
export function convertElements(
  from: ElementArray,
  out: ElementArray,
  as: Conversion | undefined,
  at: number,
  refuse: (value: number | bigint, index: number) => never,
): void {
  if (as === undefined) {
    (out as Float32Array).set(from as Float32Array, at);
    return;
  }
  const [low, high] = as === 'i32' ? [-(2 ** 31), 2 ** 31 - 1] : [0, 2 ** 32 - 1];
  const whole = as === 'i32' || as === 'u32';
  for (let i = 0; i < from.length; i++) {
    const value = Number(from[i]);
    // Written so that NaN is refused, too.
    if (whole && !(value >= low && value <= high && Number.isInteger(value))) refuse(from[i], at + i);
    out[at + i] = value;
  }
}

/** Elements of bytes that are in memory, in an array of their own. */
export function elementsOf(type: ElementType, bytes: Uint8Array, bigEndian: boolean): ElementArray {
  const block = allocate(bytes.length);
  block.set(bytes);
  if (bigEndian) swapBytes(block, elementTypes[type].bytes);
  return inMemory(type, block, bytes.length / elementTypes[type].bytes);
}

function inMemory(type: ElementType, block: Uint8Array<ArrayBuffer>, count: number): ElementArray {
  switch (type) {
    case 'F16':
      return float16ToFloat32(new Uint16Array(block.buffer, 0, count));
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(block.buffer, 0, count));
    case 'BOOL':
      return block.subarray(0, count).map((value) => (value === 0 ? 0 : 1));
    default:
      return new elementTypes[type].array(block.buffer, 0, count);
  }
}

function swapBytes(bytes: Uint8Array, size: number): void {
  for (let at = 0; size > 1 && at < bytes.length; at += size) bytes.subarray(at, at + size).reverse();
}

/** How many elements a shape holds. Fails where that is beyond what numbers count exactly. */
export function elementCount(shape: readonly number[], fail: Fail = throwFormatError): number {
  if (shape.includes(0)) return 0;
  let count = 1;
  for (const size of shape) count *= size;
  // Eight bytes an element must be countable, too. What is beyond 2^50 does not come back to below it.
  if (count > 2 ** 50) fail(`has shape [${shape.slice(0, 8)}], whose elements are too many to count`);
  return count;
}

function throwFormatError(problem: string): never {
  throw new FormatError(`a tensor ${problem}`);
}

export function isShape(shape: unknown): shape is number[] {
  return Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
}

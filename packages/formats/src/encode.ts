/** Arrays in memory to the bytes of a file. */
import { type ElementArray, type ElementType, elementTypes } from './elements.ts';
import { float32ToBfloat16, float32ToFloat16 } from './half.ts';

/** Elements that may be written as `T`: those it is read as, and some that it can be made of. */
export type Writable<T extends ElementType> = {
  F64: Float64Array | Float32Array;
  F32: Float32Array | Float64Array;
  F16: Float32Array;
  BF16: Float32Array;
  I64: BigInt64Array | Int32Array;
  I32: Int32Array;
  I16: Int16Array;
  I8: Int8Array;
  U64: BigUint64Array | Uint32Array;
  U32: Uint32Array;
  U16: Uint16Array;
  U8: Uint8Array;
  BOOL: Uint8Array;
}[T];

const alternatives: Partial<Record<ElementType, ElementArrayConstructor>> = {
  F64: Float32Array,
  F32: Float64Array,
  I64: Int32Array,
  U64: Uint32Array,
};

type ElementArrayConstructor = (typeof elementTypes)[ElementType]['array'];

/** Elements encoded at once when they are converted. */
const blockElements = 1 << 16;

/** What is wrong with `data` for `count` elements of `type`, if anything. */
export function problemWith(
  data: unknown,
  type: ElementType,
  count: number,
  shape: readonly number[],
): string | undefined {
  const expected = elementTypes[type].array;
  const other = alternatives[type];
  if (!(data instanceof expected) && !(other !== undefined && data instanceof other)) {
    const found = (data as object | undefined)?.constructor?.name ?? String(data);
    const names = other === undefined ? expected.name : `${expected.name} or ${other.name}`;
    return `is ${type}, so its data must be a ${names}, got ${found}`;
  }
  if (data.length !== count) return `has ${data.length} elements, but its shape [${shape}] takes ${count}`;
  if (type === 'BOOL' && (data as Uint8Array).some((value) => value > 1)) return 'is BOOL, so its data must be 0 or 1';
  return undefined;
}

/** The bytes of elements, little-endian, in pieces if they have to be converted. */
export function* encode(type: ElementType, data: ElementArray): Generator<Uint8Array, void, undefined> {
  if (data instanceof elementTypes[type].array && type !== 'F16' && type !== 'BF16') {
    yield bytesOf(data);
    return;
  }
  for (let at = 0; at < data.length; at += blockElements) {
    yield bytesOf(encodeBlock(type, data.subarray(at, at + blockElements)));
  }
}

function encodeBlock(type: ElementType, block: ElementArray): ArrayBufferView {
  switch (type) {
    case 'F16':
      return float32ToFloat16(block as Float32Array);
    case 'BF16':
      return float32ToBfloat16(block as Float32Array);
    case 'I64':
      return BigInt64Array.from(block as Int32Array, BigInt);
    case 'U64':
      return BigUint64Array.from(block as Uint32Array, BigInt);
    default:
      return new elementTypes[type].array(block as Float32Array);
  }
}

function bytesOf(data: ArrayBufferView): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

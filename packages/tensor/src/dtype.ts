import { float16Bits, float16Value } from './half.ts';

/**
 * Element types. `f16` is storage: it takes half the memory and bandwidth of f32, and everything is computed in f32; it
 * needs an adapter with the feature shader-f16. `bool` is stored as one u32 (0 or 1) an element, because WGSL cannot
 * store booleans.
 */
export type DType = 'f32' | 'f16' | 'i32' | 'u32' | 'bool';

/** What `data()` returns for each dtype. Halves come as f32, which holds them exactly: Float16Array is not everywhere. */
export interface TypedArrayOf {
  f32: Float32Array;
  f16: Float32Array;
  i32: Int32Array;
  u32: Uint32Array;
  bool: Uint8Array;
}

/** Bytes that an element takes on the GPU. */
export function bytesPerElement(dtype: DType): 2 | 4 {
  return dtype === 'f16' ? 2 : 4;
}

/** The WGSL type that holds an element in a storage buffer. */
export const wgslType: Record<DType, string> = { f32: 'f32', f16: 'f16', i32: 'i32', u32: 'u32', bool: 'u32' };

/** Dtypes of real numbers: those that gradients flow through. */
export function isFloat(dtype: DType): dtype is 'f32' | 'f16' {
  return dtype === 'f32' || dtype === 'f16';
}

/** Dtypes of whole numbers. */
export function isWhole(dtype: DType): dtype is 'i32' | 'u32' {
  return dtype === 'i32' || dtype === 'u32';
}

/** @throws TypeError for what is none, e.g. NumPy's names. */
export function checkDtype(operation: string, dtype: DType): void {
  if (!Object.hasOwn(wgslType, dtype)) {
    throw new TypeError(`${operation}: there is no dtype '${dtype}'; use f32, f16, i32, u32 or bool`);
  }
}

/** The dtype that an element is computed with: f32 for f16, else itself. */
export function workingDtype<D extends DType>(dtype: D): Exclude<D, 'f16'> | 'f32' {
  return dtype === 'f16' ? 'f32' : (dtype as Exclude<D, 'f16'>);
}

const rank: Record<DType, number> = { bool: 0, u32: 1, i32: 2, f16: 3, f32: 4 };

/** The dtype that two operands meet in: bool < u32 < i32 < f16 < f32, so whole numbers beside f16 become f16. */
export function promote(a: DType, b: DType): DType {
  return rank[a] >= rank[b] ? a : b;
}

/** The bits that represent a JavaScript number in a dtype, in the low end of 32. */
export function bitsOf(value: number, dtype: DType): number {
  if (dtype === 'f32') return new Uint32Array(Float32Array.of(value).buffer)[0];
  if (dtype === 'f16') return float16Bits(value);
  if (dtype === 'bool') return value ? 1 : 0;
  return value >>> 0;
}

/** WGSL of `fn fromBits(bits: u32) -> Element`, the way back from `bitsOf`. */
export function fromBits(dtype: DType): string {
  const value = dtype === 'f16' ? 'bitcast<vec2<f16>>(bits).x' : 'bitcast<Element>(bits)';
  return `fn fromBits(bits: u32) -> Element { return ${value}; }`;
}

/** The library of elementwise functions makes what no literal can say. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return 'someNan(0.0)';
  if (!Number.isFinite(value)) return `${value < 0 ? '-' : ''}infinity(0.0)`;
  return Object.is(value, -0) ? 'bitcast<f32>(0x80000000u)' : `f32(${value})`;
}

/** WGSL for a number. */
export function literalText(value: number, dtype: DType): string {
  if (dtype === 'i32') return `bitcast<i32>(${value >>> 0}u)`;
  if (dtype === 'u32') return `${value >>> 0}u`;
  if (dtype === 'bool') return value ? '1u' : '0u';
  // Rounded here, to nearest: compilers of WGSL may cut instead.
  const rounded = dtype === 'f16' ? float16Value(float16Bits(value)) : Math.fround(value);
  const text = floatText(rounded);
  return dtype === 'f16' ? `f16(${text})` : text;
}

/** Element types. `bool` is stored as one u32 (0 or 1) an element, because WGSL cannot store booleans. */
export type DType = 'f32' | 'i32' | 'u32' | 'bool';

/** What `data()` returns for each dtype. */
export interface TypedArrayOf {
  f32: Float32Array;
  i32: Int32Array;
  u32: Uint32Array;
  bool: Uint8Array;
}

export const bytesPerElement = 4;

/** The WGSL type that holds an element in a storage buffer. */
export const wgslType: Record<DType, string> = { f32: 'f32', i32: 'i32', u32: 'u32', bool: 'u32' };

const rank: Record<DType, number> = { bool: 0, u32: 1, i32: 2, f32: 3 };

/** The dtype that two operands meet in: bool < u32 < i32 < f32. */
export function promote(a: DType, b: DType): DType {
  return rank[a] >= rank[b] ? a : b;
}

/** The 32 bits that represent a JavaScript number in a dtype. */
export function bitsOf(value: number, dtype: DType): number {
  if (dtype === 'f32') return new Uint32Array(Float32Array.of(value).buffer)[0];
  if (dtype === 'bool') return value ? 1 : 0;
  return value >>> 0;
}

import type { DType } from '../../src/index.ts';
import { roundHalfEven } from './functions.ts';

/** A dense row-major array in f64, with the dtype that a tensor of it would have. */
export interface NDArray {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly data: Float64Array;
}

/**
 * What an operation should give. `scale` is the magnitude that the error of each element is relative to, where that is
 * larger than the element: the sum of |terms| of a sum, say.
 */
export interface Expected extends NDArray {
  readonly scale?: Float64Array;
  /** The contents mean nothing: only shape and dtype are checked. */
  readonly unchecked?: boolean;
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, extent) => product * extent, 1);

/** The nearest half, ties to even, by the definition: a multiple of the spacing of halves of this magnitude. */
export function toHalf(value: number): number {
  const magnitude = Math.abs(value);
  if (Number.isNaN(value) || magnitude === 0) return value;
  let spacing = 2 ** -24;
  while (spacing < 2 ** 5 && magnitude >= spacing * 2048) spacing *= 2;
  const rounded = spacing * roundHalfEven(magnitude / spacing);
  return Math.sign(value) * (rounded > 65504 ? Number.POSITIVE_INFINITY : rounded);
}

/** Whether the dtype holds whole numbers or booleans. */
export const isWhole = (dtype: DType): boolean => dtype !== 'f32' && dtype !== 'f16';

/** The value as the dtype holds it: floats rounded, integers wrapped. */
export function store(value: number, dtype: DType): number {
  if (dtype === 'f32') return Math.fround(value);
  if (dtype === 'f16') return toHalf(value);
  if (dtype === 'i32') return value | 0;
  if (dtype === 'u32') return value >>> 0;
  // NaN is true.
  return value === 0 ? 0 : 1;
}

/** Calls `body` for every index of a shape in row-major order. The index array is reused. */
export function eachIndex(shape: readonly number[], body: (index: readonly number[], flat: number) => void): void {
  const size = sizeOf(shape);
  const index = new Array<number>(shape.length).fill(0);
  for (let flat = 0; flat < size; flat++) {
    body(index, flat);
    for (let d = shape.length - 1; d >= 0 && ++index[d] === shape[d]; d--) index[d] = 0;
  }
}

export function build(
  shape: readonly number[],
  dtype: DType,
  value: (index: readonly number[], flat: number) => number,
): NDArray {
  const data = new Float64Array(sizeOf(shape));
  eachIndex(shape, (index, flat) => {
    data[flat] = value(index, flat);
  });
  return { dtype, shape: [...shape], data };
}

/** Where an index lies in the data; axes of extent 1 stretch, missing leading axes too. */
export function flatIndex(shape: readonly number[], index: readonly number[]): number {
  const lead = index.length - shape.length;
  let flat = 0;
  for (let d = 0; d < shape.length; d++) flat = flat * shape[d] + (shape[d] === 1 ? 0 : index[d + lead]);
  return flat;
}

export const at = (x: NDArray, index: readonly number[]): number => x.data[flatIndex(x.shape, index)];

export function broadcast(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, d) => {
    const extents = shapes.map((shape) => shape[d - rank + shape.length] ?? 1);
    return extents.find((extent) => extent !== 1) ?? 1;
  });
}

/** [outer, length, inner] around one axis. */
export function around(shape: readonly number[], axis: number): [outer: number, length: number, inner: number] {
  return [sizeOf(shape.slice(0, axis)), shape[axis], sizeOf(shape.slice(axis + 1))];
}

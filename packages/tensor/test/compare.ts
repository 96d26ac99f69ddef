import * as assert from 'uvu/assert';
import { type DType, isFloat, type Tensor } from '../src/index.ts';
import { type Expected, isWhole, toHalf } from './reference/array.ts';

/**
 * Errors are relative to the element or, where that is larger, to its `scale` (see Expected); 'peak' makes the largest
 * element of the output the scale.
 */
export interface Tolerance {
  relative: number;
  absolute?: number;
  peak?: boolean;
}

const FLOAT: Tolerance = { relative: 1e-5 };

/**
 * What rounding a result to f16 may cost on top of the tolerance, which is that of the f32 that it was computed in: half
 * a unit in the last place of eleven bits, or of the smallest half.
 */
const halfRounding = (value: number) => Math.max(2 ** -11 * Math.abs(value), 2 ** -25);

/** Of the largest element: sums that a compiled function takes in other parts, and halves that it rounds or does not. */
const COMPILED = { f32: 1e-6, f16: 8 * 2 ** -11 };

/**
 * Where what a compiled function made first differs from what the same operations make eagerly, or undefined. Whole numbers
 * are the same; floats to a share of the largest finite one, which for halves is what a few operations may round.
 */
export function differenceFromEager(
  compiled: ArrayLike<number>,
  eager: ArrayLike<number>,
  dtype: DType,
): string | undefined {
  const finite = Number.isFinite as (value: number) => boolean;
  const peak = Array.from(eager).reduce((most, value) => (finite(value) ? Math.max(most, Math.abs(value)) : most), 0);
  for (let i = 0; i < eager.length; i++) {
    const [got, want] = [compiled[i], eager[i]];
    if (Object.is(got, want) || got === want) continue;
    const allowed = isFloat(dtype) ? COMPILED[dtype] * peak : 0;
    if (!(Math.abs(got - want) <= allowed)) {
      return `element ${i} of ${eager.length} is ${got}, eagerly ${want}, over ${allowed} off`;
    }
  }
  return undefined;
}

/** Where the values first differ, or undefined. Integers and booleans are compared exactly, halves to half a unit in the last place more than the tolerance. */
export function difference(actual: ArrayLike<number>, expected: Expected, tolerance: Tolerance): string | undefined {
  const { data, dtype, scale } = expected;
  const peak = tolerance.peak ? data.reduce((a, b) => Math.max(a, Math.abs(b)), 0) : 0;
  for (let i = 0; i < data.length; i++) {
    const [got, want] = [actual[i], data[i]];
    if (got === want || (Number.isNaN(got) && Number.isNaN(want))) continue;
    if (dtype === 'f32' && got === Math.fround(want)) continue;
    if (dtype === 'f16' && got === toHalf(want)) continue;
    const magnitude = Math.max(Math.abs(want), scale?.[i] ?? 0, peak);
    let allowed = isWhole(dtype) ? 0 : tolerance.relative * magnitude + (tolerance.absolute ?? 0);
    // The error of the f32 result before it was rounded moves the place that is rounded.
    if (dtype === 'f16') allowed += halfRounding(Math.abs(want) + allowed);
    if (!(Math.abs(got - want) <= allowed)) {
      return `element ${i} of ${data.length} is ${got}, expected ${want} to within ${allowed}`;
    }
  }
  return undefined;
}

export async function assertMatches(what: string, out: Tensor, expected: Expected, tolerance = FLOAT): Promise<void> {
  assert.equal([...out.shape], [...expected.shape], `${what}: shape`);
  assert.is(out.dtype, expected.dtype, `${what}: dtype`);
  if (expected.unchecked) return;
  const problem = difference(await out.data(), expected, tolerance);
  if (problem) assert.unreachable(`${what}: ${problem}`);
}

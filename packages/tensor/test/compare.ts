import * as assert from 'uvu/assert';
import type { Tensor } from '../src/index.ts';
import type { Expected } from './reference/array.ts';

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

/** Where the values first differ, or undefined. Integers and booleans are compared exactly. */
export function difference(actual: ArrayLike<number>, expected: Expected, tolerance: Tolerance): string | undefined {
  const { data, dtype, scale } = expected;
  const peak = tolerance.peak ? data.reduce((a, b) => Math.max(a, Math.abs(b)), 0) : 0;
  for (let i = 0; i < data.length; i++) {
    const [got, want] = [actual[i], data[i]];
    if (got === want || (Number.isNaN(got) && Number.isNaN(want))) continue;
    if (dtype === 'f32' && got === Math.fround(want)) continue;
    const magnitude = Math.max(Math.abs(want), scale?.[i] ?? 0, peak);
    const allowed = dtype === 'f32' ? tolerance.relative * magnitude + (tolerance.absolute ?? 0) : 0;
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

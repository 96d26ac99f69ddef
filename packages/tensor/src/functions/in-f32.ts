import type { Tensor } from '../tensor.ts';
import { cast } from './elementwise.ts';

/**
 * What a function of f32 makes of x: of f16 in f32 throughout, and rounded once. Halves on the way would overflow, or lose
 * digits, where the result does not.
 */
export function inF32(x: Tensor, fn: (wide: Tensor) => Tensor): Tensor {
  return x.dtype === 'f16' ? cast(fn(cast(x, 'f32')), 'f16') : fn(x);
}

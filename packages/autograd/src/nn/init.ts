import { type DType, normal, ones, type Shape, type Tensor, uniform, zeros } from '@dawnchorus/tensor';
import { keep } from '../keep.ts';
import type { KeySequence } from './keys.ts';

/** A parameter drawn from a normal distribution of mean 0. */
export const initNormal = (shape: Shape, std: number, keys: KeySequence) =>
  keep(() => normal(shape, { std, ...keys.next() }));

/** A parameter drawn evenly between `low` and `high`. */
export const initUniform = (shape: Shape, low: number, high: number, keys: KeySequence) =>
  keep(() => uniform(shape, { low, high, ...keys.next() }));

/** A parameter of zeros. */
export const initZeros = (shape: Shape, dtype: DType = 'f32') => keep(() => zeros(shape, { dtype }));

/** A parameter of ones. */
export const initOnes = (shape: Shape) => keep(() => ones(shape));

/** PyTorch's default for linear and convolution weights: uniform in plus and minus 1 / sqrt(fanIn). */
export function initDefault(shape: Shape, fanIn: number, keys: KeySequence): Tensor {
  const bound = fanIn > 0 ? 1 / Math.sqrt(fanIn) : 0;
  return initUniform(shape, -bound, bound, keys);
}

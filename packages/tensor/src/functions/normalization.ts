import { apply } from '../apply.ts';
import { checkEps, checkOptions } from '../ops/arguments.ts';
import { normaliseAxis } from '../shape.ts';
import type { ShapeOf } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import { transpose } from './views.ts';

function overLastAxis(name: 'softmax' | 'logSoftmax', x: Tensor, dim: number): Tensor {
  if (x.rank === 0) return apply(name, [x], {})[0];
  const d = normaliseAxis(dim, x.rank, name);
  if (d === x.rank - 1) return apply(name, [x], {})[0];
  return transpose(apply(name, [transpose(x, d, -1)], {})[0], d, -1);
}

/** Along `dim`, the last axis by default. */
export function softmax<T extends Tensor>(x: T, options: { dim?: number } = {}): Tensor<ShapeOf<T>> {
  checkOptions('softmax', options, ['dim']);
  return overLastAxis('softmax', x, options.dim ?? -1);
}

/** log(softmax(x)) along `dim`, without overflow. */
export function logSoftmax<T extends Tensor>(x: T, options: { dim?: number } = {}): Tensor<ShapeOf<T>> {
  checkOptions('logSoftmax', options, ['dim']);
  return overLastAxis('logSoftmax', x, options.dim ?? -1);
}

/** Normalises the last axis to mean 0 and variance 1, then scales and shifts by weight and bias [features]. */
export function layerNorm<T extends Tensor>(
  x: T,
  weight: Tensor,
  bias: Tensor,
  options: { eps?: number } = {},
): Tensor<ShapeOf<T>> {
  checkOptions('layerNorm', options, ['eps']);
  const { eps = 1e-5 } = options;
  checkEps('layerNorm', eps);
  return apply('layerNorm', [x, weight, bias], { eps })[0];
}

/** [batch, channels, ...] normalised over each group of channels; weight and bias are [channels]. */
export function groupNorm(
  x: Tensor,
  groups: number,
  weight: Tensor,
  bias: Tensor,
  options: { eps?: number } = {},
): Tensor {
  checkOptions('groupNorm', options, ['eps']);
  const { eps = 1e-5 } = options;
  checkEps('groupNorm', eps);
  return apply('groupNorm', [x, weight, bias], { groups, eps })[0];
}

/**
 * g v / |v| (Salimans and Kingma, 2016): v [..., taps] made as long as g [1, ..., taps], the length taken over all axes but
 * the last. f16 where both are.
 */
export function weightNorm<T extends Tensor>(v: T, g: Tensor): Tensor<ShapeOf<T>> {
  return apply('weightNorm', [v, g], {})[0];
}

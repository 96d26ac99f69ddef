import { apply } from '../apply.ts';
import type { AxisOptions } from '../ops/arguments.ts';
import { normaliseAxes, normaliseAxis } from '../shape.ts';
import type { ReducedShape } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import { cast, mul, sub } from './elementwise.ts';

type Reduction = 'sum' | 'mean' | 'sumSquares' | 'max' | 'min';

const reduction =
  (name: Reduction) =>
  <T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    x: T,
    options?: O,
  ): Tensor<ReducedShape<T, O>> => {
    const { dim, keepdim = false }: AxisOptions = options ?? {};
    const input = x.dtype === 'bool' && name === 'sum' ? cast(x, 'i32') : x;
    return apply(name, [input], { axes: normaliseAxes(dim, x.rank, name), keepdim })[0];
  };

/** Over `dim`, or over everything. Booleans are counted. */
export const sum = reduction('sum');
export const mean = reduction('mean');
/** The sum of squares, in one pass. */
export const sumSquares = reduction('sumSquares');
export const max = reduction('max');
export const min = reduction('min');

/** Index (i32) of the largest element along `dim`, the first one on ties. */
export function argmax(x: Tensor, { dim, keepdim = false }: { dim: number; keepdim?: boolean }): Tensor {
  return apply('argmax', [x], { axis: normaliseAxis(dim, x.rank, 'argmax'), keepdim })[0];
}

/** Variance about the mean, in two passes, of f16 in f32; `correction` 1 (as in PyTorch) divides by n - 1. */
export function variance(
  x: Tensor,
  { correction = 1, ...options }: AxisOptions & { correction?: number } = {},
): Tensor {
  const axes = normaliseAxes(options.dim, x.rank, 'var');
  const count = axes.reduce((product, d) => product * x.shape[d], 1);
  if (count - correction <= 0) {
    throw new RangeError(`var: ${count} elements with correction ${correction} leave nothing to divide by`);
  }
  // A mean rounded to f16 would be off by more than some distributions are wide.
  const wide = x.dtype === 'f16' ? cast(x, 'f32') : x;
  const centred = sub(wide, mean(wide, { dim: axes, keepdim: true }));
  const result = mul(sumSquares(centred, { dim: axes, keepdim: options.keepdim }), 1 / (count - correction));
  return x.dtype === 'f16' ? cast(result, 'f16') : result;
}

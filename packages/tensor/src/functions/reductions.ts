import { apply } from '../apply.ts';
import type { AxisOptions } from '../ops/arguments.ts';
import { normaliseAxes, normaliseAxis } from '../shape.ts';
import type { ReducedShape } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import {
  abs,
  add,
  cast,
  eq,
  exp,
  gt,
  isFinite,
  log,
  logicalNot,
  mul,
  ne,
  pow,
  sqrt,
  sub,
  where,
} from './elementwise.ts';
import { detach, reshape, squeeze } from './views.ts';

type Reduction = 'sum' | 'mean' | 'sumSquares' | 'prod' | 'max' | 'min';

const reduction =
  (name: Reduction) =>
  <T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    x: T,
    options?: O,
  ): Tensor<ReducedShape<T, O>> => {
    const { dim, keepdim = false }: AxisOptions = options ?? {};
    const counts = name === 'sum' || name === 'prod';
    const input = x.dtype === 'bool' && counts ? cast(x, 'i32') : x;
    return apply(name, [input], { axes: normaliseAxes(dim, x.rank, name), keepdim })[0];
  };

/** Over `dim`, or over everything. Booleans are counted. */
export const sum = reduction('sum');
/** Over `dim`, or over everything. @throws TypeError for whole numbers: cast them first. */
export const mean = reduction('mean');
/** The sum of squares, in one pass. */
export const sumSquares = reduction('sumSquares');
/** The product; whole numbers wrap. Its gradient is right where elements are zero, too. */
export const prod = reduction('prod');
/** NaN where there is one among the elements. */
export const max = reduction('max');
/** NaN where there is one among the elements. */
export const min = reduction('min');

const extremePlace =
  (name: 'argmax' | 'argmin') =>
  (x: Tensor, { dim, keepdim = false }: { dim?: number; keepdim?: boolean } = {}): Tensor => {
    if (dim !== undefined) return apply(name, [x], { axis: normaliseAxis(dim, x.rank, name), keepdim })[0];
    const place = apply(name, [reshape(x, [x.size])], { axis: 0, keepdim: false })[0];
    return keepdim ? reshape(place, new Array(x.rank).fill(1)) : place;
  };

/** Index (i32) of the largest element along `dim`, or in row-major order; the first one on ties, and of NaN. */
export const argmax = extremePlace('argmax');
/** Index (i32) of the smallest element along `dim`, or in row-major order; the first one on ties, and of NaN. */
export const argmin = extremePlace('argmin');

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

/** The square root of the variance; `correction` 1 (as in PyTorch) divides by n - 1. */
export function std(x: Tensor, options: AxisOptions & { correction?: number } = {}): Tensor {
  return sqrt(variance(x, options));
}

/** How many elements are not 0 (i32). */
export function countNonzero(x: Tensor, options: AxisOptions = {}): Tensor {
  return sum(ne(x as Tensor, 0), options);
}

/** Whether any element is not 0 (NaN is not); false of nothing. */
export function any(x: Tensor, options: AxisOptions = {}): Tensor {
  return gt(countNonzero(x, options), 0);
}

/** Whether no element is 0; true of nothing. */
export function all(x: Tensor, options: AxisOptions = {}): Tensor {
  return eq(sum(logicalNot(x as Tensor), options), 0);
}

/**
 * The p-norm of all elements, or along `dim`: 2 by default, 1, Infinity, -Infinity, 0 (how many are not 0) or any other
 * number. The gradient of the 2-norm at zero is 0. Squares beyond the range of f32 are not saved from it.
 */
export function norm(x: Tensor, { p = 2, ...options }: AxisOptions & { p?: number } = {}): Tensor {
  if (p === 1) return sum(abs(x as Tensor), options);
  if (p === 2) {
    const squares: Tensor = sumSquares(x as Tensor, options);
    const none = eq(squares, 0);
    return where(none, 0, sqrt(where(none, 1, squares)));
  }
  if (p === Number.POSITIVE_INFINITY) return max(abs(x as Tensor), options);
  if (p === Number.NEGATIVE_INFINITY) return min(abs(x as Tensor), options);
  if (p === 0) return cast(countNonzero(x, options), x.dtype);
  if (Number.isNaN(p)) throw new RangeError('norm: p is NaN');
  return pow(sum(pow(abs(x as Tensor), p), options), 1 / p);
}

/** log(sum(exp(x))) of all elements, or along `dim`, without overflow; -Infinity where all elements are. */
export function logsumexp(x: Tensor, { dim, keepdim = false }: AxisOptions = {}): Tensor {
  const axes = normaliseAxes(dim, x.rank, 'logsumexp');
  const largest = detach(max(x as Tensor, { dim: axes, keepdim: true }) as Tensor);
  const centre = where(isFinite(largest), largest, 0);
  const total = add(log(sum(exp(sub(x, centre)), { dim: axes, keepdim: true })), centre) as Tensor;
  return keepdim ? total : squeeze(total, axes);
}

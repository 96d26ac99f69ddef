import { apply } from '../apply.ts';
import { type AxisOptions, checkAxisOptions, checkNumber, expectFloat } from '../ops/arguments.ts';
import { normaliseAxes, normaliseAxis } from '../shape.ts';
import type { OnlyAxisOptions, ReducedShape } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import {
  abs,
  add,
  cast,
  eq,
  exp,
  gt,
  isfinite,
  log,
  logicalNot,
  mul,
  ne,
  pow,
  sqrt,
  sub,
  where,
} from './elementwise.ts';
import { inF32 } from './in-f32.ts';
import { detach, reshape, squeeze } from './views.ts';

const axisOptions = ['dim', 'keepdim'];
const deviationOptions = [...axisOptions, 'correction'];

type Reduction = 'sum' | 'mean' | 'sumSquares' | 'prod' | 'max' | 'min';

const reduction =
  (name: Reduction) =>
  <T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    x: T,
    options?: O & OnlyAxisOptions<O>,
  ): Tensor<ReducedShape<T, O>> => {
    checkAxisOptions(name, options, axisOptions);
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
  (x: Tensor, options: { dim?: number; keepdim?: boolean } = {}): Tensor => {
    checkAxisOptions(name, options, axisOptions);
    const { dim, keepdim = false } = options;
    if (dim !== undefined) return apply(name, [x], { axis: normaliseAxis(dim, x.rank, name), keepdim })[0];
    const place = apply(name, [reshape(x, [x.size])], { axis: 0, keepdim: false })[0];
    return keepdim ? reshape(place, new Array(x.rank).fill(1)) : place;
  };

/** Index (i32) of the largest element along `dim`, or in row-major order; the first one on ties, and of NaN. */
export const argmax = extremePlace('argmax');
/** Index (i32) of the smallest element along `dim`, or in row-major order; the first one on ties, and of NaN. */
export const argmin = extremePlace('argmin');

function checkDeviation(name: string, options: AxisOptions & { correction?: number }): void {
  checkAxisOptions(name, options, deviationOptions);
  if (options.correction !== undefined) checkNumber(name, 'correction', options.correction);
}

/**
 * Variance about the mean, in two passes, of f16 in f32; `correction` 1 (as in PyTorch) divides by n - 1. NaN where that
 * leaves nothing to divide by.
 */
export function variance(x: Tensor, options: AxisOptions & { correction?: number } = {}): Tensor {
  checkDeviation('var', options);
  return varianceOf('var', x, options);
}

function varianceOf(
  name: string,
  x: Tensor,
  { correction = 1, ...options }: AxisOptions & { correction?: number },
  then = (result: Tensor) => result,
): Tensor {
  expectFloat(name, 'the input', x);
  const axes = normaliseAxes(options.dim, x.rank, name);
  const count = axes.reduce((product, d) => product * x.shape[d], 1);
  // A mean rounded to f16 would be off by more than some distributions are wide.
  return inF32(x, (wide) => {
    const centred = sub(wide, mean(wide, { dim: axes, keepdim: true }));
    const squares = sumSquares(centred, { dim: axes, keepdim: options.keepdim });
    return then(mul(squares, 1 / Math.max(0, count - correction)));
  });
}

/** The square root of the variance; `correction` 1 (as in PyTorch) divides by n - 1. */
export function std(x: Tensor, options: AxisOptions & { correction?: number } = {}): Tensor {
  checkDeviation('std', options);
  return varianceOf('std', x, options, rootOf);
}

/** The square root, whose gradient at 0 is 0, as PyTorch's deviations and norms have it. */
function rootOf(squares: Tensor): Tensor {
  const none = eq(squares, 0);
  return where(none, 0, sqrt(where(none, 1, squares)));
}

/** Axes that have been checked in the name of a function that reduces by others. */
function named(name: string, x: Tensor, options: AxisOptions): AxisOptions {
  checkAxisOptions(name, options, axisOptions);
  return { dim: normaliseAxes(options.dim, x.rank, name), keepdim: options.keepdim };
}

/** How many elements are not 0 (i32). */
export function countNonzero(x: Tensor, options: AxisOptions = {}): Tensor {
  return sum(ne(x as Tensor, 0), named('countNonzero', x, options));
}

/** Whether any element is not 0 (NaN is not); false of nothing. */
export function any(x: Tensor, options: AxisOptions = {}): Tensor {
  return gt(countNonzero(x, named('any', x, options)), 0);
}

/** Whether no element is 0; true of nothing. */
export function all(x: Tensor, options: AxisOptions = {}): Tensor {
  return eq(sum(logicalNot(x as Tensor), named('all', x, options)), 0);
}

/**
 * The p-norm of all elements, or along `dim`: 2 by default, 1, Infinity, -Infinity, 0 (how many are not 0) or any other
 * number, in f32. The gradient at zero is 0. Squares beyond the range of f32 are not saved from it.
 */
export function norm(x: Tensor, given: AxisOptions & { p?: number } = {}): Tensor {
  checkAxisOptions('norm', given, [...axisOptions, 'p']);
  const { p = 2, ...own } = given;
  if (typeof p !== 'number' || Number.isNaN(p)) throw new RangeError(`norm: p is ${p}; expected a number or Infinity`);
  const options = named('norm', x, own);
  return inF32(x, (wide) => normOf(wide, p, options));
}

function normOf(x: Tensor, p: number, options: AxisOptions): Tensor {
  if (p === 1) return sum(abs(x as Tensor), options);
  if (p === 2) {
    return rootOf(sumSquares(x as Tensor, options));
  }
  if (p === Number.POSITIVE_INFINITY) return max(abs(x as Tensor), options);
  if (p === Number.NEGATIVE_INFINITY) return min(abs(x as Tensor), options);
  if (p === 0) return cast(countNonzero(x, options), x.dtype);
  const sizes = abs(x as Tensor);
  if (p < 0) return pow(sum(pow(sizes, p), options), 1 / p);
  // Powers below 1 have no slope at 0.
  const isZero = eq(sizes, 0);
  const total = sum(p < 1 ? where(isZero, 0, pow(where(isZero, 1, sizes), p)) : pow(sizes, p), options);
  const none = eq(total, 0);
  return where(none, 0, pow(where(none, 1, total), 1 / p));
}

/** log(sum(exp(x))) of all elements, or along `dim`, without overflow; -Infinity where all elements are, or none is there. */
export function logsumexp(x: Tensor, options: AxisOptions = {}): Tensor {
  checkAxisOptions('logsumexp', options, axisOptions);
  const { dim, keepdim = false } = options;
  const axes = normaliseAxes(dim, x.rank, 'logsumexp');
  if (axes.some((d) => x.shape[d] === 0)) return log(sum(exp(x), { dim: axes, keepdim }));
  return inF32(x, (wide) => {
    const largest = detach(max(wide, { dim: axes, keepdim: true }) as Tensor);
    const centre = where(isfinite(largest), largest, 0);
    const total = add(log(sum(exp(sub(wide, centre)), { dim: axes, keepdim: true })), centre) as Tensor;
    return keepdim ? total : squeeze(total, axes);
  });
}

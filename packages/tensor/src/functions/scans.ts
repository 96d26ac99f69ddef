import { apply } from '../apply.ts';
import { isFloat } from '../dtype.ts';
import { checkBoolean, checkOptions, checkWhole } from '../ops/arguments.ts';
import { formatShape, normaliseAxis, type Shape } from '../shape.ts';
import type { ShapeOf } from '../shape-types.ts';
import { ones, type Tensor, zeros } from '../tensor.ts';
import { asIndex } from './as-index.ts';
import { cast, mul } from './elementwise.ts';
import { concat } from './indexing.ts';
import { sliceAxis } from './views.ts';

/** Along which axis a scan runs. */
export interface ScanOptions {
  dim: number;
  /** From the end of the axis to its start. */
  reverse?: boolean;
}

function scanOptions(name: string, options: ScanOptions): Required<ScanOptions> {
  checkOptions(name, options, ['dim', 'reverse'], ['dim']);
  const { dim, reverse = false } = options;
  checkBoolean(name, 'reverse', reverse);
  return { dim, reverse };
}

/** Sums of everything up to each element along `dim`; sums are in f32, whole numbers wrap, booleans are counted. */
export function cumsum<T extends Tensor>(x: T, options: ScanOptions): Tensor<ShapeOf<T>> {
  const { dim, reverse } = scanOptions('cumsum', options);
  const axis = normaliseAxis(dim, x.rank, 'cumsum');
  return apply('cumsum', [x.dtype === 'bool' ? cast(x as Tensor, 'i32') : x], { axis, reverse })[0];
}

/**
 * h[t] = factors[t] h[t - 1] + x[t] along `dim`, from h = 0; factors and x have one shape. It is an exponential moving
 * average, a one-pole filter, or the state of a linear recurrent layer, in parallel over chunks of the axis.
 */
export function linearRecurrence(factors: Tensor, x: Tensor, options: ScanOptions): Tensor {
  const { dim, reverse } = scanOptions('linearRecurrence', options);
  const axis = normaliseAxis(dim, x.rank, 'linearRecurrence');
  return apply('linearRecurrence', [factors, x], { axis, reverse })[0];
}

/**
 * Products of everything up to each element along `dim`: of floats in f32, and whole numbers wrap; booleans count. The
 * gradient is right where elements are zero, too.
 */
export function cumprod(x: Tensor, options: ScanOptions): Tensor {
  const { dim, reverse } = scanOptions('cumprod', options);
  const axis = normaliseAxis(dim, x.rank, 'cumprod');
  if (x.dtype === 'bool') return cumprod(cast(x, 'i32'), { dim, reverse });
  const extent = x.shape[axis];
  if (extent === 0) return x;
  if (!isFloat(x.dtype)) return wholeProducts(x, axis, reverse);
  const shape = (own: number): Shape => x.shape.map((other, d) => (d === axis ? own : other));
  const like = { dtype: x.dtype, device: x.device };
  // The first element starts the recurrence, which the others multiply.
  const first = reverse ? sliceAxis(x, axis, extent - 1) : sliceAxis(x, axis, 0, 1);
  const others = reverse ? sliceAxis(x, axis, 0, extent - 1) : sliceAxis(x, axis, 1);
  const join = (start: Tensor, rest: Tensor) => concat(reverse ? [rest, start] : [start, rest], axis);
  return apply('linearRecurrence', [join(ones(shape(1), like), others), join(first, zeros(shape(extent - 1), like))], {
    axis,
    reverse,
  })[0];
}

/** Each element takes in the product of as many before it as it has of its own: log2(n) steps (Hillis and Steele, 1986). */
function wholeProducts(x: Tensor, axis: number, reverse: boolean): Tensor {
  const extent = x.shape[axis];
  let products = x;
  for (let step = 1; step < extent; step *= 2) {
    const none = ones(
      x.shape.map((own, d) => (d === axis ? step : own)),
      { dtype: x.dtype, device: x.device },
    );
    const others = reverse ? sliceAxis(products, axis, step) : sliceAxis(products, axis, 0, extent - step);
    products = mul(products, concat(reverse ? [others, none] : [none, others], axis)) as Tensor;
  }
  return products;
}

/**
 * Sums the rows of x [n, ...] whose ids [n] (i32 or u32) are equal: row i of the result [count, ...] is the sum of those with id i,
 * in their order, so that the same rows give the same bits. Ids outside 0..count-1 are left out.
 */
export function segmentSum(x: Tensor, ids: Tensor, options: { count: number }): Tensor {
  checkOptions('segmentSum', options, ['count'], ['count']);
  const { count } = options;
  if (x.rank === 0) throw new RangeError('segmentSum: a scalar has no rows');
  if (!Number.isInteger(count) || count < 0) throw new RangeError(`segmentSum: a count of ${count} is no whole number`);
  if (ids.rank !== 1 || ids.shape[0] !== x.shape[0]) {
    throw new RangeError(
      `segmentSum: ids ${formatShape(ids.shape)} must name a segment for each row of ${formatShape(x.shape)}`,
    );
  }
  return apply('indexAdd', [x, asIndex('segmentSum', 'the ids are', ids)], { axis: 0, extent: count })[0];
}

/** How often each of 0..count-1 occurs in x [n] (i32 or u32), or the sum of its weights [n]. Others are left out. */
export function bincount(x: Tensor, options: { count: number; weights?: Tensor }): Tensor {
  checkOptions('bincount', options, ['count', 'weights'], ['count']);
  const { count, weights } = options;
  checkWhole('bincount', 'count', count, 0);
  asIndex('bincount', 'x is', x);
  return segmentSum(weights ?? ones(x.shape, { dtype: 'i32', device: x.device }), x, { count });
}

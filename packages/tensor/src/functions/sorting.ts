import { apply } from '../apply.ts';
import { isFloat } from '../dtype.ts';
import { checkAxisOptions, checkBoolean, checkOptions } from '../ops/arguments.ts';
import { formatShape, normaliseAxis, valueText } from '../shape.ts';
import type { ShapeOf } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import { add, cast, isnan, mul, where } from './elementwise.ts';
import { gather } from './indexing.ts';
import { max } from './reductions.ts';
import { select } from './slicing.ts';
import { reshape, sliceAxis, unsqueeze } from './views.ts';

/** Along which axis is sorted, and in which order. */
export interface SortOptions {
  /** The last axis by default. */
  dim?: number;
  descending?: boolean;
}

/** Elements and the places (i32) along the axis that they come from. */
export interface Sorted {
  values: Tensor;
  indices: Tensor;
}

/**
 * The places (i32) that the elements along `dim` come from when they are sorted. Equal elements keep their order. NaN counts
 * as larger than everything: it comes last, and first where `descending`.
 */
export function argsort<T extends Tensor>(x: T, options: SortOptions = {}): Tensor<ShapeOf<T>> {
  checkOptions('argsort', options, ['dim', 'descending']);
  const { dim = -1, descending = false } = options;
  checkBoolean('argsort', 'descending', descending);
  return apply('argsort', [x], { axis: normaliseAxis(dim, x.rank, 'argsort'), descending })[0];
}

/** The elements along `dim` in order, as `argsort` puts them. Gradients flow through the values. */
export function sort(x: Tensor, options: SortOptions = {}): Sorted {
  checkOptions('sort', options, ['dim', 'descending']);
  const { dim = -1, descending = false } = options;
  checkBoolean('sort', 'descending', descending);
  const axis = normaliseAxis(dim, x.rank, 'sort');
  const indices: Tensor = argsort(x as Tensor, { dim: axis, descending });
  return { values: gather(x, axis, indices), indices };
}

/** The k largest elements along `dim`, the largest first, or the k smallest; NaN counts as larger than everything. */
export function topk(x: Tensor, k: number, options: { dim?: number; largest?: boolean } = {}): Sorted {
  checkOptions('topk', options, ['dim', 'largest']);
  const { dim = -1, largest = true } = options;
  checkBoolean('topk', 'largest', largest);
  const axis = normaliseAxis(dim, x.rank, 'topk');
  if (!Number.isInteger(k) || k < 0 || k > x.shape[axis]) {
    throw new RangeError(`topk: ${k} elements of axis ${axis} of ${formatShape(x.shape)}; use 0..${x.shape[axis]}`);
  }
  const indices = sliceAxis(argsort(x as Tensor, { dim: axis, descending: largest }), axis, 0, k);
  return { values: gather(x, axis, indices), indices };
}

/** NaN where there is one along the axis. */
function spoilt(x: Tensor, axis: number, value: Tensor): Tensor {
  return isFloat(x.dtype) ? where(cast(max(cast(isnan(x), 'i32'), { dim: axis }), 'bool'), Number.NaN, value) : value;
}

function sorted(name: string, x: Tensor, dim: number): { axis: number; values: Tensor; last: number } {
  const axis = normaliseAxis(dim, x.rank, name);
  if (x.shape[axis] === 0) throw new RangeError(`${name}: ${formatShape(x.shape)} has no elements along axis ${axis}`);
  return { axis, values: sort(x, { dim: axis }).values, last: x.shape[axis] - 1 };
}

/** The elements in row-major order; the axes that are left of them if they are to be kept. */
const allOf = (x: Tensor): Tensor => reshape(x, [x.size]);
const allKept = (x: Tensor, value: Tensor, keepdim: boolean): Tensor =>
  keepdim ? reshape(value, new Array(x.rank).fill(1)) : value;

/** The middle element along `dim`, or of all, the lower one of two, as in PyTorch; NaN where there is one among them. */
export function median(x: Tensor, options: { dim?: number; keepdim?: boolean } = {}): Tensor {
  checkAxisOptions('median', options, ['dim', 'keepdim']);
  const { dim, keepdim = false } = options;
  if (dim === undefined) return allKept(x, median(allOf(x), { dim: 0 }), keepdim);
  const { axis, values, last } = sorted('median', x, dim);
  const middle = spoilt(x, axis, select(values, axis, Math.floor(last / 2)));
  return keepdim ? unsqueeze(middle, axis) : middle;
}

/**
 * The value along `dim`, or of all elements, that a share q (0..1) of the elements lies below, with straight lines between neighbours, as in
 * NumPy; NaN where there is one among them.
 */
export function quantile(x: Tensor, q: number, options: { dim?: number; keepdim?: boolean } = {}): Tensor {
  checkAxisOptions('quantile', options, ['dim', 'keepdim']);
  const { dim, keepdim = false } = options;
  if (typeof q !== 'number') {
    throw new TypeError(
      `quantile: q is ${valueText(q)}; expected a number in 0..1; for several, call it for each of them`,
    );
  }
  if (dim === undefined) return allKept(x, quantile(allOf(x), q, { dim: 0 }), keepdim);
  if (!(q >= 0 && q <= 1)) throw new RangeError(`quantile: ${q} is not in 0..1`);
  const { axis, values, last } = sorted('quantile', isFloat(x.dtype) ? x : cast(x, 'f32'), dim);
  const place = q * last;
  const below = Math.floor(place);
  const share = place - below;
  const low = select(values, axis, below);
  const between = share === 0 ? low : add(mul(low, 1 - share), mul(select(values, axis, below + 1), share));
  const value = spoilt(x, axis, between);
  return keepdim ? unsqueeze(value, axis) : value;
}

/**
 * Where each value would be put into a sorted row so that it stays sorted: how many elements are below it, or with `right`
 * not above it (i32). sorted is [n] for any values, or [..., n] for values [..., m].
 */
export function searchSorted(sorted: Tensor, values: Tensor, options: { right?: boolean } = {}): Tensor {
  checkOptions('searchSorted', options, ['right']);
  const { right = false } = options;
  checkBoolean('searchSorted', 'right', right);
  return apply('searchSorted', [sorted, values], { right })[0];
}

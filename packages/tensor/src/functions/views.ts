import { apply } from '../apply.ts';
import { checkAlive } from '../ops/arguments.ts';
import { reshapedStrides, resolveShape } from '../ops/views.ts';
import {
  checkIsArray,
  formatShape,
  normaliseAxes,
  normaliseAxis,
  type Shape,
  sameShape,
  sizeOf,
  valueText,
} from '../shape.ts';
import type { PermutedShape, ReshapedShape, ShapeOf, TransposedShape } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';

// Other ways to look at the same elements, without a copy.

/** The same tensor where it is dense and row-major, else a dense copy. */
export function contiguous<T extends Tensor>(x: T): Tensor<ShapeOf<T>> {
  checkAlive('contiguous', x);
  return x.contiguous ? x : apply('contiguous', [x], {})[0];
}

/** The same elements in another shape; one extent may be -1. A copy only where the strides leave no other way. */
export function reshape<const N extends Shape>(x: Tensor, shape: N): Tensor<ReshapedShape<N>> {
  checkAlive('reshape', x);
  const target = resolveShape(x.size, shape, x.shape);
  if (sameShape(target, x.shape)) return x;
  const viewable = reshapedStrides(x.shape, x.strides, target) !== undefined;
  return apply('reshape', [viewable ? x : contiguous(x)], { shape: target })[0];
}

/** Axes in another order. */
export function permute<T extends Tensor, const P extends readonly number[]>(
  x: T,
  axes: P,
): Tensor<PermutedShape<T, P>> {
  return apply('permute', [x], { axes })[0];
}

/** Swaps two axes, the last two by default. */
export function transpose<T extends Tensor, A extends number = -2, B extends number = -1>(
  x: T,
  a: A | -2 = -2,
  b: B | -1 = -1,
): Tensor<TransposedShape<T, A, B>> {
  const axes = x.shape.map((_, d) => d);
  const from = normaliseAxis(a, x.rank, 'transpose');
  const to = normaliseAxis(b, x.rank, 'transpose');
  [axes[from], axes[to]] = [axes[to], axes[from]];
  return permute(x, axes);
}

/** Elements start, start + step, … below end of one axis; negative bounds count from the end. */
export function sliceAxis(x: Tensor, axis: number, start: number, end?: number, step = 1): Tensor {
  const d = normaliseAxis(axis, x.rank, 'sliceAxis');
  const extent = x.shape[d];
  if (!Number.isInteger(step) || step < 1)
    throw new RangeError(`sliceAxis: step ${step}; expected a whole number from 1`);
  for (const value of [start, end ?? 0]) {
    if (!Number.isInteger(value) && Math.abs(value) !== Number.POSITIVE_INFINITY) {
      throw new RangeError(`sliceAxis: bound ${valueText(value)} of axis ${d} is no whole number`);
    }
  }
  const bound = (value: number) => Math.min(extent, Math.max(0, value < 0 ? value + extent : value));
  return apply('slice', [x], { axis: d, start: bound(start), end: bound(end ?? extent), step })[0];
}

/** Stretches axes of extent 1 to `shape` without a copy. An extent of -1 stays as it is. */
export function expand<const N extends Shape>(x: Tensor, shape: N): Tensor<ReshapedShape<N>> {
  checkAlive('expand', x);
  checkIsArray('expand', shape);
  const lead = shape.length - x.rank;
  const target = shape.map((extent, d) => (extent === -1 && d >= lead ? x.shape[d - lead] : extent));
  return sameShape(x.shape, target) ? x : apply('expand', [x], { shape: target })[0];
}

/** Axes of extent 1 before those of x; several are counted in the result. */
export function unsqueeze(x: Tensor, dim: number | readonly number[]): Tensor {
  const list = typeof dim === 'number' ? [dim] : dim;
  checkIsArray('unsqueeze', list, 'give an axis, or several as [0, 2]');
  const rank = x.rank + list.length;
  const axes = new Set(list.map((axis) => normaliseAxis(axis, rank, 'unsqueeze')));
  if (axes.size !== list.length) throw new RangeError(`unsqueeze: an axis was given twice in [${list}]`);
  let from = 0;
  return reshape(
    x,
    Array.from({ length: rank }, (_, d) => (axes.has(d) ? 1 : x.shape[from++])),
  );
}

/**
 * Drops one axis of extent 1, or several, or all of them by default.
 *
 * @throws RangeError when an axis that was named has another extent.
 */
export function squeeze(x: Tensor, dim?: number | readonly number[]): Tensor {
  const axes =
    dim === undefined
      ? x.shape.flatMap((extent, d) => (extent === 1 ? [d] : []))
      : normaliseAxes(dim, x.rank, 'squeeze');
  const wide = axes.find((d) => x.shape[d] !== 1);
  if (wide !== undefined) {
    throw new RangeError(`squeeze: axis ${wide} of ${formatShape(x.shape)} has extent ${x.shape[wide]}, not 1`);
  }
  return reshape(
    x,
    x.shape.filter((_, d) => !axes.includes(d)),
  );
}

/** Axes start..end as one, by default all of them. */
export function flatten(x: Tensor, start = 0, end = -1): Tensor {
  if (x.rank === 0) return reshape(x, [1]);
  const [from, to] = [normaliseAxis(start, x.rank, 'flatten'), normaliseAxis(end, x.rank, 'flatten')];
  if (from > to) throw new RangeError(`flatten: axis ${start} of ${formatShape(x.shape)} comes after axis ${end}`);
  return reshape(x, [...x.shape.slice(0, from), sizeOf(x.shape.slice(from, to + 1)), ...x.shape.slice(to + 1)]);
}

/** One axis as several; one of their extents may be -1. */
export function unflatten(x: Tensor, dim: number, shape: Shape): Tensor {
  const d = normaliseAxis(dim, x.rank, 'unflatten');
  const known = sizeOf(shape.filter((extent) => extent !== -1));
  const extents = shape.map((extent) => (extent === -1 ? x.shape[d] / known : extent));
  if (sizeOf(extents) !== x.shape[d] || !extents.every(Number.isInteger)) {
    throw new RangeError(`unflatten: axis ${d} of ${formatShape(x.shape)} does not divide into ${formatShape(shape)}`);
  }
  return reshape(x, [...x.shape.slice(0, d), ...extents, ...x.shape.slice(d + 1)]);
}

/** Moves axes to other places; the rest keep their order. */
export function movedim(x: Tensor, from: number | readonly number[], to: number | readonly number[]): Tensor {
  const axes = (list: number | readonly number[]) => {
    const all = (typeof list === 'number' ? [list] : list).map((axis) => normaliseAxis(axis, x.rank, 'movedim'));
    if (new Set(all).size !== all.length) throw new RangeError(`movedim: an axis was given twice in [${list}]`);
    return all;
  };
  const [sources, targets] = [axes(from), axes(to)];
  if (sources.length !== targets.length) {
    throw new RangeError(`movedim: [${from}] and [${to}] must name as many axes`);
  }
  const rest = x.shape.map((_, d) => d).filter((d) => !sources.includes(d));
  const order = x.shape.map((_, d) => (targets.includes(d) ? sources[targets.indexOf(d)] : -1));
  return permute(
    x,
    order.map((axis) => (axis < 0 ? (rest.shift() as number) : axis)),
  );
}

/**
 * Frames of `size` elements along `dim`, `step` apart: a view of [..., frames, ..., size], where the axis counts the
 * frames, floor((extent - size) / step) + 1 of them, and their elements are a new last axis. PyTorch's `Tensor.unfold`.
 *
 * @throws RangeError when size or step is no whole number from 1, or the size is over the axis.
 */
export function unfold(x: Tensor, dim: number, size: number, step: number): Tensor {
  return apply('unfold', [x], { axis: normaliseAxis(dim, x.rank, 'unfold'), size, step })[0];
}

/** PyTorch's other name of `expand`. */
export const broadcastTo = expand;

/** The same elements, through which no gradient flows. */
export function detach<T extends Tensor>(x: T): Tensor<ShapeOf<T>> {
  return apply('detach', [x], {})[0];
}

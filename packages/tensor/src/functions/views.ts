import { apply } from '../apply.ts';
import { reshapedStrides, resolveShape } from '../ops/views.ts';
import { formatShape, normaliseAxis, type Shape, sameShape } from '../shape.ts';
import type { Literal, PermutedShape, ReshapedShape, ShapeOf, TransposedShape } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';

// Other ways to look at the same elements, without a copy.

/** The same tensor where it is dense and row-major, else a dense copy. */
export function contiguous<T extends Tensor>(x: T): Tensor<ShapeOf<T>> {
  return x.contiguous ? x : apply('contiguous', [x], {})[0];
}

/** The same elements in another shape; one extent may be -1. A copy only where the strides leave no other way. */
export function reshape<const N extends Shape>(x: Tensor, shape: N): Tensor<ReshapedShape<N>> {
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
    if (Number.isNaN(value) || (Number.isFinite(value) && !Number.isInteger(value))) {
      throw new RangeError(`sliceAxis: bound ${value} of axis ${d} is no whole number`);
    }
  }
  const bound = (value: number) => Math.min(extent, Math.max(0, value < 0 ? value + extent : value));
  return apply('slice', [x], { axis: d, start: bound(start), end: bound(end ?? extent), step })[0];
}

/** Stretches axes of extent 1 to `shape` without a copy. */
export function expand<const N extends Shape>(x: Tensor, shape: N): Tensor<Literal<N>> {
  return sameShape(x.shape, shape) ? x : apply('expand', [x], { shape: [...shape] })[0];
}

export function unsqueeze(x: Tensor, axis: number): Tensor {
  const d = normaliseAxis(axis, x.rank + 1, 'unsqueeze');
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

export function squeeze(x: Tensor, axis: number): Tensor {
  const d = normaliseAxis(axis, x.rank, 'squeeze');
  if (x.shape[d] !== 1)
    throw new RangeError(`squeeze: axis ${d} of ${formatShape(x.shape)} has extent ${x.shape[d]}, not 1`);
  return reshape(
    x,
    x.shape.filter((_, i) => i !== d),
  );
}

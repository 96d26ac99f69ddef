import { broadcastShapes, formatShape, normaliseAxis } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { flip } from './arranging.ts';
import { add, cast, ge, logicalAnd, lt, mul, where } from './elementwise.ts';
import { indexSelect } from './indexing.ts';
import { expand, permute, reshape, sliceAxis } from './views.ts';

/**
 * What `slice` takes along one axis.
 *
 *   3               the element at 3, and the axis goes; negative numbers count from the end
 *   []              everything
 *   [1]             from 1 on
 *   [1, 3]          from 1 up to but not including 3; null leaves a bound open, negative ones count from the end
 *   [null, null, 2] every second one; a negative step goes backwards
 *   null            a new axis of extent 1
 *   '...'           as many [] as there are axes left
 *   a tensor        of i32 or u32: the elements that it names, in its shape
 */
export type Index = number | null | '...' | readonly (number | null)[] | Tensor;

/** An axis of x after the ranges have been cut, or a new one. */
type Part =
  | { readonly kind: 'new' }
  | { readonly kind: 'range' | 'number'; readonly axis: number }
  | { readonly kind: 'tensor'; readonly axis: number; readonly index: Tensor };

function checkWhole(value: number | null, axis: number, shape: readonly number[]): void {
  if (value === null || Number.isInteger(value)) return;
  throw new RangeError(`slice: bound ${value} of axis ${axis} of ${formatShape(shape)} is no whole number`);
}

/** Python's slice of one axis; bounds beyond the ends are cut to them. */
function cutRange(x: Tensor, axis: number, range: readonly (number | null)[]): Tensor {
  if (range.length > 3)
    throw new RangeError(`slice: [${range}] has ${range.length} parts; expected [start, end, step]`);
  for (const value of range) checkWhole(value, axis, x.shape);
  const [start = null, end = null, step] = range;
  const by = step ?? 1;
  if (by === 0) throw new RangeError(`slice: step 0 of axis ${axis}; expected a whole number other than 0`);
  if (by > 0) {
    if (start === null && end === null && by === 1) return x;
    return sliceAxis(x, axis, start ?? 0, end ?? undefined, by);
  }
  const extent = x.shape[axis];
  const bound = (value: number) => Math.min(extent - 1, Math.max(-1, value < 0 ? value + extent : value));
  const from = start === null ? extent - 1 : bound(start);
  const count = Math.max(0, Math.ceil((from - (end === null ? -1 : bound(end))) / -by));
  if (count === 0) return sliceAxis(x, axis, 0, 0);
  // The same elements from the other end.
  return flip(sliceAxis(x, axis, from + (count - 1) * by, from + 1, -by), axis);
}

function cutNumber(x: Tensor, axis: number, at: number, name = 'slice'): Tensor {
  const extent = x.shape[axis];
  if (!Number.isInteger(at) || at < -extent || at >= extent) {
    throw new RangeError(
      `${name}: index ${at} is outside axis ${axis} of ${formatShape(x.shape)}; use ${-extent}..${extent - 1}`,
    );
  }
  const from = at < 0 ? at + extent : at;
  return sliceAxis(x, axis, from, from + 1);
}

/** Negative numbers counted from the end; those outside stay outside. */
function fromStart(index: Tensor, extent: number): Tensor {
  return where(lt(index, 0), add(index, extent), index);
}

function indexTensor(index: Tensor, x: Tensor, axis: number): Tensor {
  if (index.dtype === 'i32' || index.dtype === 'u32') return cast(index, 'i32');
  const remedy =
    index.dtype === 'bool'
      ? 'how many elements a mask selects is known on the GPU alone; use await maskedSelect(x, mask) or await nonzero(mask)'
      : "use .cast('i32')";
  throw new TypeError(`slice: axis ${axis} of ${formatShape(x.shape)} is indexed by ${index.dtype}; ${remedy}`);
}

/** One number for each element of the broadcast index tensors: where it lies among the indexed axes taken as one. */
function flatIndex(indices: readonly Tensor[], extents: readonly number[]): Tensor {
  const shape = broadcastShapes('slice', ...indices.map((index) => index.shape));
  const starts = indices.map((index, i) => fromStart(index, extents[i]));
  let flat = starts[0];
  if (starts.length > 1) {
    let inside = logicalAnd(ge(flat, 0), lt(flat, extents[0]));
    for (let i = 1; i < starts.length; i++) {
      flat = add(mul(flat, extents[i]), starts[i]);
      inside = logicalAnd(inside, logicalAnd(ge(starts[i], 0), lt(starts[i], extents[i])));
    }
    flat = where(inside, flat, -1);
  }
  return expand(flat, shape);
}

/** Replaces the indexed axes by those of the index, where NumPy puts them. */
function take(x: Tensor, parts: readonly Part[]): Tensor {
  const picked = parts.filter((part) => part.kind === 'tensor');
  // Numbers beside index tensors count as such where it matters whether all of them are neighbours.
  const places = parts.flatMap(({ kind }, at) => (kind === 'tensor' || kind === 'number' ? [at] : []));
  const together = places.every((at, i) => i === 0 || at === places[i - 1] + 1);
  const first = together ? places[0] : 0;
  const axesOf = (list: readonly Part[]) => list.flatMap((part) => (part.kind === 'range' ? [part.axis] : []));
  const before = axesOf(parts.slice(0, first));
  const after = axesOf(parts.slice(first));
  const gone = parts.flatMap((part) => (part.kind === 'number' ? [part.axis] : []));
  const axes = picked.map(({ axis }) => axis);
  const extents = axes.map((axis) => x.shape[axis]);
  const shapeOf = (list: readonly number[]) => list.map((axis) => x.shape[axis]);
  const index = flatIndex(
    picked.map((part) => part.index),
    extents,
  );
  const joined = extents.reduce((product, extent) => product * extent, 1);
  const lined = reshape(permute(x, [...before, ...axes, ...after, ...gone]), [
    ...shapeOf(before),
    joined,
    ...shapeOf(after),
  ]);
  const taken = indexSelect(lined, before.length, reshape(index, [index.size]));
  const extentOf = (part: Part) => (part.kind === 'new' ? [1] : part.kind === 'range' ? [x.shape[part.axis]] : []);
  return reshape(taken, [
    ...parts.slice(0, first).flatMap(extentOf),
    ...index.shape,
    ...parts.slice(first).flatMap(extentOf),
  ]);
}

/**
 * NumPy's indexing, an argument an axis: `slice(x, [1, 3], 2, [], null)` is `x[1:3, 2, :, None]`. A view where no tensor
 * and no negative step is among the indices.
 *
 * Several index tensors broadcast together; their axes come where the first of them stands, or in front where something
 * other than a number stands between them. An index in a tensor that lies outside reads NaN (the largest value of whole
 * numbers, false of booleans), as in `gather`.
 *
 * @throws RangeError when a number is outside its axis or there are more indices than axes, TypeError for masks, whose
 * result has no shape until the GPU has counted it: `maskedSelect` waits for that.
 */
export function slice(x: Tensor, ...indices: Index[]): Tensor {
  const dots = indices.indexOf('...');
  if (dots !== indices.lastIndexOf('...')) throw new RangeError("slice: '...' was given twice");
  const used = indices.filter((index) => index !== null && index !== '...').length;
  if (used > x.rank) {
    throw new RangeError(`slice: ${used} indices are more than the ${x.rank} axes of ${formatShape(x.shape)}`);
  }
  const rest = new Array<Index>(x.rank - used).fill([]);
  const complete = dots < 0 ? [...indices, ...rest] : [...indices.slice(0, dots), ...rest, ...indices.slice(dots + 1)];
  let view = x;
  let axis = 0;
  const parts = complete.map((index): Part => {
    if (index === null) return { kind: 'new' };
    const own = axis++;
    if (index instanceof Tensor) return { kind: 'tensor', axis: own, index: indexTensor(index, x, own) };
    if (typeof index === 'number') {
      view = cutNumber(view, own, index);
      return { kind: 'number', axis: own };
    }
    if (!Array.isArray(index)) throw new TypeError(`slice: ${JSON.stringify(index)} is no index; see the type Index`);
    view = cutRange(view, own, index);
    return { kind: 'range', axis: own };
  });
  if (parts.some(({ kind }) => kind === 'tensor')) return take(view, parts);
  return reshape(
    view,
    parts.flatMap((part) => (part.kind === 'new' ? [1] : part.kind === 'range' ? [view.shape[part.axis]] : [])),
  );
}

/** Element `index` of one axis, which goes: a view. Negative numbers count from the end. */
export function select(x: Tensor, axis: number, index: number): Tensor {
  const d = normaliseAxis(axis, x.rank, 'select');
  const one = cutNumber(x, d, index, 'select');
  return reshape(
    one,
    one.shape.filter((_, i) => i !== d),
  );
}

/**
 * `length` elements of one axis from `start` on: a view. Unlike a slice it is not cut to what is there.
 *
 * @throws RangeError when the elements are not all there.
 */
export function narrow(x: Tensor, axis: number, start: number, length: number): Tensor {
  const d = normaliseAxis(axis, x.rank, 'narrow');
  const extent = x.shape[d];
  const from = start < 0 ? start + extent : start;
  if (!Number.isInteger(from) || !Number.isInteger(length) || from < 0 || length < 0 || from + length > extent) {
    throw new RangeError(`narrow: ${length} elements from ${start} do not lie in axis ${d} of ${formatShape(x.shape)}`);
  }
  return sliceAxis(x, d, from, from + length);
}

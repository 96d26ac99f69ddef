import {
  checkIsArray,
  checkShape,
  contiguousStrides,
  formatShape,
  isContiguous,
  normaliseAxis,
  type Shape,
  sizeOf,
} from '../shape.ts';
import { viewOp } from './op.ts';

/** The strides that show the same elements in another shape, or undefined where only a copy could. */
export function reshapedStrides(shape: Shape, strides: readonly number[], target: Shape): number[] | undefined {
  if (isContiguous(shape, strides)) return contiguousStrides(target);
  if (sizeOf(shape) === 0) return contiguousStrides(target);
  // Walk both shapes in blocks of equal size; within a block the old axes must be walkable as one.
  const result = new Array<number>(target.length).fill(0);
  const from = shape.map((extent, d) => ({ extent, stride: strides[d] })).filter(({ extent }) => extent !== 1);
  let i = 0;
  let d = 0;
  while (i < from.length) {
    let oldSize = from[i].extent;
    let last = i;
    let newSize = 1;
    const start = d;
    while (newSize < oldSize || newSize !== oldSize) {
      if (newSize < oldSize) {
        if (d >= target.length) return undefined;
        newSize *= target[d++];
      } else {
        last++;
        if (from[last - 1].stride !== from[last].stride * from[last].extent) return undefined;
        oldSize *= from[last].extent;
      }
    }
    let stride = from[last].stride;
    for (let at = d - 1; at >= start; at--) {
      result[at] = stride;
      stride *= target[at];
    }
    i = last + 1;
  }
  return result;
}

/** Fills in one extent of -1 and checks the size. */
export function resolveShape(size: number, shape: Shape, from: Shape): number[] {
  checkIsArray('reshape', shape);
  const unknown = shape.indexOf(-1);
  const resolved = [...shape];
  if (unknown >= 0) {
    const known = sizeOf(shape.filter((_, d) => d !== unknown));
    resolved[unknown] = known === 0 ? 0 : size / known;
  }
  if (resolved.some((extent) => !Number.isInteger(extent) || extent < 0) || sizeOf(resolved) !== size) {
    throw new RangeError(`reshape: ${formatShape(from)} of ${size} elements does not fit ${formatShape(shape)}`);
  }
  checkShape(resolved, 'reshape');
  return resolved;
}

/** Another shape of the same elements. The caller has made the input dense where the strides do not allow it. */
export const reshape = viewOp<{ shape: Shape }>((x, { shape }) => {
  const strides = reshapedStrides(x.shape, x.strides, shape);
  if (!strides)
    throw new Error(
      `reshape: ${formatShape(x.shape)} with strides [${x.strides}] cannot be viewed as ${formatShape(shape)}`,
    );
  return { shape, strides, offset: x.offset };
});

export const permute = viewOp<{ axes: readonly number[] }>((x, { axes }) => {
  checkIsArray('permute', axes, `write [${[...x.shape.keys()].reverse().join(', ')}]`);
  const list = axes.map((axis) => normaliseAxis(axis, x.rank, 'permute'));
  if (list.length !== x.rank || new Set(list).size !== x.rank) {
    throw new RangeError(`permute: axes [${axes}] must name each axis of ${formatShape(x.shape)} once`);
  }
  return { shape: list.map((d) => x.shape[d]), strides: list.map((d) => x.strides[d]), offset: x.offset };
});

/** Elements start, start + step, … below end of one axis. */
export const slice = viewOp<{ axis: number; start: number; end: number; step: number }>(
  (x, { axis, start, end, step }) => {
    const shape = [...x.shape];
    const strides = [...x.strides];
    shape[axis] = Math.max(0, Math.ceil((end - start) / step));
    strides[axis] *= step;
    return { shape, strides, offset: shape[axis] === 0 ? x.offset : x.offset + start * x.strides[axis] };
  },
);

/** The same elements, through which no gradient flows. */
export const detach = viewOp<Record<never, never>>(({ shape, strides, offset }) => ({ shape, strides, offset }));

/** Stretches axes of extent 1 and adds leading ones, with stride 0. */
export const expand = viewOp<{ shape: Shape }>((x, { shape }) => {
  checkShape(shape, 'expand');
  const lead = shape.length - x.rank;
  if (lead < 0) throw new RangeError(`expand: ${formatShape(x.shape)} has more axes than ${formatShape(shape)}`);
  const strides = shape.map((extent, d) => {
    if (d < lead) return 0;
    const own = x.shape[d - lead];
    if (own === extent) return x.strides[d - lead];
    if (own === 1) return 0;
    throw new RangeError(
      `expand: ${formatShape(x.shape)} does not stretch to ${formatShape(shape)}; axis ${d} has ${own} and ${extent}`,
    );
  });
  return { shape, strides, offset: x.offset };
});

import type { DType } from '../../src/index.ts';
import {
  around,
  at,
  build,
  type Expected,
  eachIndex,
  flatIndex,
  isWhole,
  type NDArray,
  sizeOf,
  store,
} from './array.ts';

/** What an index outside the axis reads. */
export const outside: Record<DType, number> = {
  f32: Number.NaN,
  f16: Number.NaN,
  i32: 2 ** 31 - 1,
  u32: 2 ** 32 - 1,
  bool: 0,
};

const replaced = (shape: readonly number[], axis: number, extent: number) =>
  shape.map((own, d) => (d === axis ? extent : own));

export function indexSelect(x: NDArray, index: NDArray, { axis }: { axis: number }): Expected {
  return build(replaced(x.shape, axis, index.shape[0]), x.dtype, (to) => {
    const row = index.data[to[axis]];
    if (row < 0 || row >= x.shape[axis]) return outside[x.dtype];
    return at(x, replaced(to, axis, row));
  });
}

export function gather(x: NDArray, index: NDArray, { axis }: { axis: number }): Expected {
  return build(index.shape, x.dtype, (to, flat) => {
    const row = index.data[flat];
    if (row < 0 || row >= x.shape[axis]) return outside[x.dtype];
    return at(x, replaced(to, axis, row));
  });
}

function addAt(source: NDArray, axis: number, extent: number, place: (j: number, flat: number) => number): Expected {
  const [outer, count, inner] = around(source.shape, axis);
  const shape = replaced(source.shape, axis, extent);
  const data = new Float64Array(sizeOf(shape));
  const scale = new Float64Array(data.length);
  for (let o = 0; o < outer; o++) {
    for (let j = 0; j < count; j++) {
      for (let i = 0; i < inner; i++) {
        const from = (o * count + j) * inner + i;
        const row = place(j, from);
        if (row < 0 || row >= extent) continue;
        const to = (o * extent + row) * inner + i;
        data[to] += source.data[from];
        scale[to] += Math.abs(source.data[from]);
      }
    }
  }
  for (let i = 0; isWhole(source.dtype) && i < data.length; i++) data[i] = store(data[i], source.dtype);
  return { dtype: source.dtype, shape, data, scale };
}

type Place = { axis: number; extent: number };

export const indexAdd = (source: NDArray, index: NDArray, { axis, extent }: Place) =>
  addAt(source, axis, extent, (j) => index.data[j]);

export const scatterAdd = (source: NDArray, index: NDArray, { axis, extent }: Place) =>
  addAt(source, axis, extent, (_, flat) => index.data[flat]);

export function concat(inputs: readonly NDArray[], { axis }: { axis: number }): Expected {
  const total = inputs.reduce((sum, input) => sum + input.shape[axis], 0);
  return build(replaced(inputs[0].shape, axis, total), inputs[0].dtype, (index) => {
    let row = index[axis];
    let i = 0;
    while (row >= inputs[i].shape[axis]) row -= inputs[i++].shape[axis];
    return at(inputs[i], replaced(index, axis, row));
  });
}

/** Zeros with the source at start, start + step, … */
export function unslice(
  source: NDArray,
  { shape, axis, start, step }: { shape: readonly number[]; axis: number; start: number; step: number },
): Expected {
  return build(shape, source.dtype, (index) => {
    const j = (index[axis] - start) / step;
    if (j < 0 || !Number.isInteger(j) || j >= source.shape[axis]) return 0;
    return at(source, replaced(index, axis, j));
  });
}

export function unfold(x: NDArray, { axis, size, step }: { axis: number; size: number; step: number }): Expected {
  const frames = Math.floor((x.shape[axis] - size) / step) + 1;
  return build([...replaced(x.shape, axis, frames), size], x.dtype, (index) => {
    const place = index[axis] * step + index[index.length - 1];
    return at(x, replaced(index.slice(0, -1), axis, place));
  });
}

export function overlapAdd(
  x: NDArray,
  { axis, step, length }: { axis: number; step: number; length: number },
): Expected {
  const shape = replaced(x.shape.slice(0, -1), axis, length);
  const out = build(shape, x.dtype, () => 0);
  const scale = new Float64Array(out.data.length);
  eachIndex(x.shape, (index, flat) => {
    const place = index[axis] * step + index[index.length - 1];
    const to = flatIndex(shape, replaced(index.slice(0, -1), axis, place));
    out.data[to] += x.data[flat];
    scale[to] += Math.abs(x.data[flat]);
  });
  return { ...out, scale };
}

export function slice(
  x: NDArray,
  { axis, start, end, step }: { axis: number; start: number; end: number; step: number },
) {
  const extent = Math.max(0, Math.ceil((end - start) / step));
  return build(replaced(x.shape, axis, extent), x.dtype, (index) =>
    at(x, replaced(index, axis, start + index[axis] * step)),
  );
}

export function permute(x: NDArray, { axes }: { axes: readonly number[] }): Expected {
  const order = axes.map((axis) => (axis < 0 ? axis + x.shape.length : axis));
  return build(
    order.map((d) => x.shape[d]),
    x.dtype,
    (index) => {
      const from = new Array<number>(order.length);
      order.forEach((d, i) => {
        from[d] = index[i];
      });
      return at(x, from);
    },
  );
}

export const expand = (x: NDArray, { shape }: { shape: readonly number[] }): Expected =>
  build(shape, x.dtype, (index) => at(x, index));

export const flip = (x: NDArray, { axes }: { axes: readonly number[] }): Expected =>
  build(x.shape, x.dtype, (index) =>
    at(
      x,
      index.map((i, d) => (axes.includes(d) ? x.shape[d] - 1 - i : i)),
    ),
  );

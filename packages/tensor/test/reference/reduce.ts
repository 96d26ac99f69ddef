import { around, build, type Expected, eachIndex, flatIndex, isWhole, type NDArray, sizeOf, store } from './array.ts';

function keptShape(shape: readonly number[], axes: readonly number[]): number[] {
  return shape.map((extent, d) => (axes.includes(d) ? 1 : extent));
}

function finalShape(shape: readonly number[], axes: readonly number[], keepdim: boolean): number[] {
  return keepdim ? keptShape(shape, axes) : shape.filter((_, d) => !axes.includes(d));
}

function fold(
  x: NDArray,
  axes: readonly number[],
  keepdim: boolean,
  start: number,
  step: (total: number, value: number) => number,
): Expected {
  const kept = keptShape(x.shape, axes);
  const data = new Float64Array(sizeOf(kept)).fill(start);
  const scale = new Float64Array(data.length);
  const seen = new Uint8Array(data.length);
  eachIndex(x.shape, (index, flat) => {
    const to = flatIndex(kept, index);
    const value = x.data[flat];
    data[to] = seen[to] || !Number.isNaN(start) ? step(data[to], value) : value;
    seen[to] = 1;
    scale[to] += Math.abs(step(0, value));
  });
  for (let i = 0; isWhole(x.dtype) && i < data.length; i++) data[i] = store(data[i], x.dtype);
  return { dtype: x.dtype, shape: finalShape(x.shape, axes, keepdim), data, scale };
}

type Attributes = { axes: readonly number[]; keepdim: boolean };

export const sum = (x: NDArray, { axes, keepdim }: Attributes) => fold(x, axes, keepdim, 0, (a, b) => a + b);
export const sumSquares = (x: NDArray, { axes, keepdim }: Attributes) => fold(x, axes, keepdim, 0, (a, b) => a + b * b);
export const max = (x: NDArray, { axes, keepdim }: Attributes) => ({
  ...fold(x, axes, keepdim, Number.NaN, Math.max),
  scale: undefined,
});
export const min = (x: NDArray, { axes, keepdim }: Attributes) => ({
  ...fold(x, axes, keepdim, Number.NaN, Math.min),
  scale: undefined,
});

export function mean(x: NDArray, attributes: Attributes): Expected {
  const count = sizeOf(attributes.axes.map((d) => x.shape[d]));
  const total = sum(x, attributes);
  return { ...total, data: total.data.map((v) => v / count), scale: total.scale!.map((v) => v / count) };
}

/** By the textbook: mean, then squares about it. */
export function variance(x: NDArray, attributes: Attributes, correction: number): Expected {
  const count = sizeOf(attributes.axes.map((d) => x.shape[d]));
  const centre = mean(x, { axes: attributes.axes, keepdim: true });
  const centred = build(x.shape, 'f32', (index, flat) => x.data[flat] - centre.data[flatIndex(centre.shape, index)]);
  const squares = sumSquares(centred, attributes);
  return { ...squares, data: squares.data.map((v) => v / (count - correction)), scale: undefined };
}

/** The first of the largest; NaN is larger than everything. */
export function argmax(x: NDArray, { axis, keepdim }: { axis: number; keepdim: boolean }): Expected {
  const [outer, length, inner] = around(x.shape, axis);
  const data = new Float64Array(outer * inner);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const value = (j: number) => x.data[(o * length + j) * inner + i];
      let best = 0;
      for (let j = 1; j < length; j++) {
        if (Number.isNaN(value(best))) break;
        if (Number.isNaN(value(j)) || value(j) > value(best)) best = j;
      }
      data[o * inner + i] = best;
    }
  }
  return { dtype: 'i32', shape: finalShape(x.shape, [axis], keepdim), data };
}

/** The first of the smallest; NaN is smaller than everything. */
export const argmin = (x: NDArray, attributes: { axis: number; keepdim: boolean }): Expected =>
  argmax({ ...x, data: x.data.map((value) => -value) }, attributes);

export function prod(x: NDArray, { axes, keepdim }: Attributes): Expected {
  const whole = x.dtype !== 'f32' && x.dtype !== 'f16';
  const kept = keptShape(x.shape, axes);
  const data = new Float64Array(sizeOf(kept)).fill(1);
  eachIndex(x.shape, (index, flat) => {
    const to = flatIndex(kept, index);
    data[to] = whole ? store(Math.imul(data[to], x.data[flat]), x.dtype) : data[to] * x.data[flat];
  });
  return { dtype: x.dtype, shape: finalShape(x.shape, axes, keepdim), data };
}

import { around, build, type Expected, type NDArray } from './array.ts';

/** NaN behind everything; zeros of either sign are one. */
const compare = (a: number, b: number): number => {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : a > b ? 1 : 0;
};

/** By JavaScript's own stable sort. */
export function argsort(x: NDArray, { axis, descending }: { axis: number; descending: boolean }): Expected {
  const [outer, length, inner] = around(x.shape, axis);
  const data = new Float64Array(x.data.length);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      const value = (t: number) => x.data[(o * length + t) * inner + i];
      const order = Array.from({ length }, (_, t) => t);
      order.sort((a, b) => (descending ? compare(value(b), value(a)) : compare(value(a), value(b))));
      order.forEach((from, t) => {
        data[(o * length + t) * inner + i] = from;
      });
    }
  }
  return { dtype: 'i32', shape: x.shape, data };
}

/** By counting. */
export function searchSorted([sorted, values]: readonly NDArray[], { right }: { right: boolean }): Expected {
  const length = sorted.shape[sorted.shape.length - 1];
  const count = values.shape[values.shape.length - 1] ?? 1;
  return build(values.shape, 'i32', (_, flat) => {
    const row = sorted.shape.length === 1 ? 0 : Math.floor(flat / count);
    const before = (element: number) => compare(element, values.data[flat]) < (right ? 1 : 0);
    return Array.from({ length }, (_, t) => sorted.data[row * length + t]).filter(before).length;
  });
}

import { around, type Expected, isWhole, type NDArray, sizeOf, store } from './array.ts';

type Attributes = { axis: number; reverse: boolean };

/** Calls `step` along every row of an axis, with the place of the element before (-1 at the start). */
function walk(shape: readonly number[], { axis, reverse }: Attributes, step: (at: number, before: number) => void) {
  const [outer, length, inner] = around(shape, axis);
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let before = -1;
      for (let t = 0; t < length; t++) {
        const at = (o * length + (reverse ? length - 1 - t : t)) * inner + i;
        step(at, before);
        before = at;
      }
    }
  }
}

/** h[t] = factors[t] h[t - 1] + x[t]. */
export function linearRecurrence([factors, x]: readonly NDArray[], attributes: Attributes): Expected {
  const data = new Float64Array(sizeOf(x.shape));
  const scale = new Float64Array(data.length);
  walk(x.shape, attributes, (at, before) => {
    data[at] = (before < 0 ? 0 : factors.data[at] * data[before]) + x.data[at];
    scale[at] = (before < 0 ? 0 : Math.abs(factors.data[at]) * scale[before]) + Math.abs(x.data[at]);
  });
  const dtype = factors.dtype === 'f16' && x.dtype === 'f16' ? 'f16' : 'f32';
  return { dtype, shape: x.shape, data, scale };
}

export function cumsum([x]: readonly NDArray[], attributes: Attributes): Expected {
  const data = new Float64Array(sizeOf(x.shape));
  const scale = new Float64Array(data.length);
  walk(x.shape, attributes, (at, before) => {
    data[at] = (before < 0 ? 0 : data[before]) + x.data[at];
    if (isWhole(x.dtype)) data[at] = store(data[at], x.dtype);
    scale[at] = (before < 0 ? 0 : scale[before]) + Math.abs(x.data[at]);
  });
  return { dtype: x.dtype, shape: x.shape, data, scale };
}

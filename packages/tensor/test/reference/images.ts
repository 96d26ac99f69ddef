import { type Expected, eachIndex, type NDArray, sizeOf } from './array.ts';
import { Products } from './products.ts';

type Pair = readonly [number, number];

export interface WindowSizes {
  stride: Pair;
  padding: Pair;
  dilation: Pair;
}

export type Conv2dSizes = WindowSizes & { groups: number };

export const steps = (size: readonly number[], kernel: Pair, { stride, padding, dilation }: WindowSizes): Pair => {
  const along = (d: 0 | 1) =>
    Math.floor((size[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d]) + 1;
  return [along(0), along(1)];
};

/** Every element of a plane that a tap of a window meets. */
function eachPlace(
  size: readonly number[],
  out: readonly number[],
  kernel: Pair,
  { stride, padding, dilation }: WindowSizes,
  body: (place: number, tap: number, window: number) => void,
): void {
  eachIndex([...out, ...kernel], ([s, t, j, k]) => {
    const y = s * stride[0] + j * dilation[0] - padding[0];
    const x = t * stride[1] + k * dilation[1] - padding[1];
    if (y < 0 || y >= size[0] || x < 0 || x >= size[1]) return;
    body(y * size[1] + x, j * kernel[1] + k, s * out[1] + t);
  });
}

function eachTap(
  xShape: readonly number[],
  yShape: readonly number[],
  kernel: Pair,
  sizes: Conv2dSizes,
  body: (x: number, weight: number, y: number) => void,
): void {
  const [batch, inChannels, ...size] = xShape;
  const [, outChannels, ...out] = yShape;
  const inPerGroup = inChannels / sizes.groups;
  const outPerGroup = outChannels / sizes.groups;
  eachIndex([batch, outChannels, inPerGroup], ([b, o, c]) => {
    const channel = Math.floor(o / outPerGroup) * inPerGroup + c;
    const plane = (b * inChannels + channel) * sizeOf(size);
    const weight = (o * inPerGroup + c) * sizeOf(kernel);
    const y = (b * outChannels + o) * sizeOf(out);
    eachPlace(size, out, kernel, sizes, (place, tap, window) => body(plane + place, weight + tap, y + window));
  });
}

const kernelOf = (weight: NDArray): Pair => [weight.shape[2], weight.shape[3]];

export function conv2d(x: NDArray, weight: NDArray, sizes: Conv2dSizes): Expected {
  const kernel = kernelOf(weight);
  const out = new Products([x.shape[0], weight.shape[0], ...steps(x.shape.slice(2), kernel, sizes)], [x, weight]);
  eachTap(x.shape, out.shape, kernel, sizes, (ix, iw, iy) => out.add(iy, x.data[ix] * weight.data[iw]));
  return out;
}

export function convTranspose2d(y: NDArray, weight: NDArray, sizes: Conv2dSizes & { size: Pair }): Expected {
  const out = new Products([y.shape[0], weight.shape[1] * sizes.groups, ...sizes.size], [y, weight]);
  eachTap(out.shape, y.shape, kernelOf(weight), sizes, (ix, iw, iy) => out.add(ix, y.data[iy] * weight.data[iw]));
  return out;
}

export function conv2dWeightGradient(x: NDArray, grad: NDArray, sizes: Conv2dSizes & { kernel: Pair }): Expected {
  const out = new Products([grad.shape[1], x.shape[1] / sizes.groups, ...sizes.kernel], [x, grad]);
  eachTap(x.shape, grad.shape, sizes.kernel, sizes, (ix, iw, iy) => out.add(iw, x.data[ix] * grad.data[iy]));
  return out;
}

export function maxPool2d(x: NDArray, sizes: WindowSizes & { kernel: Pair }): [values: Expected, indices: Expected] {
  const [batch, channels, ...size] = x.shape;
  const out = steps(size, sizes.kernel, sizes);
  const shape = [batch, channels, ...out];
  const data = new Float64Array(sizeOf(shape)).fill(Number.NEGATIVE_INFINITY);
  const places = new Float64Array(data.length).fill(-1);
  for (let plane = 0; plane < batch * channels; plane++) {
    eachPlace(size, out, sizes.kernel, sizes, (place, _tap, window) => {
      const at = plane * sizeOf(out) + window;
      const value = x.data[plane * sizeOf(size) + place];
      if (places[at] >= 0 && (Number.isNaN(data[at]) || value <= data[at])) return;
      data[at] = value;
      places[at] = place;
    });
  }
  return [
    { dtype: x.dtype, shape, data },
    { dtype: 'i32', shape, data: places },
  ];
}

/** An index counts where its window can have met it. */
export function maxPool2dBackward(
  grad: NDArray,
  indices: NDArray,
  { size, kernel, ...sizes }: WindowSizes & { kernel: Pair; size: Pair },
): Expected {
  const [batch, channels, ...windows] = grad.shape;
  const shape = [batch, channels, ...size];
  const data = new Float64Array(sizeOf(shape));
  const scale = new Float64Array(data.length);
  for (let plane = 0; plane < batch * channels; plane++) {
    eachPlace(size, windows, kernel, sizes, (place, _tap, window) => {
      const from = plane * sizeOf(windows) + window;
      if (indices.data[from] !== place) return;
      data[plane * sizeOf(size) + place] += grad.data[from];
      scale[plane * sizeOf(size) + place] += Math.abs(grad.data[from]);
    });
  }
  return { dtype: grad.dtype, shape, data, scale };
}

export function avgPool2d(x: NDArray, sizes: WindowSizes & { kernel: Pair }, countIncludePad: boolean): Expected {
  const [batch, channels, ...size] = x.shape;
  const out = steps(size, sizes.kernel, sizes);
  const shape = [batch, channels, ...out];
  const data = new Float64Array(sizeOf(shape));
  for (let plane = 0; plane < batch * channels; plane++) {
    const counts = new Float64Array(sizeOf(out));
    const own = data.subarray(plane * counts.length, (plane + 1) * counts.length);
    eachPlace(size, out, sizes.kernel, sizes, (place, _tap, window) => {
      own[window] += x.data[plane * sizeOf(size) + place];
      counts[window]++;
    });
    for (let i = 0; i < counts.length; i++) own[i] /= countIncludePad ? sizeOf(sizes.kernel) : counts[i];
  }
  return { dtype: x.dtype, shape, data, scale: data.map(() => 2) };
}

import type { Expected, NDArray } from './array.ts';
import { gelu, geluDerivative } from './functions.ts';
import { groupNormLayout, norm, normBackward } from './norm.ts';
import { conv1d, conv1dWeightGradient } from './products.ts';

export interface Attributes {
  stride: number;
  eps: number;
}

/** What the rounding of the convolution is of its magnitude, in units of the tolerance: the norm magnifies it. */
const ROUNDING = 2 ** -22 / 1e-5;

function convolved(x: NDArray, weight: NDArray, stride: number) {
  const z = conv1d(x, weight, { stride, padding: 0, dilation: 1, groups: 1 });
  const [, channels, steps] = z.shape;
  const layout = groupNormLayout(z, channels);
  const roundings = (z.scale as Float64Array).map((magnitude) => ROUNDING * magnitude);
  return { z, channels, steps, layout, roundings };
}

/** GELU of the normalised convolution, and the statistics [batch * channels, 2]. */
export function convNormGelu([x, weight, scale, shift]: NDArray[], { stride, eps }: Attributes): Expected[] {
  const { z, channels, steps, layout, roundings } = convolved(x, weight, stride);
  const [y, statistics] = norm(z, scale, shift, layout, eps);
  const inverseAt = (i: number) => statistics.data[2 * Math.floor(i / steps) + 1];
  const ofY = (y.scale as Float64Array).map((own, i) => {
    const factor = Math.abs(scale.data[Math.floor(i / steps) % channels]);
    return own + factor * roundings[i] * inverseAt(i);
  });
  // The largest rounding of a row moves its deviation by no more.
  const ofStatistics = statistics.data.map((value, i) => {
    const row = Math.floor(i / 2);
    const most = roundings.subarray(row * steps, (row + 1) * steps).reduce((a, b) => Math.max(a, b), 0);
    return i % 2 === 0 ? (statistics.scale?.[i] ?? 0) + most : value * (1 + most * value);
  });
  const dtype = x.dtype === 'f16' && weight.dtype === 'f16' ? 'f16' : 'f32';
  return [
    { dtype, shape: z.shape, data: y.data.map(gelu), scale: ofY },
    { ...statistics, scale: ofStatistics },
  ];
}

/** The gradients of the weight and of [scale, shift], from the statistics of the forward pass. */
export function convNormGeluBackward(
  [x, weight, scale, shift, statistics, grad]: NDArray[],
  { stride }: Attributes,
): Expected[] {
  const { z, channels, steps, layout, roundings } = convolved(x, weight, stride);
  const statistic = (i: number, column: number) => statistics.data[2 * Math.floor(i / steps) + column];
  const hats = z.data.map((value, i) => (value - statistic(i, 0)) * statistic(i, 1));
  const ofChannel = (side: NDArray, i: number) => side.data[Math.floor(i / steps) % channels];
  const flow = grad.data.map((g, i) => g * geluDerivative(hats[i] * ofChannel(scale, i) + ofChannel(shift, i)));
  const [dz, affine] = normBackward(z, scale, statistics, { dtype: 'f32', shape: z.shape, data: flow }, layout);
  // GELU's slope changes by 1.2 at most a unit: what the rounding of z moves, magnified by the norm.
  const moved = (i: number) => 1 + roundings[i] * statistic(i, 1) * (1 + Math.abs(ofChannel(scale, i)));
  const magnitudes = { ...dz, data: (dz.scale as Float64Array).map((own, i) => own * moved(i)) };
  const sizes = { stride, padding: 0, dilation: 1, groups: 1, kernel: weight.shape[2] };
  const plain = { ...dz, dtype: 'f32' as const };
  const absolute = { ...x, data: x.data.map(Math.abs) };
  const most = roundings.reduce((a, b, i) => Math.max(a, b * Math.abs(statistic(i, 1))), 0);
  return [
    {
      ...conv1dWeightGradient(x, plain, sizes),
      dtype: weight.dtype,
      scale: conv1dWeightGradient(absolute, magnitudes, sizes).data,
    },
    { ...affine, scale: affine.scale?.map((own) => own * (1 + 2 * most)) },
  ];
}

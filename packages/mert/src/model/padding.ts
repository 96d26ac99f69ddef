/** Clips of different lengths in one batch: which samples, frames and channels' times are theirs and which are padding. */
import { arange, cast, lt, mul, rsqrt, type Tensor, tensor, where } from '@dawnchorus/tensor';
import type { ModelConfig } from '../config/index.ts';

/** Frames that one convolution, which does not pad, makes. */
const through = (length: number, kernel: number, stride: number) =>
  Math.max(0, Math.floor((length - kernel) / stride) + 1);

/** What of a padded batch is real. */
export interface Padding {
  /** Of each clip: samples, then what is left after each convolution. */
  readonly lengths: readonly (readonly number[])[];
}

/** @param samples of each clip, none longer than the batch. */
export function paddingOf(samples: readonly number[], { convKernel, convStride }: ModelConfig): Padding {
  const after = (length: number): number[] => {
    const all = [length];
    for (const [i, kernel] of convKernel.entries()) all.push(through(all[i], kernel, convStride[i]));
    return all;
  };
  return { lengths: samples.map(after) };
}

/** bool [batch, extent]: what lies before the end of each clip after `layers` convolutions. */
export function realPlaces({ lengths }: Padding, layers: number, extent: number): Tensor {
  const ends = tensor(Int32Array.from(lengths, (all) => all[layers]));
  return lt(arange(extent, { dtype: 'i32' }).reshape([1, extent]), ends.reshape([-1, 1]));
}

/**
 * Group norm with one group a channel, whose mean and variance are those of the real times alone: x [batch, channels, time],
 * real bool [batch, time]. In f32, for the sums are long.
 */
export function maskedInstanceNorm(
  x: Tensor,
  real: Tensor,
  { weight, bias, eps }: { weight: Tensor; bias: Tensor; eps: number },
): Tensor {
  const share = cast(real, 'f32').unsqueeze(1);
  const count = share.sum({ dim: 2, keepdim: true });
  const wide = cast(x, 'f32');
  const mean = mul(wide, share).sum({ dim: 2, keepdim: true }).div(count);
  const centred = where(real.unsqueeze(1), wide.sub(mean), 0);
  const variance = centred.square().sum({ dim: 2, keepdim: true }).div(count);
  const scaled = centred.mul(rsqrt(variance.add(eps)));
  return cast(scaled.mul(weight.reshape([-1, 1])).add(bias.reshape([-1, 1])), x.dtype);
}

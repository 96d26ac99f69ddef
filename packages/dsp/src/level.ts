import {
  abs,
  add,
  checkOptions,
  formatShape,
  isnan,
  le,
  lt,
  mean,
  ne,
  type PadMode,
  pad,
  reshape,
  sliceAxis,
  sqrt,
  square,
  sum,
  type Tensor,
  unfold,
  where,
} from '@dawnchorus/tensor';
import { checkChoice } from './options.ts';

/** How a signal is cut into frames. */
export interface FrameOptions {
  /** Samples in a frame; librosa's default is 2048. */
  readonly frameLength: number;
  /** Samples between neighbouring frames; librosa's default is 512. */
  readonly hopLength: number;
  /** Frame t about sample t hopLength, the ends padded (true, librosa's default), or from there on. */
  readonly center: boolean;
  /** What stands beside the ends: librosa pads `constant` for `rms` and `replicate` for zero crossings. */
  readonly padMode: PadMode;
}

const frameOptions = ['frameLength', 'hopLength', 'center', 'padMode'];

/** x [batch, samples] -> [batch, frames, frameLength]. */
function framed(name: string, x: Tensor, { frameLength, hopLength, center, padMode }: FrameOptions): Tensor {
  if (x.dtype !== 'f32' || x.rank !== 2 || x.size === 0) {
    throw new RangeError(`${name}: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [batch, samples], not empty`);
  }
  for (const [what, value] of Object.entries({ frameLength, hopLength })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`${name}: ${what} is ${value}; expected a whole number from 1`);
    }
  }
  checkChoice(name, 'center', center, [true, false]);
  checkChoice(name, 'padMode', padMode, ['constant', 'reflect', 'replicate', 'circular']);
  const half = center ? Math.floor(frameLength / 2) : 0;
  const padded = half > 0 ? pad(x, [half, half], { mode: padMode }) : x;
  if (padded.shape[1] < frameLength) {
    throw new RangeError(
      `${name}: a clip of ${x.shape[1]} samples is shorter than a frame of ${frameLength}; use center: true or shorter frames`,
    );
  }
  return unfold(padded, 1, frameLength, hopLength);
}

/**
 * The root of the mean square of frames: librosa.feature.rms(y=...). x f32 [batch, samples] -> [batch, 1, frames]. The
 * gradient is infinite in silence.
 *
 * @throws RangeError when the clip is empty or shorter than a frame, or a size is no whole number from 1.
 */
export function rms(x: Tensor, options: FrameOptions): Tensor {
  checkOptions('rms', options, frameOptions);
  const energy = mean(square(framed('rms', x, options)), { dim: -1 });
  return sqrt(reshape(energy, [energy.shape[0], 1, energy.shape[1]]));
}

/**
 * How often neighbouring samples of a frame differ in sign, over its length: librosa.feature.zero_crossing_rate. x f32
 * [batch, samples] -> [batch, 1, frames]. Values up to `threshold` (1e-10) are zero, and zero counts as positive. It is a
 * count, and has no gradient but zero.
 *
 * @throws RangeError when the clip is empty or shorter than a frame, or a size is no whole number from 1.
 */
export function zeroCrossingRate(x: Tensor, options: FrameOptions & { threshold?: number }): Tensor {
  checkOptions('zeroCrossingRate', options, [...frameOptions, 'threshold']);
  const { threshold = 1e-10, frameLength } = options;
  const frames = framed('zeroCrossingRate', x, options);
  const negative = lt(where(le(abs(frames), threshold), 0, frames), 0);
  const changes = ne(sliceAxis(negative, -1, 1), sliceAxis(negative, -1, 0, frameLength - 1));
  const unknown = sum(where(isnan(frames), Number.NaN, 0), { dim: -1 });
  const count = add(sum(changes.cast('f32'), { dim: -1 }), unknown);
  return reshape(count.mul(1 / frameLength), [count.shape[0], 1, count.shape[1]]);
}

import type { Device, Tensor } from '@dawnchorus/tensor';
import { createDirectCqt } from './cqt-direct.ts';
import { createFftCqt } from './cqt-fft.ts';
import {
  type CqtNormalization,
  type CqtSettings,
  checkCqtSettings,
  cqtFrequencies,
  cqtLengths,
} from './cqt-kernels.ts';
import { type CqtOutput, checkClips, cqtFrames } from './cqt-shape.ts';

export type { CqtOutput };

/** Settings of `createCqt`. */
export interface CqtOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Samples between neighbouring frames. */
  readonly hopLength: number;
  /** Frequency of the lowest bin in Hz. */
  readonly fMin: number;
  readonly bins: number;
  readonly binsPerOctave: number;
  /** How coefficients are scaled by their filter's length l: `librosa` (default) sqrt(l), `convolutional` 1, `wrap` 2. */
  readonly normalization?: CqtNormalization;
  /** `fft` (default) or `direct`, the definition itself: some 200 times the arithmetic, and the measure of the other. */
  readonly method?: 'fft' | 'direct';
  readonly output?: CqtOutput;
}

/** A constant-Q transform with its filters on the device. */
export interface Cqt {
  /** Centre frequencies in Hz: [bins]. */
  readonly frequencies: Float64Array;
  /** Filter lengths in samples: [bins]. */
  readonly lengths: Int32Array;
  /** Frames of a clip: floor(samples / hopLength) + 1; frame t is centred on sample t hopLength. */
  frames(samples: number): number;
  /**
   * x f32 [batch, samples] -> f32 [batch, bins, frames], or [batch, bins, frames, 2] with `output: 'complex'`. Samples
   * before and after a clip are zeros. An operation like any other: it may stand in compiled functions, which then need
   * the transform undisposed. It is a target, not a layer: it has no gradient, and `grad` refuses an x that wants one.
   *
   * @throws RangeError when x is no [batch, samples] or empty, TypeError when it is not f32.
   */
  transform(x: Tensor): Tensor;
  /** Gives the tables back. */
  dispose(): void;
}

/**
 * The constant-Q transform of nnAudio's CQT1992v2 (`center=True, pad_mode='constant', norm=1, window='hann',
 * filter_scale=1`), the musical teacher of MERT at 24 kHz: hopLength 320, fMin 32.7, 336 bins, 48 to the octave.
 *
 * C_k[t] = s_k sum over n of x[t hopLength + n] conj(filter_k[n]), filters of l_k = ceil(Q sampleRate / f_k) samples under
 * a periodic Hann window, L1-normalised; s_k = sqrt(l_k) by default. A sine of amplitude 1 at f_k gives sqrt(l_k) / 2.
 * The tables are computed in f64 and held in f32.
 *
 * Source: Cheuk et al., "nnAudio: an on-the-fly GPU audio to spectrogram conversion toolbox" (2020), features/cqt.py.
 *
 * @throws RangeError when a setting is out of range or the top bin lies above half the sample rate.
 */
export function createCqt(device: Device, options: CqtOptions): Cqt {
  const { method = 'fft', output = 'magnitude', normalization = 'librosa' } = options;
  const settings: CqtSettings = { ...options, normalization };
  checkCqtSettings(settings);
  const implementation =
    method === 'direct' ? createDirectCqt(device, settings, output) : createFftCqt(device, settings, output);
  let disposed = false;

  return {
    frequencies: cqtFrequencies(settings),
    lengths: cqtLengths(settings),
    frames: (samples) => cqtFrames(samples, settings.hopLength),
    transform(x) {
      if (disposed) throw new Error('cqt: transform was called after dispose; create another one');
      if (x.device !== device) {
        throw new Error('cqt: x lives on another device than the transform; create the transform on its device');
      }
      checkClips(x);
      return implementation.transform(x);
    },
    dispose() {
      if (!disposed) implementation.dispose();
      disposed = true;
    },
  };
}

import { melSpectrogram } from '@dawnchorus/dsp';
import { abs, add, log10, mul, pad, square, type Tensor } from '@dawnchorus/tensor';

/** Settings of the multi-scale mel loss. */
export interface MelLossOptions {
  /** Samples a second. */
  sampleRate: number;
  /** Frames of 2^i samples for each i of this list, a quarter of that apart. */
  scales: readonly number[];
  nMels: number;
  /** Lowest edge of the mel filters, Hz. */
  fMin: number;
  /**
   * What the logarithmic part is multiplied by at each scale: `one` (audiocraft's default) or `root`, the root of 2^i - 1,
   * its reading of the paper's.
   */
  alphas: 'one' | 'root';
  /** Whether spectra are divided by the root of the window's energy, and the sum by that of all factors. */
  normalized: boolean;
}

/** audiocraft's settings of a compression model at 24 kHz. */
export const melLossDefaults: MelLossOptions = {
  sampleRate: 24000,
  scales: [6, 7, 8, 9, 10],
  nMels: 64,
  fMin: 64,
  alphas: 'one',
  normalized: true,
};

/** The base-10 logarithm is taken of the power plus this. */
export const MEL_FLOOR = 1e-5;

/** Mel power of waveforms [batch, samples] as audiocraft's loss frames them: [batch, nMels, frames]. */
export function melPower(waveform: Tensor, scale: number, options: MelLossOptions): Tensor {
  const { sampleRate, nMels, fMin, normalized } = options;
  const nFft = 2 ** scale;
  const hopLength = nFft / 4;
  const around = Math.floor((nFft - hopLength) / 2);
  const samples = waveform.shape[1] + 2 * around;
  // The last frame is filled up with zeros.
  const frames = Math.ceil(Math.max(0, samples - nFft) / hopLength);
  const missing = frames * hopLength + nFft - samples;
  const mirrored = pad(waveform, [around, around], { mode: 'reflect' });
  return melSpectrogram(missing > 0 ? pad(mirrored, [0, missing]) : mirrored, {
    nFft,
    hopLength,
    window: 'hann',
    center: false,
    padMode: 'reflect',
    normalized: normalized ? 'window' : false,
    sampleRate,
    nMels,
    fMin,
    scale: 'htk',
    norm: null,
  });
}

/**
 * audiocraft's MultiScaleMelSpectrogramLoss: over the scales, the mean absolute error of the mel power plus alpha times the
 * mean squared error of its base-10 logarithm. Waveforms [batch, samples], longer than half the longest frame; a scalar.
 */
export function multiScaleMelLoss(output: Tensor, target: Tensor, options: MelLossOptions = melLossDefaults): Tensor {
  let total = 0;
  const parts = options.scales.map((scale) => {
    const alpha = options.alphas === 'one' ? 1 : Math.sqrt(2 ** scale - 1);
    total += alpha + 1;
    const [a, b] = [output, target].map((waveform) => melPower(waveform, scale, options));
    const [logA, logB] = [a, b].map((power) => log10(add(power, MEL_FLOOR)));
    return add(abs(a.sub(b)).mean(), mul(square(logA.sub(logB)).mean(), alpha));
  });
  const sum = parts.reduce((all, part) => add(all, part));
  return options.normalized ? sum.div(total) : sum;
}

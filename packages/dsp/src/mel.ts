import {
  add,
  cachedTable,
  checkOptions,
  formatShape,
  log,
  matmul,
  max,
  maximum,
  mul,
  reshape,
  type Tensor,
} from '@dawnchorus/tensor';
import { checkChoice, checkSettings } from './options.ts';
import { powerSpectra, type StftOptions, stftOptions } from './stft.ts';

/** Settings of a mel filter bank. */
export interface MelOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  readonly nFft: number;
  readonly nMels: number;
  /** Lowest edge in Hz; default 0. */
  readonly fMin?: number;
  /** Highest edge in Hz; default sampleRate / 2. */
  readonly fMax?: number;
  /** `htk`: 2595 log10(1 + f / 700), torchaudio's default. `slaney`: linear below 1 kHz, librosa's default. */
  readonly scale: 'htk' | 'slaney';
  /** `slaney` (librosa's default): every triangle has unit area. null (torchaudio's): unit height. */
  readonly norm: 'slaney' | null;
  /**
   * Frequencies of the bins: k sampleRate / nFft (`exact`, default, librosa's), or evenly from 0 to half the rate rounded
   * down (`torchaudio`), which is another only for odd rates and odd nFft. It then is the default of fMax, too.
   */
  readonly binFrequencies?: 'exact' | 'torchaudio';
}

export const melOptions = ['sampleRate', 'nFft', 'nMels', 'fMin', 'fMax', 'scale', 'norm', 'binFrequencies'] as const;

const SLANEY_STEP = Math.log(6.4) / 27;
const scales = ['htk', 'slaney'];

/** Hz to mel. @throws RangeError when there is no such scale. */
export function hzToMel(hz: number, scale: MelOptions['scale']): number {
  checkChoice('hzToMel', 'scale', scale, scales);
  if (scale === 'htk') return 2595 * Math.log10(1 + hz / 700);
  return hz < 1000 ? (3 * hz) / 200 : 15 + Math.log(hz / 1000) / SLANEY_STEP;
}

/** Mel to Hz. @throws RangeError when there is no such scale. */
export function melToHz(mel: number, scale: MelOptions['scale']): number {
  checkChoice('melToHz', 'scale', scale, scales);
  if (scale === 'htk') return 700 * (10 ** (mel / 2595) - 1);
  return mel < 15 ? (200 * mel) / 3 : 1000 * Math.exp(SLANEY_STEP * (mel - 15));
}

/**
 * Triangles that overlap by half, evenly spaced in mel: row-major [nMels, floor(nFft / 2) + 1], computed in f64.
 *
 * @throws RangeError when nFft or nMels is no whole number from 1, or not 0 <= fMin < fMax <= sampleRate / 2.
 */
export function melFilterbank(options: MelOptions): Float32Array<ArrayBuffer> {
  checkSettings('melFilterbank', options, melOptions);
  return melBank(options);
}

/** `melFilterbank`, of an object with more options. */
function melBank(options: MelOptions): Float32Array<ArrayBuffer> {
  const { sampleRate, nFft, nMels, fMin = 0, scale, norm, binFrequencies = 'exact' } = options;
  checkChoice('melFilterbank', 'scale', scale, scales);
  checkChoice('melFilterbank', 'norm', norm, ['slaney', null]);
  checkChoice('melFilterbank', 'binFrequencies', binFrequencies, ['exact', 'torchaudio']);
  const highest = binFrequencies === 'torchaudio' ? Math.floor(sampleRate / 2) : sampleRate / 2;
  const { fMax = highest } = options;
  if (!(sampleRate > 0 && sampleRate < Infinity)) {
    throw new RangeError(`melFilterbank: sampleRate is ${sampleRate}; expected a positive number`);
  }
  for (const [name, value] of Object.entries({ nFft, nMels })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`melFilterbank: ${name} is ${value}; expected a whole number from 1`);
    }
  }
  if (!(fMin >= 0 && fMin < fMax && fMax <= sampleRate / 2)) {
    throw new RangeError(
      `melFilterbank: fMin ${fMin} and fMax ${fMax} Hz; expected 0 <= fMin < fMax <= ${sampleRate / 2}, half the sample rate`,
    );
  }
  const [low, high] = [hzToMel(fMin, scale), hzToMel(fMax, scale)];
  const edges = Array.from({ length: nMels + 2 }, (_, i) => melToHz(low + ((high - low) * i) / (nMels + 1), scale));
  const bins = Math.floor(nFft / 2) + 1;
  const binWidth = binFrequencies === 'torchaudio' ? highest / Math.max(1, bins - 1) : sampleRate / nFft;
  const bank = new Float32Array(nMels * bins);
  for (let m = 0; m < nMels; m++) {
    const [left, centre, right] = edges.slice(m, m + 3);
    const height = norm === 'slaney' ? 2 / (right - left) : 1;
    for (let f = 0; f < bins; f++) {
      const hz = f * binWidth;
      bank[m * bins + f] =
        height * Math.max(0, Math.min((hz - left) / (centre - left), (right - hz) / (right - centre)));
    }
  }
  return bank;
}

/** |STFT|^power (2 by default) through a mel filter bank: x f32 [batch, samples] -> [batch, nMels, frames]. Gradients flow. */
export function melSpectrogram(x: Tensor, options: StftOptions & MelOptions & { power?: number }): Tensor {
  checkSettings('melSpectrogram', options, [...stftOptions, ...melOptions, 'power']);
  return melBands(x, options);
}

/** `melSpectrogram`, for functions that have more options. */
export function melBands(x: Tensor, options: StftOptions & MelOptions & { power?: number }): Tensor {
  const energy = powerSpectra(x, options);
  const { sampleRate, nFft, nMels, fMin, fMax, scale, norm, binFrequencies } = options;
  const key = `mel ${JSON.stringify([sampleRate, nFft, nMels, fMin, fMax, scale, norm, binFrequencies])}`;
  const bank = cachedTable(x.device, key, () => melBank(options));
  return matmul(reshape(bank, [nMels, energy.shape[1]]), energy);
}

/** ln(mel + offset), offset 1e-6 by default as in torchaudio's log_mels: [batch, nMels, frames]. Gradients flow. */
export function logMel(x: Tensor, options: StftOptions & MelOptions & { power?: number; offset?: number }): Tensor {
  checkSettings('logMel', options, [...stftOptions, ...melOptions, 'power', 'offset']);
  return logBands(x, options);
}

/** `logMel`, for functions that have more options. */
export function logBands(
  x: Tensor,
  { offset = 1e-6, ...options }: StftOptions & MelOptions & { power?: number; offset?: number },
): Tensor {
  if (!(offset >= 0 && offset < Infinity)) {
    throw new RangeError(`logMel: offset is ${offset}; expected a number from 0, whose logarithm silence has`);
  }
  return log(add(melBands(x, options), offset));
}

/** Settings of `amplitudeToDb`. */
export interface DecibelOptions {
  /** What x holds: `power` gives 10 log10 x, `amplitude` 20 log10 x. */
  readonly of: 'power' | 'amplitude';
  /** Smaller values count as this; default 1e-10 for power, 1e-5 for amplitude. */
  readonly floor?: number;
  /** Nothing lies further under the maximum than this, in dB; default 80, null for no limit. */
  readonly topDb?: number | null;
  /** Whose maximum: each `item`'s along the first axis (default), or the whole `batch`'s. */
  readonly maximumOf?: 'item' | 'batch';
}

/** Decibels relative to 1: librosa's power_to_db and amplitude_to_db, torchaudio's AmplitudeToDB. Same shape as x. */
export function amplitudeToDb(x: Tensor, options: DecibelOptions): Tensor {
  checkOptions('amplitudeToDb', options, ['of', 'floor', 'topDb', 'maximumOf']);
  const { of, floor = of === 'power' ? 1e-10 : 1e-5, topDb = 80, maximumOf = 'item' } = options;
  checkChoice('amplitudeToDb', 'of', of, ['power', 'amplitude']);
  checkChoice('amplitudeToDb', 'maximumOf', maximumOf, ['item', 'batch']);
  if (x.rank === 0 || !(floor > 0 && floor < Infinity)) {
    throw new RangeError(
      `amplitudeToDb: x is ${formatShape(x.shape)} and floor ${floor}; expected an axis and a positive floor`,
    );
  }
  if (topDb !== null && !(topDb >= 0)) {
    throw new RangeError(`amplitudeToDb: topDb is ${topDb}; expected a number from 0, or null for no limit`);
  }
  const decibels = mul(log(maximum(x, floor)), (of === 'power' ? 10 : 20) / Math.LN10);
  if (topDb === null) return decibels;
  const dim = Array.from({ length: x.rank }, (_, d) => d).slice(maximumOf === 'item' ? 1 : 0);
  const loudest = dim.length > 0 ? max(decibels, { dim, keepdim: true }) : decibels;
  return maximum(decibels, add(loudest, -topDb));
}

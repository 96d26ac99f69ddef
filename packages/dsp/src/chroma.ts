import { abs, cachedTable, div, norm as lengthOf, matmul, max, reshape, type Tensor, where } from '@dawnchorus/tensor';
import { checkChoice, checkSettings } from './options.ts';
import { powerSpectra, type StftOptions, stftOptions } from './stft.ts';

/** Settings of a chroma filter bank; the defaults are librosa's. */
export interface ChromaOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  readonly nFft: number;
  /** Pitch classes; default 12. */
  readonly nChroma?: number;
  /** How far the music's A is from 440 Hz, in pitch classes (fractions of an octave over nChroma); default 0. */
  readonly tuning?: number;
  /** The octave, counted from that of 27.5 Hz as 0, that weighs most; default 5. */
  readonly octaveCentre?: number;
  /** Standard deviation of the weights in octaves; null for equal weights; default 2. */
  readonly octaveWidth?: number | null;
  /** Rows start at C (default) or at A. */
  readonly startAt?: 'C' | 'A';
}

const chromaOptions = ['sampleRate', 'nFft', 'nChroma', 'tuning', 'octaveCentre', 'octaveWidth', 'startAt'] as const;

/** Above this, a norm divides: the least normal f32, as in librosa. */
const TINY = 2 ** -126;

/**
 * Bumps about the pitch classes: librosa.filters.chroma (with norm=2), row-major [nChroma, floor(nFft / 2) + 1],
 * computed in f64. Every bin's column has length 1 before the octaves are weighted.
 *
 * @throws RangeError when a setting is out of range.
 */
export function chromaFilterbank(options: ChromaOptions): Float32Array<ArrayBuffer> {
  checkSettings('chromaFilterbank', options, chromaOptions);
  return chromaBank(options);
}

/** `chromaFilterbank`, of an object with more options. */
function chromaBank(options: ChromaOptions): Float32Array<ArrayBuffer> {
  const { sampleRate, nFft, nChroma = 12, tuning = 0, octaveCentre = 5, octaveWidth = 2, startAt = 'C' } = options;
  checkChoice('chromaFilterbank', 'startAt', startAt, ['C', 'A']);
  for (const [name, value, least] of [
    ['nFft', nFft, 2],
    ['nChroma', nChroma, 1],
  ] as const) {
    if (!Number.isInteger(value) || value < least) {
      throw new RangeError(`chromaFilterbank: ${name} is ${value}; expected a whole number from ${least}`);
    }
  }
  const numbers = [tuning, octaveCentre].every(Number.isFinite);
  if (!(sampleRate > 0 && sampleRate < Infinity) || !numbers || !(octaveWidth === null || octaveWidth > 0)) {
    throw new RangeError(
      `chromaFilterbank: sampleRate ${sampleRate}, tuning ${tuning}, octaveCentre ${octaveCentre}, octaveWidth ${octaveWidth}; expected a positive rate, two numbers, and a positive width or null`,
    );
  }
  // Bins in pitch classes from 27.5 Hz; the first lies an octave and a half under the second, for want of a logarithm.
  const lowest = (440 * 2 ** (tuning / nChroma)) / 16;
  const places = Float64Array.from({ length: nFft }, (_, f) => nChroma * Math.log2((f * sampleRate) / nFft / lowest));
  places[0] = places[1] - 1.5 * nChroma;
  const bins = Math.floor(nFft / 2) + 1;
  // As numpy rounds: halves to the even number.
  const half = nChroma % 4 === 3 ? (nChroma + 1) / 2 : Math.floor(nChroma / 2);
  const turn = startAt === 'C' ? 3 * Math.floor(nChroma / 12) : 0;
  const bank = new Float32Array(nChroma * bins);
  const column = new Float64Array(nChroma);
  for (let f = 0; f < bins; f++) {
    const width = f + 1 < nFft ? Math.max(1, places[f + 1] - places[f]) : 1;
    for (let c = 0; c < nChroma; c++) {
      const distance = ((((places[f] - c + half + 10 * nChroma) % nChroma) + nChroma) % nChroma) - half;
      column[c] = Math.exp(-0.5 * ((2 * distance) / width) ** 2);
    }
    const length = Math.hypot(...column);
    const weight =
      octaveWidth === null ? 1 : Math.exp(-0.5 * ((places[f] / nChroma - octaveCentre) / octaveWidth) ** 2);
    for (let c = 0; c < nChroma; c++) {
      bank[c * bins + f] = (weight * column[(c + turn) % nChroma]) / (length > TINY ? length : 1);
    }
  }
  return bank;
}

/** Each frame of x [batch, classes, frames] by its largest magnitude, length or sum; silent ones stay as they are. */
export function normaliseFrames(x: Tensor, norm: 'max' | 1 | 2): Tensor {
  const size =
    norm === 'max' ? max(abs(x), { dim: 1, keepdim: true }) : lengthOf(x, { p: norm, dim: 1, keepdim: true });
  return div(x, where(size.lt(TINY), 1, size));
}

/**
 * Energy by pitch class: librosa.feature.chroma_stft with a tuning that is said (see `estimateTuning`). x f32
 * [batch, samples] -> [batch, nChroma, frames], each frame divided by its largest value unless `norm` says otherwise;
 * silent frames are zeros. Gradients flow.
 *
 * @throws RangeError as the spectra do, and when a setting is out of range.
 */
export function chromaStft(
  x: Tensor,
  options: StftOptions & ChromaOptions & { power?: number; norm?: 'max' | 1 | 2 | null },
): Tensor {
  checkSettings('chromaStft', options, [...stftOptions, ...chromaOptions, 'power', 'norm']);
  const { sampleRate, nFft, nChroma = 12, tuning, octaveCentre, octaveWidth, startAt, norm = 'max' } = options;
  checkChoice('chromaStft', 'norm', norm, ['max', 1, 2, null]);
  const energy = powerSpectra(x, options);
  const key = `chroma ${JSON.stringify([sampleRate, nFft, nChroma, tuning, octaveCentre, octaveWidth, startAt])}`;
  const bank = cachedTable(x.device, key, () => chromaBank(options));
  const chroma = matmul(reshape(bank, [nChroma, energy.shape[1]]), energy);
  return norm === null ? chroma : normaliseFrames(chroma, norm);
}

/**
 * What librosa.feature says of spectra, from spectra: magnitudes f32 [batch, bins, frames], as `spectrogram` with
 * `power: 1` makes them, with bins = floor(nFft / 2) + 1. Results are [batch, 1, frames], or [batch, bands, frames].
 */

import {
  abs,
  add,
  cachedTable,
  checkOptions,
  concat,
  countNonzero,
  cumsum,
  div,
  exp,
  formatShape,
  log,
  lt,
  maximum,
  mean,
  mul,
  pow,
  reshape,
  sliceAxis,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  topk,
} from '@dawnchorus/tensor';
import { normaliseFrames } from './chroma.ts';
import { amplitudeToDb } from './mel.ts';
import { checkSettings } from './options.ts';

/** Where the bins of a spectrum lie. */
export interface SpectrumOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Default 2 (bins - 1), right for even transforms. */
  readonly nFft?: number;
}

const spectrumOptions = ['sampleRate', 'nFft'];

function checkSpectra(name: string, spectra: Tensor): void {
  if (spectra.dtype !== 'f32' || spectra.rank !== 3 || spectra.size === 0) {
    throw new RangeError(
      `${name}: the spectra are ${spectra.dtype}${formatShape(spectra.shape)}; expected f32 [batch, bins, frames], not empty`,
    );
  }
}

/** Hz between neighbouring bins. */
function binWidth(name: string, spectra: Tensor, { sampleRate, nFft = 2 * (spectra.shape[1] - 1) }: SpectrumOptions) {
  const bins = spectra.shape[1];
  if (!(sampleRate > 0 && sampleRate < Infinity))
    throw new RangeError(`${name}: sampleRate is ${sampleRate}; expected a positive number`);
  if (!Number.isInteger(nFft) || nFft < 1 || Math.floor(nFft / 2) + 1 !== bins) {
    throw new RangeError(`${name}: nFft ${nFft} does not make the ${bins} bins of ${formatShape(spectra.shape)}`);
  }
  return sampleRate / nFft;
}

/** The frequencies of the bins in Hz, [bins, 1]. */
function frequencies(spectra: Tensor, width: number): Tensor {
  const bins = spectra.shape[1];
  const table = cachedTable(spectra.device, `bins ${bins} ${width}`, () =>
    Float32Array.from({ length: bins }, (_, f) => f * width),
  );
  return reshape(table, [bins, 1]);
}

/**
 * The mean frequency in Hz, weighted by magnitude: librosa.feature.spectral_centroid. [batch, 1, frames]; 0 in silence.
 * Gradients flow.
 */
export function spectralCentroid(spectra: Tensor, options: SpectrumOptions): Tensor {
  checkSettings('spectralCentroid', options, spectrumOptions);
  checkSpectra('spectralCentroid', spectra);
  const hz = frequencies(spectra, binWidth('spectralCentroid', spectra, options));
  return sum(mul(normaliseFrames(spectra, 1), hz), { dim: 1, keepdim: true });
}

/**
 * The p-th root of the mean p-th power (2 by default) of distances from the centroid in Hz:
 * librosa.feature.spectral_bandwidth. [batch, 1, frames]; 0 in silence. The gradient is infinite where it is 0.
 *
 * @throws RangeError when p is not positive.
 */
export function spectralBandwidth(spectra: Tensor, options: SpectrumOptions & { p?: number }): Tensor {
  checkSettings('spectralBandwidth', options, [...spectrumOptions, 'p']);
  const { p = 2 } = options;
  checkSpectra('spectralBandwidth', spectra);
  if (!(p > 0)) throw new RangeError(`spectralBandwidth: p is ${p}; expected a positive number`);
  const hz = frequencies(spectra, binWidth('spectralBandwidth', spectra, options));
  const weights = normaliseFrames(spectra, 1);
  const centre = sum(mul(weights, hz), { dim: 1, keepdim: true });
  const distance = sub(hz, centre);
  if (p === 2) return sqrt(sum(mul(weights, square(distance)), { dim: 1, keepdim: true }));
  return pow(sum(mul(weights, pow(abs(distance), p)), { dim: 1, keepdim: true }), 1 / p);
}

/**
 * The lowest bin's frequency in Hz under which `percent` of the magnitude lies: librosa.feature.spectral_rolloff.
 * [batch, 1, frames]; 0 in silence. It is a place, and has no gradient but zero.
 *
 * @throws RangeError when percent (default 0.85) is not between 0 and 1.
 */
export function spectralRolloff(spectra: Tensor, options: SpectrumOptions & { percent?: number }): Tensor {
  checkSettings('spectralRolloff', options, [...spectrumOptions, 'percent']);
  const { percent = 0.85 } = options;
  checkSpectra('spectralRolloff', spectra);
  if (!(percent > 0 && percent < 1)) {
    throw new RangeError(`spectralRolloff: percent is ${percent}; expected a number between 0 and 1`);
  }
  const width = binWidth('spectralRolloff', spectra, options);
  const running = cumsum(spectra, { dim: 1 });
  const total = sliceAxis(running, 1, spectra.shape[1] - 1);
  const place = mul(countNonzero(lt(running, mul(total, percent)), { dim: 1, keepdim: true }).cast('f32'), width);
  // What is not a number stays so.
  return add(place, mul(sub(total, total), 0));
}

/**
 * The geometric over the arithmetic mean of the energies: librosa.feature.spectral_flatness. [batch, 1, frames]; 1 for
 * white noise and for silence, near 0 for tones. Gradients flow.
 *
 * @throws RangeError when the power or the floor is not positive.
 */
export function spectralFlatness(spectra: Tensor, options: { power?: number; floor?: number } = {}): Tensor {
  checkOptions('spectralFlatness', options, ['power', 'floor']);
  const { power = 2, floor = 1e-10 } = options;
  checkSpectra('spectralFlatness', spectra);
  for (const [name, value] of Object.entries({ power, floor })) {
    if (!(value > 0 && value < Infinity)) {
      throw new RangeError(`spectralFlatness: ${name} is ${value}; expected a positive number`);
    }
  }
  const energy = maximum(power === 2 ? square(spectra) : pow(spectra, power), floor);
  const along = { dim: 1, keepdim: true };
  return div(exp(mean(log(energy), along)), mean(energy, along));
}

/** Settings of `spectralContrast`; the defaults are librosa's. */
export interface ContrastOptions extends SpectrumOptions {
  /** Upper edge of the lowest band in Hz; default 200. */
  readonly fMin?: number;
  /** Octaves above it; default 6. */
  readonly bands?: number;
  /** The part of a band's bins that are its peaks and its valleys; default 0.02, one bin at least. */
  readonly quantile?: number;
  /** Differences of means in the place of decibels; default false. */
  readonly linear?: boolean;
}

/**
 * Peaks over valleys by octave: librosa.feature.spectral_contrast, [batch, bands + 1, frames], in dB (of magnitudes taken
 * as energies, as there; nothing is counted further than 80 dB under the clip's largest). Gradients flow.
 *
 * @throws RangeError when a setting is out of range, a band begins over half the sample rate, or one holds no bin.
 */
export function spectralContrast(spectra: Tensor, options: ContrastOptions): Tensor {
  checkSettings('spectralContrast', options, [...spectrumOptions, 'fMin', 'bands', 'quantile', 'linear']);
  const { sampleRate, fMin = 200, bands = 6, quantile = 0.02, linear = false } = options;
  checkSpectra('spectralContrast', spectra);
  const width = binWidth('spectralContrast', spectra, options);
  if (!(fMin > 0) || !Number.isInteger(bands) || bands < 1 || !(quantile > 0 && quantile < 1)) {
    throw new RangeError(
      `spectralContrast: fMin ${fMin}, bands ${bands}, quantile ${quantile}; expected a positive frequency, a whole number from 1 and a number between 0 and 1`,
    );
  }
  const edges = [0, ...Array.from({ length: bands + 1 }, (_, k) => fMin * 2 ** k)];
  if (edges[bands] >= sampleRate / 2) {
    throw new RangeError(
      `spectralContrast: the highest band begins at ${edges[bands]} Hz, half the sample rate is ${sampleRate / 2}; use a lower fMin or fewer bands`,
    );
  }
  const bins = spectra.shape[1];
  const [peaks, valleys]: Tensor[][] = [[], []];
  for (let k = 0; k <= bands; k++) {
    let first = 0;
    while (first * width < edges[k]) first++;
    let last = bins - 1;
    while (k < bands && last * width > edges[k + 1]) last--;
    // As librosa divides the octaves: a bin more below, and all but the highest band lose their last.
    if (k > 0 && last >= first) first--;
    const count = Math.max(1, roundHalfEven(quantile * (last - first + 1)));
    if (k < bands) last--;
    if (last < first) {
      throw new RangeError(
        `spectralContrast: the band from ${edges[k]} to ${edges[k + 1]} Hz holds no bin of ${width} Hz; use a longer transform, a higher fMin or fewer bands`,
      );
    }
    const band = sliceAxis(spectra, 1, first, last + 1);
    const some = Math.min(count, last - first + 1);
    const along = { dim: 1, keepdim: true };
    peaks.push(mean(topk(band, some, { dim: 1 }).values, along));
    valleys.push(mean(topk(band, some, { dim: 1, largest: false }).values, along));
  }
  const [peak, valley] = [concat(peaks, 1), concat(valleys, 1)];
  if (linear) return sub(peak, valley);
  return sub(amplitudeToDb(peak, { of: 'power' }), amplitudeToDb(valley, { of: 'power' }));
}

/** As numpy.rint rounds. */
function roundHalfEven(value: number): number {
  const down = Math.floor(value);
  if (value - down !== 0.5) return Math.round(value);
  return down % 2 === 0 ? down : down + 1;
}

/**
 * The root of the mean square, from magnitudes (of rectangular windows to be that of the samples):
 * librosa.feature.rms(S=...). [batch, 1, frames].
 */
export function spectralRms(spectra: Tensor, options: { nFft?: number } = {}): Tensor {
  checkOptions('spectralRms', options, ['nFft']);
  const { nFft } = options;
  checkSpectra('spectralRms', spectra);
  const bins = spectra.shape[1];
  const length = nFft ?? 2 * (bins - 1);
  binWidth('spectralRms', spectra, { sampleRate: 1, nFft: length });
  const table = cachedTable(spectra.device, `rms ${length}`, () =>
    Float32Array.from({ length: bins }, (_, f) => (f === 0 || 2 * f === length ? 1 : 2) / length ** 2),
  );
  return sqrt(sum(mul(square(spectra), reshape(table, [bins, 1])), { dim: 1, keepdim: true }));
}

import {
  add,
  argmax,
  cachedTable,
  checkOptions,
  concat,
  formatShape,
  indexSelect,
  irfft,
  linearRecurrence,
  log,
  maximum,
  maxPool2d,
  mean,
  mul,
  pad,
  permute,
  reshape,
  rfft,
  select,
  sliceAxis,
  square,
  stack,
  sub,
  type Tensor,
  unfold,
  zerosLike,
} from '@dawnchorus/tensor';
import { normaliseFrames } from './chroma.ts';
import { amplitudeToDb, type MelOptions, melBands, melOptions } from './mel.ts';
import { checkChoice, checkSettings } from './options.ts';
import { type StftOptions, stftConventions, stftOptions } from './stft.ts';
import { makeWindow, type Window } from './windows.ts';

/** Settings of `onsetStrength`; the defaults are librosa's. */
export interface OnsetOptions extends Partial<Omit<StftOptions & MelOptions, 'sampleRate'>> {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Frames between what is compared; default 1. */
  readonly lag?: number;
  /** Bands over which the earlier spectrum's largest value counts, against vibrato (SuperFlux); default 1, odd. */
  readonly maxSize?: number;
  /** Without its mean over some 100 frames; default false. */
  readonly detrend?: boolean;
}

function checkCount(name: string, what: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new RangeError(`${name}: ${what} is ${value}; expected a whole number from 1`);
  }
}

/**
 * How much louder the bands become from frame to frame: librosa.onset.onset_strength, the mean over 128 mel bands of
 * rises in dB (nFft 2048, hop 512, zeros at the edges, 80 dB under the clip's maximum at most). x f32 [batch, samples] ->
 * [batch, frames]; the first frames, where the window still fills, are 0. Gradients flow.
 *
 * @throws RangeError as the spectra do, and when lag or maxSize is out of range.
 */
export function onsetStrength(x: Tensor, options: OnsetOptions): Tensor {
  checkSettings('onsetStrength', options, [...stftOptions, ...melOptions, 'lag', 'maxSize', 'detrend']);
  const { lag = 1, maxSize = 1, detrend = false, ...rest } = options;
  checkCount('onsetStrength', 'lag', lag);
  checkCount('onsetStrength', 'maxSize', maxSize);
  if (maxSize % 2 === 0) throw new RangeError(`onsetStrength: maxSize is ${maxSize}; expected an odd number`);
  const convention = { ...stftConventions.librosa, nFft: 2048, hopLength: 512 };
  const bands = { ...convention, nMels: 128, scale: 'slaney', norm: 'slaney', ...rest } as StftOptions & MelOptions;
  const decibels = amplitudeToDb(melBands(x, bands), { of: 'power' });
  const frames = decibels.shape[2];
  const shift = lag + (bands.center ? Math.floor(bands.nFft / (2 * bands.hopLength)) : 0);
  if (frames <= lag) return zerosLike(mean(decibels, { dim: 1 }));
  let before = decibels;
  if (maxSize > 1) {
    // Bands beyond the ends do not count: as well as mirrored ones, which are in the window already.
    const half = (maxSize - 1) / 2;
    const images = reshape(decibels, [decibels.shape[0], 1, ...decibels.shape.slice(1)]);
    const pooled = maxPool2d(images, [maxSize, 1], { stride: 1, padding: [half, 0] });
    before = reshape(pooled, decibels.shape);
  }
  const rises = maximum(sub(sliceAxis(decibels, 2, lag), sliceAxis(before, 2, 0, frames - lag)), 0);
  const strength = pad(mean(rises, { dim: 1 }), [shift, 0]);
  const free = detrend ? withoutMean(strength) : strength;
  return bands.center ? sliceAxis(free, 1, 0, frames) : free;
}

/** y[t] = x[t] - x[t - 1] + 0.99 y[t - 1]. */
function withoutMean(x: Tensor): Tensor {
  const steps = sub(x, pad(sliceAxis(x, 1, 0, x.shape[1] - 1), [1, 0]));
  return linearRecurrence(add(zerosLike(x), 0.99), steps, { dim: 1 });
}

/** Settings of `tempogram`. */
export interface TempogramOptions {
  /** Frames of the onset strength in a window; librosa's default is 384. */
  readonly winLength: number;
  /** Frame t about t (true, default), the ends running out to zero, or from there on. */
  readonly center?: boolean;
  /** Default `hann`. */
  readonly window?: Window;
  /** How frames are normalised; default by their largest value. */
  readonly norm?: 'max' | 1 | 2 | null;
}

function checkOnsets(name: string, onsets: Tensor): void {
  if (onsets.dtype !== 'f32' || onsets.rank !== 2 || onsets.size === 0) {
    throw new RangeError(
      `${name}: the onset strength is ${onsets.dtype}${formatShape(onsets.shape)}; expected f32 [batch, frames], not empty`,
    );
  }
}

/**
 * The autocorrelation of the onset strength about every frame: librosa.feature.tempogram. Onsets f32 [batch, frames] ->
 * [batch, winLength, frames], row k the lag of k frames. Gradients flow.
 *
 * @throws RangeError when winLength is no whole number from 1, or longer than the clip without `center`.
 */
export function tempogram(onsets: Tensor, options: TempogramOptions): Tensor {
  checkOptions('tempogram', options, ['winLength', 'center', 'window', 'norm']);
  const { winLength, center = true, window = 'hann', norm = 'max' } = options;
  checkChoice('tempogram', 'norm', norm, ['max', 1, 2, null]);
  checkOnsets('tempogram', onsets);
  checkCount('tempogram', 'winLength', winLength);
  const frames = onsets.shape[1];
  if (!center && frames < winLength) {
    throw new RangeError(`tempogram: ${frames} frames are fewer than winLength ${winLength}; use center: true`);
  }
  let padded = onsets;
  const half = Math.floor(winLength / 2);
  if (center && half > 0) {
    const ramp = cachedTable(onsets.device, `ramp ${half}`, () =>
      Float32Array.from({ length: half }, (_, i) => i / half),
    );
    const [first, last] = [sliceAxis(onsets, 1, 0, 1), sliceAxis(onsets, 1, frames - 1)];
    padded = concat([mul(first, ramp), onsets, mul(last, ramp.flip(0))], 1);
  }
  const own = unfold(padded, 1, winLength, 1);
  const cut = center ? sliceAxis(own, 1, 0, frames) : own;
  const weights = cachedTable(onsets.device, `window ${JSON.stringify([window, winLength])}`, () =>
    Float32Array.from(makeWindow(window, winLength)),
  );
  // Long enough that lags do not wrap around.
  const length = 2 ** Math.ceil(Math.log2(2 * winLength));
  const spectra = rfft(mul(cut, weights), { n: length });
  const power = add(square(select(spectra, -1, 0)), square(select(spectra, -1, 1)));
  const correlation = irfft(stack([power, zerosLike(power)], -1), { n: length });
  const lags = permute(sliceAxis(correlation, -1, 0, winLength), [0, 2, 1]);
  return norm === null ? lags : normaliseFrames(lags, norm);
}

/** Settings of `tempo`; the defaults are librosa's. */
export interface TempoOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Samples between frames of the onset strength; default 512. */
  readonly hopLength?: number;
  /** What is thought likely, in beats a minute; default 120. */
  readonly startBpm?: number;
  /** Octaves about it; default 1. */
  readonly stdBpm?: number;
  /** Seconds in the windows of the tempogram; default 8. */
  readonly windowSeconds?: number;
  /** Default 320; null for no limit. */
  readonly maxTempo?: number | null;
  /** One number a clip (true, default), or one a frame. */
  readonly aggregate?: boolean;
}

/**
 * Beats a minute by autocorrelation of the onset strength, weighed by a log-normal prior: librosa.feature.tempo. Onsets
 * f32 [batch, frames] -> [batch], or [batch, frames] without `aggregate`. One of the tempi that a whole number of
 * frames makes; silence gives the nearest to startBpm. It has no gradient.
 *
 * @throws RangeError when a setting is out of range.
 */
export function tempo(onsets: Tensor, options: TempoOptions): Tensor {
  const times = ['sampleRate', 'hopLength', 'windowSeconds'];
  checkOptions('tempo', options, [...times, 'startBpm', 'stdBpm', 'maxTempo', 'aggregate']);
  const { sampleRate, hopLength = 512, startBpm = 120, stdBpm = 1, windowSeconds = 8, maxTempo = 320 } = options;
  checkOnsets('tempo', onsets);
  checkCount('tempo', 'hopLength', hopLength);
  for (const [what, value] of Object.entries({ sampleRate, startBpm, stdBpm, windowSeconds })) {
    if (!(value > 0 && value < Infinity)) {
      throw new RangeError(`tempo: ${what} is ${value}; expected a positive number`);
    }
  }
  const winLength = Math.floor((windowSeconds * sampleRate) / hopLength);
  if (winLength < 2) {
    throw new RangeError(`tempo: windows of ${windowSeconds} s hold ${winLength} frames; expected 2 at least`);
  }
  // Lag 0 is an infinite tempo, which no prior allows.
  const tempi = Float64Array.from({ length: winLength }, (_, lag) => (60 * sampleRate) / (hopLength * lag));
  const lowest = maxTempo === null ? 1 : tempi.findIndex((bpm) => bpm < maxTempo);
  if (lowest < 0) {
    throw new RangeError(`tempo: no lag up to ${winLength} frames is slower than maxTempo ${maxTempo}`);
  }
  const prior = Float32Array.from(tempi, (bpm, lag) =>
    lag < Math.max(1, lowest) ? -1e30 : -0.5 * (Math.log2(bpm / startBpm) / stdBpm) ** 2,
  );
  const key = JSON.stringify([sampleRate, hopLength, startBpm, stdBpm, winLength, maxTempo]);
  const priors = reshape(
    cachedTable(onsets.device, `tempo prior ${key}`, () => prior),
    [winLength, 1],
  );
  const table = cachedTable(onsets.device, `tempi ${key}`, () =>
    Float32Array.from(tempi, (bpm, lag) => (lag ? bpm : 0)),
  );
  const whole = tempogram(onsets, { winLength });
  const lags = (options.aggregate ?? true) ? mean(whole, { dim: 2, keepdim: true }) : whole;
  const best = argmax(add(log(add(mul(maximum(lags, 0), 1e6), 1)), priors), { dim: 1 });
  const bpm = reshape(indexSelect(table, 0, reshape(best, [-1])), best.shape);
  return (options.aggregate ?? true) ? reshape(bpm, [onsets.shape[0]]) : bpm;
}

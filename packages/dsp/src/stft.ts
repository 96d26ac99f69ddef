import {
  add,
  cachedTable,
  formatShape,
  mul,
  pad,
  permute,
  pow,
  rfft,
  select,
  sqrt,
  square,
  type Tensor,
  unfold,
} from '@dawnchorus/tensor';
import { checkChoice, checkPower, checkSettings } from './options.ts';
import { makeWindow, type Window } from './windows.ts';

/** What libraries disagree on. Nothing here has a default: take one of `stftConventions`, or say it. */
export interface StftConvention {
  /** A periodic window of `winLength` samples, in the middle of `nFft`. */
  readonly window: Window;
  /** True: frame t is centred on sample t hopLength, the clip padded by nFft / 2 on both sides. False: it starts there. */
  readonly center: boolean;
  /** What a centred transform sees outside: zeros, the clip mirrored about its first and last sample, or those repeated. */
  readonly padMode: 'constant' | 'reflect' | 'replicate';
  /** `window` divides by the root of the window's energy, `frameLength` by sqrt(nFft). */
  readonly normalized: false | 'window' | 'frameLength';
}

/** The defaults of librosa (zeros at the edges) and of torchaudio (mirrored edges): their edge frames differ by as much as they hold. */
export const stftConventions = {
  librosa: { window: 'hann', center: true, padMode: 'constant', normalized: false },
  torchaudio: { window: 'hann', center: true, padMode: 'reflect', normalized: false },
} as const satisfies Record<string, StftConvention>;

export interface StftOptions extends StftConvention {
  /** Samples in a transform; there are floor(nFft / 2) + 1 bins, nFft / sampleRate apart. */
  readonly nFft: number;
  /** Samples between neighbouring frames. */
  readonly hopLength: number;
  /** Samples in the window, at most nFft, which is the default. */
  readonly winLength?: number;
}

export const stftOptions = ['nFft', 'hopLength', 'winLength', 'window', 'center', 'padMode', 'normalized'] as const;

export function checkStft({ nFft, hopLength, winLength = nFft, center, padMode, normalized }: StftOptions): void {
  for (const [name, value] of Object.entries({ nFft, hopLength, winLength })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`stft: ${name} is ${value}; expected a whole number from 1`);
    }
  }
  if (winLength > nFft)
    throw new RangeError(`stft: winLength ${winLength} is over nFft ${nFft}; expected at most that`);
  checkChoice('stft', 'center', center, [true, false]);
  checkChoice('stft', 'padMode', padMode, ['constant', 'reflect', 'replicate']);
  checkChoice('stft', 'normalized', normalized, [false, 'window', 'frameLength']);
}

/** The window, scaled, in the middle of nFft: f32 [nFft], computed in f64. */
export function frameWindow({ nFft, winLength = nFft, window, normalized }: StftOptions): Float32Array<ArrayBuffer> {
  const weights = makeWindow(window, winLength);
  const energy = weights.reduce((sum, weight) => sum + weight * weight, 0);
  const scale = normalized === false ? 1 : 1 / Math.sqrt(normalized === 'window' ? energy : nFft);
  const before = Math.floor((nFft - winLength) / 2);
  const out = new Float32Array(nFft);
  weights.forEach((weight, i) => {
    out[before + i] = scale * weight;
  });
  return out;
}

/** Both ends filled up by `half` samples: [batch, samples + 2 half]. */
function padEnds(x: Tensor, half: number, mode: StftConvention['padMode']): Tensor {
  const samples = x.shape[1];
  if (mode === 'reflect' && samples <= half) {
    throw new RangeError(
      `stft: a clip of ${samples} samples is too short to mirror ${half} of them; use padMode 'constant', a shorter nFft or a longer clip`,
    );
  }
  return pad(x, [half, half], { mode });
}

/** The spectra of the frames: [batch, frames, bins, 2]. */
function spectra(x: Tensor, options: StftOptions): Tensor {
  checkStft(options);
  const { nFft, hopLength, winLength = nFft, window, center, padMode, normalized } = options;
  if (x.dtype !== 'f32' || x.rank !== 2 || x.size === 0) {
    throw new RangeError(`stft: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [batch, samples], not empty`);
  }
  const half = center ? Math.floor(nFft / 2) : 0;
  if (x.shape[1] + 2 * half < nFft) {
    throw new RangeError(
      `stft: a clip of ${x.shape[1]} samples is shorter than nFft ${nFft}; use center: true, a shorter nFft or a longer clip`,
    );
  }
  const padded = half > 0 ? padEnds(x, half, padMode) : x;
  const key = `stft ${JSON.stringify([nFft, winLength, window, normalized])}`;
  const weights = cachedTable(x.device, key, () => frameWindow(options));
  return rfft(mul(unfold(padded, 1, nFft, hopLength), weights));
}

/**
 * The short-time Fourier transform: x f32 [batch, samples] -> f32 [batch, bins, frames, 2], (re, im) last, with
 * bins = floor(nFft / 2) + 1 and, centred, frames = floor(samples / hopLength) + 1 (even nFft).
 *
 * It is `rfft` of windowed frames, and gradients flow through it.
 *
 * @throws RangeError when a setting is out of range, or the clip is shorter than the padding or nFft ask for.
 */
export function stft(x: Tensor, options: StftOptions): Tensor {
  checkSettings('stft', options, stftOptions);
  return permute(spectra(x, options), [0, 2, 1, 3]);
}

/**
 * |stft|^power: [batch, bins, frames]. Power 2 (default) is energy; power 1 is magnitude, whose gradient is infinite
 * where the spectrum is zero, as that of any power under 2.
 *
 * @throws RangeError as `stft` does, and when the power is not positive.
 */
export function spectrogram(x: Tensor, options: StftOptions & { power?: number }): Tensor {
  checkSettings('spectrogram', options, [...stftOptions, 'power']);
  return powerSpectra(x, options);
}

/** `spectrogram`, for functions that have more options. */
export function powerSpectra(x: Tensor, { power = 2, ...options }: StftOptions & { power?: number }): Tensor {
  checkPower('spectrogram', power);
  const y = spectra(x, options);
  const energy = permute(add(square(select(y, -1, 0)), square(select(y, -1, 1))), [0, 2, 1]);
  if (power === 2) return energy;
  return power === 1 ? sqrt(energy) : pow(energy, power / 2);
}

import {
  add,
  cachedTable,
  conv1d,
  formatShape,
  indexSelect,
  permute,
  reshape,
  sliceAxis,
  sqrt,
  square,
  type Tensor,
} from '@dawnchorus/tensor';
import { makeWindow, type Window } from './windows.ts';

/** What libraries disagree on. Nothing here has a default: take one of `stftConventions`, or say it. */
export interface StftConvention {
  /** A periodic window of `winLength` samples, in the middle of `nFft`. */
  readonly window: Window;
  /** True: frame t is centred on sample t hopLength, the clip padded by nFft / 2 on both sides. False: it starts there. */
  readonly center: boolean;
  /** What a centred transform sees outside the clip: zeros, or the clip mirrored about its first and last sample. */
  readonly padMode: 'constant' | 'reflect';
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

function check({ nFft, hopLength, winLength = nFft }: StftOptions): void {
  for (const [name, value] of Object.entries({ nFft, hopLength, winLength })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`stft: ${name} is ${value}; expected a whole number from 1`);
    }
  }
  if (winLength > nFft)
    throw new RangeError(`stft: winLength ${winLength} is over nFft ${nFft}; expected at most that`);
}

/** Windowed cosines, then windowed negative sines: [2 bins, nFft] in f32, computed in f64. */
function filters({ nFft, winLength = nFft, window, normalized }: StftOptions): Float32Array<ArrayBuffer> {
  const bins = Math.floor(nFft / 2) + 1;
  const weights = makeWindow(window, winLength);
  const energy = weights.reduce((sum, weight) => sum + weight * weight, 0);
  const scale = normalized === false ? 1 : 1 / Math.sqrt(normalized === 'window' ? energy : nFft);
  const before = Math.floor((nFft - winLength) / 2);
  const cosine = Float64Array.from({ length: nFft }, (_, i) => Math.cos((2 * Math.PI * i) / nFft));
  const sine = Float64Array.from({ length: nFft }, (_, i) => Math.sin((2 * Math.PI * i) / nFft));
  const out = new Float32Array(2 * bins * nFft);
  for (let f = 0; f < bins; f++) {
    for (let i = 0; i < winLength; i++) {
      const n = before + i;
      const phase = (f * n) % nFft;
      out[f * nFft + n] = scale * weights[i] * cosine[phase];
      out[(bins + f) * nFft + n] = -scale * weights[i] * sine[phase];
    }
  }
  return out;
}

/** x with `padding` samples mirrored at both ends, the ends themselves not repeated: [batch, samples + 2 padding]. */
function reflect(x: Tensor, padding: number): Tensor {
  const samples = x.shape[1];
  if (samples <= padding) {
    throw new RangeError(
      `stft: a clip of ${samples} samples is too short to mirror ${padding} of them; use padMode 'constant', a shorter nFft or a longer clip`,
    );
  }
  const indices = cachedTable(x.device, `stft reflection ${samples} ${padding}`, () => {
    const index = new Int32Array(samples + 2 * padding);
    for (let i = 0; i < index.length; i++) {
      const at = Math.abs(i - padding);
      index[i] = at < samples ? at : 2 * (samples - 1) - at;
    }
    return index;
  });
  return indexSelect(x, 1, indices);
}

/** Real and imaginary parts one after the other: [batch, 2 bins, frames]. */
function parts(x: Tensor, options: StftOptions): Tensor {
  check(options);
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
  const padded = padMode === 'reflect' && half > 0 ? reflect(x, half) : x;
  const key = `stft ${JSON.stringify([nFft, winLength, window, normalized])}`;
  const weight = reshape(
    cachedTable(x.device, key, () => filters(options)),
    [-1, 1, nFft],
  );
  return conv1d(reshape(padded, [x.shape[0], 1, padded.shape[1]]), weight, {
    stride: hopLength,
    padding: padMode === 'constant' ? half : 0,
  });
}

/**
 * The short-time Fourier transform: x f32 [batch, samples] -> f32 [batch, bins, frames, 2], (re, im) last, with
 * bins = floor(nFft / 2) + 1 and, centred, frames = floor(samples / hopLength) + 1 (even nFft).
 *
 * It is a convolution with windowed cosines and sines that were computed in f64, so gradients flow through it; the work
 * is 2 nFft bins multiply-adds a frame, where a kernel of its own by fast Fourier transform would take fewer.
 *
 * @throws RangeError when a setting is out of range, or the clip is shorter than the padding or nFft ask for.
 */
export function stft(x: Tensor, options: StftOptions): Tensor {
  const y = parts(x, options);
  return permute(reshape(y, [y.shape[0], 2, y.shape[1] / 2, y.shape[2]]), [0, 2, 3, 1]);
}

/**
 * |stft|^power: [batch, bins, frames]. Power 2 (default) is energy; power 1 is magnitude, whose gradient is infinite
 * where the spectrum is zero.
 */
export function spectrogram(x: Tensor, { power = 2, ...options }: StftOptions & { power?: 1 | 2 }): Tensor {
  const y = parts(x, options);
  const bins = y.shape[1] / 2;
  const energy = add(square(sliceAxis(y, 1, 0, bins)), square(sliceAxis(y, 1, bins, 2 * bins)));
  return power === 2 ? energy : sqrt(energy);
}

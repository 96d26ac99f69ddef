import {
  cachedTable,
  checkOptions,
  concat,
  formatShape,
  matmul,
  permute,
  reshape,
  type Tensor,
} from '@dawnchorus/tensor';
import { type DctConvention, type DctNorm, dctMatrix } from './dct.ts';
import { deltas } from './deltas.ts';
import { type KaldiMfccOptions, kaldiMfcc } from './kaldi.ts';
import { amplitudeToDb, logBands, type MelOptions, melBands, melOptions } from './mel.ts';
import { type StftOptions, stftConventions, stftOptions } from './stft.ts';

/** Settings of `cepstra`. */
export interface CepstraOptions {
  readonly nMfcc: number;
  /** Default `ortho`. */
  readonly norm?: DctNorm;
  /** Whose cosines; default scipy's, librosa's. */
  readonly convention?: DctConvention;
  /** Cepstrum i times 1 + lifter / 2 sin(pi (i + 1) / lifter), as librosa counts; default 0, none. */
  readonly lifter?: number;
}

/**
 * The cosine transform of logarithms of bands: f32 [batch, nMels, frames] -> [batch, nMfcc, frames]. Gradients flow.
 *
 * @throws RangeError when nMfcc is no whole number from 1 to nMels, or lifter is negative.
 */
export function cepstra(bands: Tensor, options: CepstraOptions): Tensor {
  checkOptions('cepstra', options, ['nMfcc', 'norm', 'convention', 'lifter']);
  const { nMfcc, norm = 'ortho', lifter = 0, convention = 'scipy' } = options;
  if (bands.dtype !== 'f32' || bands.rank !== 3 || bands.size === 0) {
    throw new RangeError(
      `cepstra: bands are ${bands.dtype}${formatShape(bands.shape)}; expected f32 [batch, nMels, frames], not empty`,
    );
  }
  const nMels = bands.shape[1];
  if (!Number.isInteger(nMfcc) || nMfcc < 1 || nMfcc > nMels) {
    throw new RangeError(`cepstra: nMfcc is ${nMfcc}; expected a whole number from 1 to the bands, ${nMels}`);
  }
  if (!(lifter >= 0 && lifter < Infinity)) throw new RangeError(`cepstra: lifter is ${lifter}; expected 0 or more`);
  const table = cachedTable(bands.device, `dct ${JSON.stringify([nMfcc, nMels, norm, lifter, convention])}`, () =>
    dctMatrix(nMfcc, nMels, norm, convention).map((value, i) => {
      const k = Math.floor(i / nMels) + 1;
      return lifter === 0 ? value : value * (1 + (lifter / 2) * Math.sin((Math.PI * k) / lifter));
    }),
  );
  return matmul(reshape(table, [nMfcc, nMels]), bands);
}

/** What the presets of `mfcc` share. */
export type MfccCommon = Partial<StftOptions & Omit<MelOptions, 'sampleRate'>> & {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Cepstra. */
  readonly nMfcc?: number;
};

/** Settings of `mfcc`. A preset gives the defaults of a library, and any of them may be said otherwise. */
export type MfccOptions =
  | (MfccCommon & {
      /** librosa.feature.mfcc: 20 of 128 Slaney bands with unit area, nFft 2048, hop 512, zeros at the edges, dB. */
      readonly preset: 'librosa';
      /** Default 0, none. */
      readonly lifter?: number;
      /** Nothing lies further under a clip's maximum than this, in dB; default 80, null for no limit. */
      readonly topDb?: number | null;
    })
  | (MfccCommon & {
      /** torchaudio.transforms.MFCC: 40 of 128 HTK bands of unit height, nFft 400, hop 200, mirrored edges, dB. */
      readonly preset: 'torchaudio';
      /** ln(mel + 1e-6) in the place of dB; default false. */
      readonly logMels?: boolean;
      /** Default 80, null for no limit. */
      readonly topDb?: number | null;
    })
  | (KaldiMfccOptions & {
      /** torchaudio.compliance.kaldi.mfcc without dither: 13 of 23 bands, frames of 25 ms every 10 ms. */
      readonly preset: 'kaldi';
    });

const presets = {
  librosa: { ...stftConventions.librosa, nFft: 2048, hopLength: 512, nMels: 128, scale: 'slaney', norm: 'slaney' },
  torchaudio: { ...stftConventions.torchaudio, nFft: 400, hopLength: 200, nMels: 128, scale: 'htk', norm: null },
} as const;

/**
 * Mel-frequency cepstral coefficients: x f32 [batch, samples] -> [batch, nMfcc, frames]. `topDb` counts from the maximum
 * of each clip, so that a clip gives the same in any batch (librosa counts from that of all channels). Gradients flow.
 *
 * @throws RangeError as the spectra do, and when nMfcc is no whole number from 1 to nMels.
 */
export function mfcc(x: Tensor, options: MfccOptions): Tensor {
  if (options.preset === 'kaldi') {
    const { preset, ...rest } = options;
    return permute(kaldiMfcc(x, rest), [0, 2, 1]);
  }
  if (options.preset !== 'librosa' && options.preset !== 'torchaudio') {
    const { preset } = options as { preset: unknown };
    throw new RangeError(`mfcc: preset is '${preset}'; expected 'librosa', 'torchaudio' or 'kaldi'`);
  }
  const own = options.preset === 'librosa' ? ['lifter', 'topDb'] : ['logMels', 'topDb'];
  const known = ['preset', 'nMfcc', ...own, ...stftOptions, ...melOptions];
  checkOptions(`mfcc: preset '${options.preset}'`, options, known);
  const bands = { ...presets[options.preset], ...options };
  const { topDb = 80 } = options;
  const decibels = () => amplitudeToDb(melBands(x, bands), { of: 'power', topDb });
  if (options.preset === 'torchaudio') {
    return cepstra(options.logMels ? logBands(x, bands) : decibels(), {
      nMfcc: options.nMfcc ?? 40,
      convention: 'torchaudio',
    });
  }
  return cepstra(decibels(), { nMfcc: options.nMfcc ?? 20, lifter: options.lifter });
}

/**
 * Coefficients, their deltas and the deltas of those, one above the other: [batch, 3 nMfcc, frames]. With the preset
 * `kaldi` these are the 39 features of HuBERT's first clustering (torchaudio's deltas of width 5); librosa's convention
 * fits polynomials of degree 1 and 2 to 9 frames.
 *
 * @throws RangeError as `mfcc` and `deltas` do.
 */
export function mfccWithDeltas(x: Tensor, options: MfccOptions): Tensor {
  const own = mfcc(x, options);
  if (options.preset === 'librosa') {
    const [first, second] = [1, 2].map((order) => deltas(own, { convention: 'librosa', order }));
    return concat([own, first, second], 1);
  }
  const first = deltas(own, { convention: 'torchaudio' });
  return concat([own, first, deltas(first, { convention: 'torchaudio' })], 1);
}

import { chromaStft, deltas, kaldiMfcc, logMel, stftConventions } from '@dawnchorus/dsp';
import { concat, type Tensor } from '@dawnchorus/tensor';

/** What music is clustered by. */
export interface Feature {
  /** Numbers in a frame. */
  readonly dimension: number;
  /** Clusters, unless others are asked for: those of MERT's K-means variant, and of HuBERT's first clustering. */
  readonly clusters: number;
  /** Samples behind a frame at a rate. */
  window(sampleRate: number): number;
  /** Frame t sees the samples from t hop - before on. */
  before: number;
  /** Frames on both sides that a frame depends on beyond its own window; at a recording's ends the outermost are repeated. */
  context: number;
  /** x [batch, samples] -> [batch, frames, dimension], of all windows that lie in x. */
  compute(x: Tensor, sampleRate: number, hop: number): Tensor;
}

const N_FFT = 2048;
const DELTA_WIDTH = 5;

/** [batch, dimension, frames] with frames as rows. */
const rowsOf = (x: Tensor): Tensor => x.permute([0, 2, 1]);

/** What of a frame is clustered: see `features`. */
export type FeatureName = 'logmel' | 'chroma' | 'mfcc';

/**
 * The features that teachers are made of, by name.
 * - `logmel`: ln(mel + 1e-5) of 229 HTK bands of unit height from 32.7 Hz, as MERT's optional mel head has them but for the
 *   normalisation: energies of Hann windows of 2048 samples with unit energy, centred, zeros at the edges.
 * - `chroma`: librosa's chroma_stft with 264 classes and tuning 0, windows of 2048, centred, zeros at the edges.
 * - `mfcc`: HuBERT's 39: 13 of Kaldi's cepstra in windows of 25 ms that begin at t hop, deltas and deltas of deltas.
 */
export const features: Readonly<Record<FeatureName, Feature>> = {
  logmel: {
    dimension: 229,
    clusters: 300,
    window: () => N_FFT,
    before: N_FFT / 2,
    context: 0,
    compute: (x, sampleRate, hopLength) =>
      rowsOf(
        logMel(x, {
          ...{ sampleRate, hopLength, nFft: N_FFT, nMels: 229, fMin: 32.7, scale: 'htk', norm: null, offset: 1e-5 },
          ...{ window: 'hann', center: false, padMode: 'constant', normalized: 'window' },
        }),
      ),
  },
  chroma: {
    dimension: 264,
    clusters: 200,
    window: () => N_FFT,
    before: N_FFT / 2,
    context: 0,
    compute: (x, sampleRate, hopLength) =>
      rowsOf(
        chromaStft(x, {
          ...{ sampleRate, hopLength, nFft: N_FFT, nChroma: 264, tuning: 0 },
          ...stftConventions.librosa,
          center: false,
        }),
      ),
  },
  mfcc: {
    dimension: 39,
    clusters: 100,
    window: (sampleRate) => Math.trunc(sampleRate * 0.025),
    before: 0,
    context: 2 * Math.floor(DELTA_WIDTH / 2),
    compute(x, sampleRate, hop) {
      // Half a sample more than the hop, which is rounded down: 1000 / 75 ms are not quite 320 samples.
      const frameShift = ((hop + 0.5) / sampleRate) * 1000;
      const own = kaldiMfcc(x, { sampleRate, frameShift }).permute([0, 2, 1]);
      const change = (values: Tensor) => deltas(values, { convention: 'torchaudio', width: DELTA_WIDTH });
      const first = change(own);
      return rowsOf(concat([own, first, change(first)], 1));
    },
  },
};

/** Their names. */
export const featureNames = Object.keys(features) as FeatureName[];

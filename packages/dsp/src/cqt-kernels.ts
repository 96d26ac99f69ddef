/**
 * The filters of the constant-Q transform in f64, exactly as nnAudio's CQT1992v2 makes them (nnAudio/utils.py,
 * `create_cqt_kernels`): complex exponentials under periodic Hann windows of whole length, L1-normalised.
 */

/** How a coefficient is scaled by its filter's length l: `librosa` by sqrt(l), `convolutional` by 1, `wrap` by 2. */
export type CqtNormalization = 'librosa' | 'convolutional' | 'wrap';

/** What the filters of a constant-Q transform follow from. */
export interface CqtSettings {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Samples between neighbouring frames. */
  readonly hopLength: number;
  /** Frequency of the lowest bin in Hz. */
  readonly fMin: number;
  readonly bins: number;
  readonly binsPerOctave: number;
  readonly normalization: CqtNormalization;
  /**
   * Hz that bandwidths have more than a constant Q gives them: the variable-Q transform. 0 (default) is the constant-Q
   * transform. See `cqtLengths`.
   */
  readonly gamma?: number;
  /** Factor of all filter lengths; default 1. */
  readonly filterScale?: number;
}

/** One filter: tap i meets the sample `first + i` from the centre of the frame. */
export interface CqtKernel {
  readonly first: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}

/** Taps of all filters together that are held: a gigabyte. */
const MOST_TAPS = 2 ** 27;

/**
 * Checks every setting of what the user called; the top bin may lie at `highest` Hz, half the sample rate if it is not given.
 *
 * @throws RangeError that says which one is wrong and what it may be.
 */
export function checkCqtSettings(settings: CqtSettings, name = 'createCqt', highest = settings.sampleRate / 2): void {
  const { sampleRate, fMin, bins, binsPerOctave } = settings;
  for (const count of ['hopLength', 'bins', 'binsPerOctave'] as const) {
    if (!Number.isInteger(settings[count]) || settings[count] < 1) {
      throw new RangeError(`${name}: ${count} is ${settings[count]}; expected a whole number from 1`);
    }
  }
  for (const hz of ['sampleRate', 'fMin'] as const) {
    if (!(settings[hz] > 0 && settings[hz] < Infinity)) {
      throw new RangeError(`${name}: ${hz} is ${settings[hz]} Hz; expected a positive number`);
    }
  }
  const { gamma = 0, filterScale = 1 } = settings;
  if (!(gamma >= 0 && gamma < Infinity)) {
    throw new RangeError(`${name}: gamma is ${gamma} Hz; expected a number from 0`);
  }
  if (!(filterScale > 0 && filterScale < Infinity)) {
    throw new RangeError(`${name}: filterScale is ${filterScale}; expected a positive number`);
  }
  const top = fMin * 2 ** ((bins - 1) / binsPerOctave);
  if (top > highest) {
    const most = highest < fMin ? 0 : Math.floor(binsPerOctave * Math.log2(highest / fMin)) + 1;
    const limit =
      highest < sampleRate / 2
        ? `${highest.toFixed(1)} Hz, where its filter reaches half the sample rate of ${sampleRate} Hz`
        : `half the sample rate of ${sampleRate} Hz`;
    throw new RangeError(
      `${name}: the top bin lies at ${top.toFixed(1)} Hz, above ${limit}; use at most ${most} bins, a lower fMin or a higher sampleRate`,
    );
  }
  // A periodic Hann window of one sample is zero.
  const lengths = exactLengths(settings);
  if (lengths[bins - 1] < 2) {
    throw new RangeError(
      `${name}: gamma ${gamma} and filterScale ${filterScale} leave the top filter less than 2 samples; use smaller and larger ones`,
    );
  }
  const taps = lengths.reduce((sum, length) => sum + length, 0);
  if (taps > MOST_TAPS) {
    throw new RangeError(
      `${name}: the filters have ${taps} taps together, the longest ${lengths[0]}; expected ${MOST_TAPS} at most: use a higher fMin, fewer binsPerOctave, a smaller filterScale or gamma`,
    );
  }
}

/** Centre frequencies f_k = fMin 2^(k / binsPerOctave) in Hz: [bins]. */
export function cqtFrequencies({ fMin, bins, binsPerOctave }: CqtSettings): Float64Array {
  return Float64Array.from({ length: bins }, (_, k) => fMin * 2 ** (k / binsPerOctave));
}

/**
 * Filter lengths l_k = ceil(Q sampleRate / (f_k + gamma / a)) in samples, a = 2^(1 / binsPerOctave) - 1 and
 * Q = filterScale / a: [bins]. They fall with k.
 *
 * @throws RangeError when i32 cannot hold the longest.
 */
export function cqtLengths(settings: CqtSettings): Int32Array {
  const lengths = exactLengths(settings);
  if (!(lengths[0] < 2 ** 31)) {
    throw new RangeError(
      `cqtLengths: the longest filter has ${lengths[0]} samples; expected under 2^31: use a higher fMin`,
    );
  }
  return Int32Array.from(lengths);
}

function exactLengths(settings: CqtSettings): Float64Array {
  const { sampleRate, binsPerOctave, gamma = 0, filterScale = 1 } = settings;
  const quality = 1 / (2 ** (1 / binsPerOctave) - 1);
  return cqtFrequencies(settings).map((frequency) =>
    Math.ceil((filterScale * quality * sampleRate) / (frequency + gamma * quality)),
  );
}

/** The sample, counted from the frame's centre, that a filter's tap 0 meets. Odd lengths reach one further back. */
function firstTap(length: number): number {
  return -Math.ceil(length / 2);
}

/** What the sum of L1-normalised taps is multiplied by. */
export function cqtScale(length: number, normalization: CqtNormalization): number {
  if (normalization === 'librosa') return Math.sqrt(length);
  return normalization === 'wrap' ? 2 : 1;
}

/** One filter: w_i exp(j 2 pi f n_i / sampleRate) / sum of w, n_i = first + i, w the periodic Hann window. */
export function cqtKernel(frequency: number, length: number, sampleRate: number): CqtKernel {
  const first = firstTap(length);
  const re = new Float64Array(length);
  const im = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    // The window's sum is length / 2.
    const weight = (1 - Math.cos((2 * Math.PI * i) / length)) / length;
    const phase = (2 * Math.PI * frequency * (first + i)) / sampleRate;
    re[i] = weight * Math.cos(phase);
    im[i] = weight * Math.sin(phase);
  }
  return { first, re, im };
}

import {
  cachedTable,
  checkOptions,
  complexAbs,
  concat,
  formatShape,
  matmul,
  mul,
  permute,
  reshape,
  type Tensor,
} from '@dawnchorus/tensor';
import { type CqtKernel, checkCqtSettings } from './cqt-kernels.ts';
import { checkChoice } from './options.ts';
import { halveRate } from './resample-tensor.ts';
import { spectrogram, stft } from './stft.ts';

/** Settings of `pseudoCqt` and `hybridCqt`; the defaults are librosa's. */
export interface PseudoCqtOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Samples between neighbouring frames; default 512. */
  readonly hopLength?: number;
  /** Frequency of the lowest bin in Hz; default C1, 32.7032. */
  readonly fMin?: number;
  /** Default 84. */
  readonly bins?: number;
  /** Default 12. */
  readonly binsPerOctave?: number;
  /** Factor of all filter lengths; default 1. */
  readonly filterScale?: number;
  /** The smallest entries of each filter's spectrum that together are this share of it are left out; default 0.01. */
  readonly sparsity?: number;
  /** True (default): the root of its length times a bin's L1-normalised filter, as `createCqt` has it. False: its length. */
  readonly scale?: boolean;
  /** What lies outside of a clip; default zeros. */
  readonly padMode?: 'constant' | 'reflect';
}

/** Settings of `librosaCqt`. */
export interface LibrosaCqtOptions extends PseudoCqtOptions {
  /**
   * Hz that bandwidths have more than a constant Q gives them: librosa.vqt. Default 0, librosa.cqt; null for equal rectangular
   * bandwidths as ears have them (24.7 / 0.108 times a bin's relative bandwidth), librosa.vqt's default.
   */
  readonly gamma?: number | null;
}

const C1 = 440 * 2 ** (-45 / 12);

const rates = ['sampleRate', 'hopLength', 'fMin', 'bins', 'binsPerOctave', 'filterScale'];
const pseudoOptions = [...rates, 'sparsity', 'scale', 'padMode'];

/** Options with their defaults, and each bin's frequency and length in samples, which need not be whole. */
function plan(name: string, options: PseudoCqtOptions, gamma: number | null = 0) {
  const whole = name === 'librosaCqt';
  checkOptions(name, options, whole ? [...pseudoOptions, 'gamma'] : pseudoOptions);
  const { sampleRate, hopLength = 512, fMin = C1, bins = 84, binsPerOctave = 12, filterScale = 1 } = options;
  const { sparsity = 0.01, scale = true, padMode = 'constant' } = options;
  const settings = { sampleRate, hopLength, fMin, bins, binsPerOctave, filterScale, normalization: 'librosa' as const };
  if (gamma !== null && !(gamma >= 0 && gamma < Infinity)) {
    throw new RangeError(`${name}: gamma is ${gamma} Hz; expected a number from 0, or null`);
  }
  const ratio = 2 ** (2 / binsPerOctave);
  const alpha = (ratio - 1) / (ratio + 1);
  const wider = gamma ?? (alpha * 24.7) / 0.108;
  // How far up a filter reaches: a Hann window's bandwidth is 1.50018 of its bins.
  const reach = 1 + (0.5 * 1.50018310546875 * alpha) / filterScale;
  const cutoff = (end: number) => frequencies[end - 1] * reach + 0.5 * wider;
  checkCqtSettings(settings, name, whole ? (0.5 * (sampleRate - wider)) / reach : sampleRate / 2);
  checkChoice(name, 'padMode', padMode, ['constant', 'reflect']);
  if (!(sparsity >= 0 && sparsity < 1)) {
    throw new RangeError(`${name}: sparsity is ${sparsity}; expected a number from 0 to under 1`);
  }
  const frequencies = Array.from({ length: bins }, (_, k) => fMin * 2 ** (k / binsPerOctave));
  const lengths = frequencies.map((frequency) => (filterScale * sampleRate) / (alpha * frequency + wider));
  return { ...settings, name, sparsity, scale, padMode, frequencies, lengths, cutoff };
}

type Plan = ReturnType<typeof plan>;

/** librosa.filters.wavelet: a filter under a periodic Hann window, L1-normalised; tap i meets sample first + i. */
function wavelet(frequency: number, length: number, sampleRate: number): CqtKernel {
  const first = Math.floor(-length / 2);
  const taps = Math.floor(length / 2) - first;
  // The window's sum is taps / 2.
  const weights = Float64Array.from({ length: taps }, (_, i) => (1 - Math.cos((2 * Math.PI * i) / taps)) / taps);
  const part = (of: (angle: number) => number) =>
    weights.map((weight, i) => weight * of((2 * Math.PI * frequency * (first + i)) / sampleRate));
  return { first, re: part(Math.cos), im: part(Math.sin) };
}

/** The transform of a filter in the middle of `points` samples, a power of 2, up to half the rate. */
function spectrumOf({ re, im }: Pick<CqtKernel, 're' | 'im'>, points: number): { re: Float64Array; im: Float64Array } {
  const [a, b] = [new Float64Array(points), new Float64Array(points)];
  const bits = Math.log2(points);
  const before = Math.floor((points - re.length) / 2);
  for (let i = 0; i < re.length; i++) {
    let turned = 0;
    for (let bit = 0; bit < bits; bit++) turned |= (((before + i) >> bit) & 1) << (bits - 1 - bit);
    a[turned] = re[i];
    b[turned] = im[i];
  }
  for (let half = 1; half < points; half *= 2) {
    for (let k = 0; k < half; k++) {
      const [c, s] = [Math.cos((Math.PI * k) / half), -Math.sin((Math.PI * k) / half)];
      for (let i = k; i < points; i += 2 * half) {
        const j = i + half;
        const [x, y] = [a[j] * c - b[j] * s, a[j] * s + b[j] * c];
        [a[j], b[j], a[i], b[i]] = [a[i] - x, b[i] - y, a[i] + x, b[i] + y];
      }
    }
  }
  return { re: a.subarray(0, points / 2 + 1), im: b.subarray(0, points / 2 + 1) };
}

/** librosa.util.sparsify_rows: which values stay when the smallest that together are under `share` of all go. */
function staying(magnitudes: Float64Array, share: number): Uint8Array {
  const sorted = Float64Array.from(magnitudes).sort();
  const total = sorted.reduce((sum, value) => sum + value, 0);
  let [sum, at] = [sorted[0] / total, 0];
  while (sum < share && at < sorted.length - 1) sum += sorted[++at] / total;
  return Uint8Array.from(magnitudes, (value) => (value >= sorted[at] ? 1 : 0));
}

/** The power of 2 that holds the longest filter and two hops. */
const pointsOf = ({ hopLength, lengths }: Plan, from: number) =>
  2 ** Math.max(Math.ceil(Math.log2(lengths[from])), 1 + Math.ceil(Math.log2(hopLength)));

function checkWaveform(name: string, x: Tensor): void {
  if (x.dtype !== 'f32' || x.rank !== 2 || x.size === 0) {
    throw new RangeError(`${name}: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [batch, samples], not empty`);
  }
}

/** Bins from number `from` on, by magnitudes of spectra alone. */
function pseudoBins(x: Tensor, own: Plan, from: number): Tensor {
  const { sampleRate, hopLength, lengths, frequencies, sparsity, scale, padMode } = own;
  const bins = lengths.length - from;
  const points = pointsOf(own, from);
  const key = JSON.stringify([sampleRate, frequencies.slice(from), lengths[from], points, sparsity, scale]);
  const table = cachedTable(x.device, `pseudo CQT ${key}`, () => {
    const rows = new Float32Array(bins * (points / 2 + 1));
    for (let k = 0; k < bins; k++) {
      const length = lengths[from + k];
      const { re, im } = spectrumOf(wavelet(frequencies[from + k], length, sampleRate), points);
      const magnitudes = re.map((value, f) => Math.hypot(value, im[f]));
      const stays = staying(magnitudes, sparsity);
      const factor = (length / points) * (scale ? 1 / Math.sqrt(points) : Math.sqrt(length / points));
      rows.set(
        magnitudes.map((value, f) => factor * stays[f] * value),
        k * (points / 2 + 1),
      );
    }
    return rows;
  });
  const cut = { nFft: points, hopLength, window: 'hann', center: true, padMode, normalized: false, power: 1 } as const;
  return matmul(reshape(table, [bins, points / 2 + 1]), spectrogram(x, cut));
}

/**
 * librosa.pseudo_cqt: magnitudes of spectra of one length through the magnitudes of the filters' spectra. Quick, without
 * phases, and no constant-Q transform to measure by. x f32 [batch, samples] -> [batch, bins, floor(samples / hopLength) + 1].
 * Gradients flow.
 *
 * @throws RangeError when a setting is out of range, x is empty or too short to mirror.
 */
export function pseudoCqt(x: Tensor, options: PseudoCqtOptions): Tensor {
  checkWaveform('pseudoCqt', x);
  return pseudoBins(x, plan('pseudoCqt', options), 0);
}

/** Bins from `low` to `end` - 1 at a rate of sampleRate / decimation, whose spectra librosa makes sparse. */
function octave(x: Tensor, own: Plan, [low, end]: readonly [number, number], decimation: number): Tensor {
  const { sampleRate, hopLength, frequencies, lengths, sparsity, scale, padMode } = own;
  const rate = sampleRate / decimation;
  const points = 2 ** Math.ceil(Math.log2(lengths[low] / decimation));
  const bins = end - low;
  const width = points / 2 + 1;
  const filters = [frequencies, lengths].map((values) => values.slice(low, end));
  const key = JSON.stringify([sampleRate, filters, decimation, sparsity, scale]);
  // Rows of (re, -im) give the product's real part from spectra (re, im), rows of (im, re) its imaginary part.
  const table = cachedTable(x.device, `librosa CQT ${key}`, () => {
    const rows = new Float32Array(2 * bins * 2 * width);
    for (let k = 0; k < bins; k++) {
      const length = lengths[low + k] / decimation;
      const { re, im } = spectrumOf(wavelet(frequencies[low + k], length, rate), points);
      const stays = staying(
        re.map((value, f) => Math.hypot(value, im[f])),
        sparsity,
      );
      const factor = (length / points) * Math.sqrt(decimation) * (scale ? 1 / Math.sqrt(lengths[low + k]) : 1);
      for (let f = 0; f < width; f++) {
        const [a, b] = [factor * stays[f] * re[f], factor * stays[f] * im[f]];
        rows.set([a, -b], 2 * (2 * k * width + f));
        rows.set([b, a], 2 * ((2 * k + 1) * width + f));
      }
    }
    return rows;
  });
  const cut = { nFft: points, hopLength: hopLength / decimation, window: 'rectangular', center: true } as const;
  const spectra = stft(x, { ...cut, padMode, normalized: false });
  const [batch, , frames] = spectra.shape;
  const columns = reshape(permute(spectra, [0, 1, 3, 2]), [batch, 2 * width, frames]);
  return reshape(matmul(reshape(table, [2 * bins, 2 * width]), columns), [batch, bins, 2, frames]);
}

const twosIn = (n: number): number => (n % 2 === 0 ? 1 + twosIn(n / 2) : 0);

/** Bins up to number `end` as librosa.cqt has them, octave by octave at rates that are halved: [batch, end, frames, 2]. */
function fullBins(x: Tensor, own: Plan, end: number): Tensor {
  const { sampleRate, hopLength, binsPerOctave } = own;
  const octaves = Math.ceil(end / binsPerOctave);
  const cutoff = own.cutoff(end);
  if (cutoff > sampleRate / 2) {
    throw new RangeError(
      `${own.name}: the top filter reaches ${cutoff.toFixed(1)} Hz, over half the sample rate, ${sampleRate / 2} Hz; use fewer bins`,
    );
  }
  const early = Math.max(
    0,
    Math.min(Math.ceil(Math.log2(sampleRate / 2 / cutoff)) - 2, twosIn(hopLength) - octaves + 1),
  );
  let [signal, decimation] = [x, 1];
  // Of a lower rate, and as loud.
  const halve = (times = 1) => {
    signal = mul(halveRate(signal, times), Math.sqrt(2 ** times));
    decimation *= 2 ** times;
  };
  if (early > 0) halve(early);
  const parts: Tensor[] = [];
  for (let high = end; high > 0; high -= binsPerOctave) {
    parts.unshift(octave(signal, own, [Math.max(0, high - binsPerOctave), high], decimation));
    if (high > binsPerOctave && (hopLength / decimation) % 2 === 0) halve();
  }
  const frames = Math.min(...parts.map(({ shape }) => shape[3]));
  const whole = parts.map((part) => part.narrow(3, 0, frames));
  return permute(whole.length === 1 ? whole[0] : concat(whole, 1), [0, 1, 3, 2]);
}

/**
 * librosa.cqt, with `gamma` librosa.vqt: x f32 [batch, samples] -> complex coefficients [batch, bins, floor(samples /
 * hopLength) + 1, 2]. Octave by octave from audio that is halved on the way down, its filters' lengths not whole, their
 * spectra sparse: what `createCqt` gives to a per cent or so, and never MERT's teacher. Within 1e-6 of librosa's largest
 * value, but where it halves four times and more before the first octave: there the first frames may be 1e-3 away. Gradients
 * flow.
 *
 * @throws RangeError when a setting is out of range, x is empty or too short to mirror.
 */
export function librosaCqt(x: Tensor, options: LibrosaCqtOptions): Tensor {
  checkWaveform('librosaCqt', x);
  const own = plan('librosaCqt', options, options.gamma);
  return fullBins(x, own, own.bins);
}

/**
 * librosa.hybrid_cqt: bins whose filters, filled up to a power of 2, are shorter than two hops by `pseudoCqt`, those below
 * them by the magnitudes of `librosaCqt`. x f32 [batch, samples] -> [batch, bins, floor(samples / hopLength) + 1].
 *
 * @throws RangeError as `pseudoCqt` does.
 */
export function hybridCqt(x: Tensor, options: PseudoCqtOptions): Tensor {
  checkWaveform('hybridCqt', x);
  const own = plan('hybridCqt', options);
  const { bins, lengths, hopLength } = own;
  const short = lengths.filter((length) => 2 ** Math.ceil(Math.log2(length)) < 2 * hopLength).length;
  const full = bins - short;
  const parts = [
    ...(full > 0 ? [complexAbs(fullBins(x, own, full))] : []),
    ...(short > 0 ? [pseudoBins(x, own, full)] : []),
  ];
  const frames = Math.min(...parts.map(({ shape }) => shape[2]));
  const whole = parts.map((part) => part.narrow(2, 0, frames));
  return whole.length === 1 ? whole[0] : concat(whole, 1);
}

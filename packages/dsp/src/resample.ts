/**
 * Sample-rate conversion by a windowed sinc, computed exactly as torchaudio's `functional.resample` does
 * (Smith, "Digital Audio Resampling", and torchaudio/functional/functional.py, `_get_sinc_resample_kernel`).
 *
 * The two rates are divided by their greatest common divisor to `from : to`. Every `from` input samples give `to`
 * output samples, one for each phase, so the whole conversion is a convolution with stride `from` and `to` kernels.
 */

/**
 * `hann6`: torchaudio's default, 6 zero crossings, rounded as its `Resample` rounds. `kaiser64`: its "kaiser best", for
 * preparing audio, rounded as its `functional.resample` rounds.
 */
export type ResampleQuality = 'hann6' | 'kaiser64';

/** The table of one ratio. Only the taps inside the window are held; all others are zero. */
export type ResampleKernel = {
  /** Input samples in a block (the source rate over the common divisor). */
  readonly from: number;
  /** Output samples in a block (the target rate over the common divisor); also the number of phases. */
  readonly to: number;
  /** Input samples before the start of a block that its kernels reach back to. */
  readonly width: number;
  /** Taps held for each phase. */
  readonly taps: number;
  /** First tap of each phase, in input samples from the start of the block (may be negative): [to]. */
  readonly starts: Int32Array;
  /** Weights, row-major: [to, taps]. */
  readonly weights: Float64Array;
};

/**
 * `soxr1` to `soxr4`: the last halving of libsoxr's HQ, librosa's default, when a rate is halved that many times at once. They
 * were fitted to its impulse responses, and are to 1e-7 the same. For constant-Q transforms.
 */
export type KnownQuality = ResampleQuality | 'soxr1' | 'soxr2' | 'soxr3' | 'soxr4';

/**
 * What is rounded to f32. torchaudio's Resample rounds phases, its functional form all times, which moves the result by up to
 * 2e-5 of its largest value: published labels have the one in them, what is compared with the function has the other.
 */
type Window = { crossings: number; rolloff: number; beta: number | null; rounded: 'phases' | 'times' | 'nothing' };

const windows: Record<KnownQuality, Window> = {
  hann6: { crossings: 6, rolloff: 0.99, beta: null, rounded: 'phases' },
  kaiser64: { crossings: 64, rolloff: 0.9475937167399596, beta: 14.769656459379492, rounded: 'times' },
  soxr1: soxr(194.5, 13.04003367),
  soxr2: soxr(204.5, 13.71128868),
  soxr3: soxr(210.5, 14.10395372),
  soxr4: soxr(214.5, 14.38336465),
};

/** The Kaiser window over `reach` samples on both sides. */
function soxr(reach: number, beta: number): Window {
  const rolloff = 0.95687182;
  return { crossings: (reach / 2) * rolloff, rolloff, beta, rounded: 'nothing' };
}

/** Modified Bessel function of the first kind, order 0, by its power series. */
function besselI0(x: number): number {
  const quarter = (x * x) / 4;
  let term = 1;
  let sum = 1;
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= quarter / (k * k);
    sum += term;
  }
  return sum;
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}

function checkRate(name: string, rate: number): void {
  if (!Number.isInteger(rate) || rate <= 0) {
    throw new RangeError(`resample: the ${name} rate must be a positive whole number of hertz, got ${rate}`);
  }
}

const kernels = new Map<string, ResampleKernel>();
const keptKernels = 16;

/**
 * The kernel table for converting `from` Hz to `to` Hz, computed in double precision and kept for the next call.
 *
 * @throws RangeError when a rate is not a positive whole number.
 */
export function resampleKernel(from: number, to: number, quality: ResampleQuality = 'kaiser64'): ResampleKernel {
  return kernelOf(from, to, quality);
}

/** The same, of any quality that there is. */
export function kernelOf(from: number, to: number, quality: KnownQuality): ResampleKernel {
  checkRate('source', from);
  checkRate('target', to);
  const divisor = greatestCommonDivisor(from, to);
  const key = `${from / divisor}:${to / divisor}:${quality}`;
  const known = kernels.get(key);
  if (known) return known;
  const kernel = buildKernel(from / divisor, to / divisor, quality);
  if (kernels.size >= keptKernels) kernels.delete(kernels.keys().next().value!);
  kernels.set(key, kernel);
  return kernel;
}

function buildKernel(from: number, to: number, quality: KnownQuality): ResampleKernel {
  const window = windows[quality];
  if (!window) throw new RangeError(`resample: quality must be 'hann6' or 'kaiser64', got '${quality}'`);
  const { crossings, rolloff, beta, rounded } = window;
  const base = Math.min(from, to) * rolloff;
  const reach = (crossings * from) / base;
  const width = Math.ceil(reach);
  const taps = Math.min(2 * width + 1, 2 * width + from);
  const starts = new Int32Array(to);
  const weights = new Float64Array(to * taps);
  const normaliser = beta === null ? 1 : besselI0(beta);
  const f32 = Math.fround;
  const timeAt = (sample: number, phase: number) => {
    if (rounded === 'times') return f32(f32(f32(sample / from) - f32(phase / to)) * f32(base));
    return (sample / from - (rounded === 'phases' ? f32(phase / to) : phase / to)) * base;
  };
  for (let phase = 0; phase < to; phase++) {
    // The centre of this phase lies at phase * from / to; the window is zero further than `reach` from it.
    const start = Math.min(Math.ceil((phase * from) / to - reach), width + from - taps);
    starts[phase] = start;
    for (let tap = 0; tap < taps; tap++) {
      const time = timeAt(start + tap, phase);
      if (Math.abs(time) >= crossings) continue;
      const angle = Math.PI * time;
      const sinc = angle === 0 ? 1 : Math.sin(angle) / angle;
      const taper =
        beta === null
          ? Math.cos(angle / crossings / 2) ** 2
          : besselI0(beta * Math.sqrt(1 - (time / crossings) ** 2)) / normaliser;
      weights[phase * taps + tap] = (sinc * taper * base) / from;
    }
  }
  return { from, to, width, taps, starts, weights };
}

/**
 * The same table as a dense convolution kernel [to, 2 * width + from] with stride `from`, for a signal padded by
 * `width` zeros in front and `width + from` behind: torchaudio's layout.
 */
export function denseResampleKernel(kernel: ResampleKernel): Float32Array {
  const { from, to, width, taps, starts, weights } = kernel;
  const length = 2 * width + from;
  const dense = new Float32Array(to * length);
  for (let phase = 0; phase < to; phase++) {
    const offset = phase * length + width + starts[phase];
    for (let tap = 0; tap < taps; tap++) {
      const weight = weights[phase * taps + tap];
      if (weight !== 0) dense[offset + tap] = weight;
    }
  }
  return dense;
}

/** Samples that `length` samples at `from` Hz become at `to` Hz: ceil(length * to / from) in whole numbers. */
export function resampledLength(length: number, from: number, to: number): number {
  checkRate('source', from);
  checkRate('target', to);
  const divisor = greatestCommonDivisor(from, to);
  const product = BigInt(length) * BigInt(to / divisor);
  const step = BigInt(from / divisor);
  return Number((product + step - 1n) / step);
}

/**
 * The input samples [first, end) that the output samples [`first`, `first + count`) are computed from. `first` may be
 * negative and `end` past the signal, where the signal counts as zero.
 */
export function resampleSupport(kernel: ResampleKernel, first: number, count: number): { first: number; end: number } {
  const tapOf = (k: number) => Math.floor(k / kernel.to) * kernel.from + kernel.starts[k % kernel.to];
  return { first: tapOf(first), end: tapOf(Math.max(first, first + count - 1)) + kernel.taps };
}

/**
 * Output samples [`first`, `first + count`) of the conversion of a longer signal, of which `x` holds the part that
 * begins at input sample `inputStart`. Samples outside `x` count as zero, so `x` must cover `resampleSupport`.
 */
export function resampleRange(
  x: Float32Array,
  kernel: ResampleKernel,
  inputStart: number,
  first: number,
  count: number,
): Float32Array {
  const { from, to, taps, starts, weights } = kernel;
  const y = new Float32Array(count);
  let phase = first % to;
  let block = Math.floor(first / to) * from - inputStart;
  for (let i = 0; i < count; i++) {
    const start = block + starts[phase];
    const row = phase * taps;
    const low = Math.max(0, -start);
    const high = Math.min(taps, x.length - start);
    // Two sums, because one would make every addition wait for the one before it.
    let even = 0;
    let odd = 0;
    let tap = low;
    for (; tap + 1 < high; tap += 2) {
      even += weights[row + tap] * x[start + tap];
      odd += weights[row + tap + 1] * x[start + tap + 1];
    }
    if (tap < high) even += weights[row + tap] * x[start + tap];
    y[i] = even + odd;
    if (++phase === to) {
      phase = 0;
      block += from;
    }
  }
  return y;
}

/**
 * Converts a mono signal from one sample rate to another.
 *
 * @param x samples at `from` Hz
 * @param from source rate in Hz
 * @param to target rate in Hz
 * @returns ceil(x.length * to / from) samples at `to` Hz; a copy when the rates are equal
 * @throws RangeError when a rate is not a positive whole number.
 */
export function resample(
  x: Float32Array,
  from: number,
  to: number,
  { quality = 'kaiser64' }: { quality?: ResampleQuality } = {},
): Float32Array {
  const kernel = resampleKernel(from, to, quality);
  if (from === to) return x.slice();
  return resampleRange(x, kernel, 0, 0, resampledLength(x.length, from, to));
}

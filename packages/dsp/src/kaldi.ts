/**
 * Kaldi's filter banks and cepstra as torchaudio.compliance.kaldi computes them: no padding but on request, every frame
 * without its mean, pre-emphasised, under a symmetric window and filled up by zeros to a power of 2; triangles that are
 * straight in mel. There is no dither.
 */
import {
  add,
  cachedTable,
  checkOptions,
  concat,
  flip,
  formatShape,
  log,
  matmul,
  maximum,
  mean,
  mul,
  pad,
  reshape,
  rfft,
  select,
  sliceAxis,
  sqrt,
  square,
  sub,
  sum,
  type Tensor,
  unfold,
} from '@dawnchorus/tensor';
import { dctMatrix } from './dct.ts';
import { makeWindow, type Window } from './windows.ts';

/** The least energy whose logarithm is taken: f32's epsilon. */
const EPSILON = 2 ** -23;

/** Settings of `kaldiFbank`; the defaults are torchaudio's, but that there is no dither. */
export interface KaldiFbankOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Milliseconds in a frame; default 25. */
  readonly frameLength?: number;
  /** Milliseconds between neighbouring frames; default 10. */
  readonly frameShift?: number;
  /** Triangles; default 23. */
  readonly nMels?: number;
  /** Lowest edge in Hz; default 20. */
  readonly fMin?: number;
  /** Highest edge in Hz; default sampleRate / 2, and 0 or less counts from there. */
  readonly fMax?: number;
  /** Default 0.97. */
  readonly preemphasis?: number;
  /** Every frame without its mean; default true. */
  readonly removeDcOffset?: boolean;
  /** Default `povey`. */
  readonly window?: Window;
  /** True (default): frames that lie in the clip. False: as many as hops, the clip mirrored at its ends. */
  readonly snipEdges?: boolean;
  /** Energies (true, default) or magnitudes go through the bank. */
  readonly usePower?: boolean;
  /** The logarithm of the frame's energy stands in front of the bands; default false. */
  readonly useEnergy?: boolean;
  /** Energies of frames below this count as it; default 1, 0 for none. */
  readonly energyFloor?: number;
}

const fbankOptions = [
  ...['sampleRate', 'frameLength', 'frameShift', 'nMels', 'fMin', 'fMax', 'preemphasis', 'removeDcOffset', 'window'],
  ...['snipEdges', 'usePower', 'useEnergy', 'energyFloor'],
];

function sizesOf({ sampleRate, frameLength = 25, frameShift = 10 }: KaldiFbankOptions) {
  // As torchaudio rounds: down, of a product in this order.
  const size = Math.trunc(sampleRate * frameLength * 0.001);
  const shift = Math.trunc(sampleRate * frameShift * 0.001);
  if (!(sampleRate > 0 && size >= 2 && shift >= 1)) {
    throw new RangeError(
      `kaldi: frames of ${frameLength} ms, ${frameShift} ms apart, at ${sampleRate} Hz have ${size} and ${shift} samples; expected 2 and 1 at least`,
    );
  }
  return { size, shift, padded: 2 ** Math.ceil(Math.log2(size)) };
}

const toMel = (hz: number) => 1127 * Math.log(1 + hz / 700);

/** A step of torchaudio's arithmetic, which is in f32. */
const f32 = Math.fround;

/**
 * Triangles that are straight in mel, 1127 ln(1 + f / 700), row-major [nMels, nFft / 2 + 1], rounded as torchaudio rounds
 * them: some 4e-6 beside the exact ones, for a mel in f32 has few digits left. The bin at half the sample rate has no
 * weight.
 *
 * @throws RangeError when nMels is no whole number from 1, or the edges do not lie in order within half the sample rate.
 */
export function kaldiMelFilterbank(options: {
  sampleRate: number;
  nFft: number;
  nMels: number;
  fMin?: number;
  fMax?: number;
}): Float32Array<ArrayBuffer> {
  checkOptions('kaldiMelFilterbank', options, ['sampleRate', 'nFft', 'nMels', 'fMin', 'fMax']);
  const { sampleRate, nFft, nMels, fMin = 20, fMax = 0 } = options;
  const half = sampleRate / 2;
  const highest = fMax > 0 ? fMax : half + fMax;
  if (!Number.isInteger(nMels) || nMels < 1) {
    throw new RangeError(`kaldiMelFilterbank: nMels is ${nMels}; expected a whole number from 1`);
  }
  if (!(fMin >= 0 && fMin < highest && highest <= half)) {
    throw new RangeError(
      `kaldiMelFilterbank: fMin ${fMin} and fMax ${highest} Hz; expected 0 <= fMin < fMax <= ${half}, half the sample rate`,
    );
  }
  const bins = nFft / 2 + 1;
  const low = toMel(fMin);
  const step = f32((toMel(highest) - low) / (nMels + 1));
  const binWidth = f32(sampleRate / nFft);
  const mels = Array.from({ length: bins - 1 }, (_, f) =>
    f32(1127 * f32(Math.log(f32(1 + f32(f32(binWidth * f) / 700))))),
  );
  const edge = (m: number) => f32(f32(low) + f32(m * step));
  const bank = new Float32Array(nMels * bins);
  for (let m = 0; m < nMels; m++) {
    const [left, centre, right] = [edge(m), edge(m + 1), edge(m + 2)];
    for (let f = 0; f < bins - 1; f++) {
      const rising = f32(f32(mels[f] - left) / f32(centre - left));
      const falling = f32(f32(right - mels[f]) / f32(right - centre));
      bank[m * bins + f] = Math.max(0, Math.min(rising, falling));
    }
  }
  return bank;
}

/** Frames of x [batch, samples]: [batch, frames, size], a view where edges are snipped. */
function framesOf(x: Tensor, size: number, shift: number, snipEdges: boolean): Tensor {
  const samples = x.shape[1];
  if (samples < size) {
    throw new RangeError(`kaldi: a clip of ${samples} samples is shorter than a frame of ${size}`);
  }
  if (snipEdges) return unfold(x, 1, size, shift);
  const count = Math.floor((samples + Math.floor(shift / 2)) / shift);
  const before = Math.floor(size / 2) - Math.floor(shift / 2);
  const mirrored = flip(x, 1);
  const whole =
    before > 0
      ? concat([sliceAxis(mirrored, 1, samples - before), x, mirrored], 1)
      : concat([sliceAxis(x, 1, -before), mirrored], 1);
  return sliceAxis(unfold(whole, 1, size, shift), 1, 0, count);
}

/** Energy of frames [batch, frames, size] as a logarithm: [batch, frames, 1]. */
function logEnergy(frames: Tensor, floor: number): Tensor {
  const energy = log(maximum(sum(square(frames), { dim: -1, keepdim: true }), EPSILON));
  return floor > 0 ? maximum(energy, Math.log(floor)) : energy;
}

/** The logarithms of the bands, and of the energy. */
function bands(x: Tensor, options: KaldiFbankOptions): { mel: Tensor; energy: () => Tensor } {
  if (x.dtype !== 'f32' || x.rank !== 2 || x.size === 0) {
    throw new RangeError(`kaldi: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [batch, samples], not empty`);
  }
  const { sampleRate, nMels = 23, fMin = 20, fMax = 0, preemphasis = 0.97, window = 'povey' } = options;
  const { removeDcOffset = true, snipEdges = true, usePower = true, energyFloor = 1 } = options;
  if (!(preemphasis >= 0 && preemphasis <= 1)) {
    throw new RangeError(`kaldi: preemphasis is ${preemphasis}; expected a number from 0 to 1`);
  }
  const { size, shift, padded } = sizesOf(options);
  let frames = framesOf(x, size, shift, snipEdges);
  if (removeDcOffset) frames = sub(frames, mean(frames, { dim: -1, keepdim: true }));
  const plain = frames;
  if (preemphasis > 0) {
    // A frame's first sample stands before itself.
    const before = concat([sliceAxis(frames, -1, 0, 1), sliceAxis(frames, -1, 0, size - 1)], -1);
    frames = sub(frames, mul(before, preemphasis));
  }
  const weights = cachedTable(x.device, `kaldi window ${JSON.stringify([window, size])}`, () =>
    Float32Array.from(makeWindow(window, size, { periodic: false })),
  );
  const spectrum = rfft(pad(mul(frames, weights), [0, padded - size]));
  const power = add(square(select(spectrum, -1, 0)), square(select(spectrum, -1, 1)));
  const bank = cachedTable(x.device, `kaldi mel ${JSON.stringify([sampleRate, padded, nMels, fMin, fMax])}`, () =>
    kaldiMelFilterbank({ sampleRate, nFft: padded, nMels, fMin, fMax }),
  );
  const mel = matmul(usePower ? power : sqrt(power), reshape(bank, [nMels, padded / 2 + 1]).transpose());
  return { mel: log(maximum(mel, EPSILON)), energy: () => logEnergy(plain, energyFloor) };
}

/**
 * Logarithms of mel bands: torchaudio.compliance.kaldi.fbank with dither=0. x f32 [batch, samples] ->
 * [batch, frames, nMels], one more in front with `useEnergy`; frames = floor((samples - size) / shift) + 1, both sizes
 * rounded down to samples. x counts as it is: Kaldi's own samples are 16-bit whole numbers.
 *
 * @throws RangeError when a clip is shorter than a frame, or a setting is out of range.
 */
export function kaldiFbank(x: Tensor, options: KaldiFbankOptions): Tensor {
  checkOptions('kaldiFbank', options, fbankOptions);
  const { mel, energy } = bands(x, options);
  return options.useEnergy ? concat([energy(), mel], -1) : mel;
}

/** Settings of `kaldiMfcc`. */
export interface KaldiMfccOptions extends KaldiFbankOptions {
  /** Cepstra; default 13. */
  readonly nMfcc?: number;
  /** Cepstrum i times 1 + lifter / 2 sin(pi i / lifter); default 22, 0 for none. */
  readonly lifter?: number;
}

/**
 * Mel-frequency cepstra: torchaudio.compliance.kaldi.mfcc with dither=0. x f32 [batch, samples] -> [batch, frames, nMfcc].
 * With `useEnergy` the first is the logarithm of the frame's energy.
 *
 * @throws RangeError as `kaldiFbank` does, and when nMfcc is over nMels.
 */
export function kaldiMfcc(x: Tensor, options: KaldiMfccOptions): Tensor {
  checkOptions('kaldiMfcc', options, [...fbankOptions, 'nMfcc', 'lifter']);
  const { nMfcc = 13, nMels = 23, lifter = 22 } = options;
  if (!Number.isInteger(nMfcc) || nMfcc < 1 || nMfcc > nMels) {
    throw new RangeError(`kaldiMfcc: nMfcc is ${nMfcc}; expected a whole number from 1 to nMels, ${nMels}`);
  }
  if (!(lifter >= 0 && lifter < Infinity)) {
    throw new RangeError(`kaldiMfcc: lifter is ${lifter}; expected 0, for none, or a positive number`);
  }
  const { mel, energy } = bands(x, options);
  const table = cachedTable(x.device, `kaldi dct ${JSON.stringify([nMfcc, nMels, lifter])}`, () =>
    dctMatrix(nMfcc, nMels, 'ortho', 'torchaudio').map((value, i) => {
      const k = Math.floor(i / nMels);
      return value * (lifter === 0 ? 1 : 1 + (lifter / 2) * Math.sin((Math.PI * k) / lifter));
    }),
  );
  const cepstra = matmul(mel, reshape(table, [nMfcc, nMels]).transpose());
  return options.useEnergy ? concat([energy(), sliceAxis(cepstra, -1, 1)], -1) : cepstra;
}

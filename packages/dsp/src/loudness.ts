import {
  add,
  checkOptions,
  clamp,
  div,
  formatShape,
  gt,
  isnan,
  log,
  logicalAnd,
  mean,
  mul,
  reshape,
  square,
  sum,
  type Tensor,
  tensor,
  unfold,
  where,
} from '@dawnchorus/tensor';
import { lfilter } from './filters.ts';

/**
 * Whose filters weigh frequencies. `torchaudio` has textbook biquads at 1500 and 38 Hz in f32, each cut to -1..1 after it:
 * 0.04 LU under the standard at 1 kHz. `itu` has those of ITU-R BS.1770-4, made for any rate as libebur128 does.
 */
export type LoudnessConvention = 'torchaudio' | 'itu';

type Biquad = { b: readonly number[]; a: readonly number[] };
const f = Math.fround;

/** torchaudio's treble_biquad and highpass_biquad, rounded as it rounds. */
function textbook(sampleRate: number): Biquad[] {
  const angle = (hz: number) => f(f(2 * Math.PI * hz) / sampleRate);
  const [w0, w1] = [angle(1500), angle(38)];
  const root = f(10 ** (4 / 40));
  const [cos, alpha] = [f(Math.cos(w0)), f(f(f(Math.sin(w0)) / 2) / f(Math.SQRT1_2))];
  const [tilt, less, more] = [f(f(2 * f(Math.sqrt(root))) * alpha), f(f(root - 1) * cos), f(f(root + 1) * cos)];
  const treble = {
    b: [root * (root + 1 + less + tilt), -2 * root * (root - 1 + more), root * (root + 1 + less - tilt)].map(f),
    a: [root + 1 - less + tilt, 2 * (root - 1 - more), root + 1 - less - tilt].map(f),
  };
  const [low, slope] = [f(Math.cos(w1)), f(f(Math.sin(w1)) / 2 / 0.5)];
  const high = { b: [f(f(1 + low) / 2), f(-1 - low), f(f(1 + low) / 2)], a: [f(1 + slope), f(-2 * low), f(1 - slope)] };
  return [treble, high].map(({ b, a }) => ({ b: b.map((v) => f(v / a[0])), a: a.map((v) => f(v / a[0])) }));
}

/** The standard's filters at any rate, by bilinear transforms of their analogue prototypes. */
function standard(sampleRate: number): Biquad[] {
  const warped = (hz: number) => Math.tan((Math.PI * hz) / sampleRate);
  const k = warped(1681.974450955533);
  const [q, high] = [0.7071752369554196, 10 ** (3.999843853973347 / 20)];
  const band = high ** 0.4996667741545416;
  const first = 1 + k / q + k * k;
  const shelf = {
    b: [high + (band * k) / q + k * k, 2 * (k * k - high), high - (band * k) / q + k * k].map((v) => v / first),
    a: [1, (2 * (k * k - 1)) / first, (1 - k / q + k * k) / first],
  };
  const l = warped(38.13547087602444);
  const p = 0.5003270373238773;
  const second = 1 + l / p + l * l;
  return [shelf, { b: [1, -2, 1], a: [1, (2 * (l * l - 1)) / second, (1 - l / p + l * l) / second] }];
}

/** Settings of `loudness` and `kWeighting`. */
export interface LoudnessOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Default `torchaudio`. */
  readonly convention?: LoudnessConvention;
}

/**
 * A signal as loudness hears it, the first stage of ITU-R BS.1770-4: treble raised by 4 dB, rumble taken away. x f32
 * [..., samples] -> the same shape. Gradients flow.
 *
 * @throws RangeError when the sample rate is not over 3364 Hz, twice the shelf's frequency.
 */
export function kWeighting(x: Tensor, options: LoudnessOptions): Tensor {
  checkOptions('kWeighting', options, ['sampleRate', 'convention']);
  const { sampleRate, convention = 'torchaudio' } = options;
  if (!(sampleRate > 3364) || !Number.isFinite(sampleRate)) {
    throw new RangeError(`kWeighting: sampleRate is ${sampleRate}; expected over 3364 Hz, twice the shelf's frequency`);
  }
  if (convention !== 'torchaudio' && convention !== 'itu') {
    throw new RangeError(`kWeighting: convention is '${convention}'; expected 'torchaudio' or 'itu'`);
  }
  if (convention === 'itu') return standard(sampleRate).reduce<Tensor>((y, filter) => lfilter(y, filter), x);
  return textbook(sampleRate).reduce<Tensor>((y, filter) => clamp(lfilter(y, filter), { min: -1, max: 1 }), x);
}

/** As Python rounds: halves to the even number. */
function round(value: number): number {
  const down = Math.floor(value);
  return value - down === 0.5 ? down + (down % 2) : Math.round(value);
}

const WEIGHTS = [1, 1, 1, 1.41, 1.41];

/**
 * Integrated loudness by ITU-R BS.1770-4 in LKFS (LUFS): K-weighting, energies of 400 ms every 100 ms, channels left, right,
 * centre and two surround weighted by 1, 1, 1, 1.41, 1.41, and the mean of what passes both gates (-70 LKFS, then 10 LU
 * under the mean). x f32 [batch, channels, samples] -> [batch]: torchaudio.functional.loudness. Where nothing passes, as in
 * silence, it is -Infinity (NaN in torchaudio). Gradients flow through the blocks that pass.
 *
 * @throws RangeError when there are more than five channels, or less than 400 ms.
 */
export function loudness(x: Tensor, options: LoudnessOptions): Tensor {
  if (x.dtype !== 'f32' || x.rank !== 3 || x.size === 0) {
    throw new RangeError(
      `loudness: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [batch, channels, samples], not empty`,
    );
  }
  checkOptions('loudness', options, ['sampleRate', 'convention']);
  const [batch, channels, samples] = x.shape;
  if (channels > WEIGHTS.length) {
    throw new RangeError(`loudness: x has ${channels} channels; the standard weighs up to ${WEIGHTS.length}`);
  }
  const size = round(0.4 * options.sampleRate);
  if (samples < size) {
    throw new RangeError(`loudness: a clip of ${samples} samples is shorter than a block of 400 ms, ${size}`);
  }
  const weighted = kWeighting(x, options);
  const blocks = mean(unfold(square(weighted), 2, size, round(size / 4)), { dim: -1 });
  const gains = tensor(WEIGHTS.slice(0, channels), { shape: [channels, 1], device: x.device });
  const energy = sum(mul(blocks, gains), { dim: 1 }); // [batch, blocks]
  const levels = (value: Tensor) => add(mul(log(value), 10 / Math.LN10), -0.691);
  /** The mean energy of the blocks that pass; 0 where none does. */
  const gated = (passes: Tensor) => {
    const count = sum(passes.cast('f32'), { dim: 1, keepdim: true });
    return div(sum(where(passes, energy, 0), { dim: 1, keepdim: true }), where(gt(count, 0), count, 1));
  };
  const own = levels(energy);
  const loud = gt(own, -70);
  const relative = add(levels(gated(loud)), -10);
  const result = levels(gated(logicalAnd(loud, gt(own, relative))));
  const broken = isnan(sum(energy, { dim: 1, keepdim: true }));
  return reshape(where(broken, Number.NaN, result), [batch]);
}

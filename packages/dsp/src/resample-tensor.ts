import { defineRule, rule } from '@dawnchorus/autograd';
import { resample as kernels } from '@dawnchorus/kernels';
import {
  apply,
  cachedTable,
  checkOptions,
  contiguous,
  conv1d,
  defineOp,
  formatShape,
  pad,
  reshape,
  sliceAxis,
  type Tensor,
  withDense,
  zeros,
} from '@dawnchorus/tensor';
import {
  type KnownQuality,
  kernelOf,
  type ResampleKernel,
  type ResampleQuality,
  resample as resampleArray,
  resampledLength,
} from './resample.ts';

interface PolyphaseAttributes {
  /** Samples a block, of which `to` outputs are made. */
  readonly from: number;
  readonly to: number;
  /** Outputs a row. */
  readonly length: number;
  readonly quality: KnownQuality;
  /** The filter bank's transpose, which takes outputs to samples: what the gradient is. */
  readonly transposed: boolean;
}

/** Which phases take which samples by what weight; samples are counted from the start of the block, and may lie outside. */
type Taps = (visit: (phase: number, sample: number, weight: number) => void) => void;

function forward({ to, taps, starts, weights }: ResampleKernel): Taps {
  return (visit) => {
    for (let phase = 0; phase < to; phase++) {
      for (let tap = 0; tap < taps; tap++) {
        const weight = weights[phase * taps + tap];
        if (weight !== 0) visit(phase, starts[phase] + tap, weight);
      }
    }
  };
}

/** The samples of a block are the phases here, and take the outputs, counted from the first of their own block. */
function backward(kernel: ResampleKernel): Taps {
  const { from, to } = kernel;
  return (visit) =>
    forward(kernel)((phase, sample, weight) => {
      const block = Math.floor(sample / from);
      visit(sample - block * from, phase - block * to, weight);
    });
}

/** Blocks that together have whole fours of phases. */
const blocksOfFours = (phases: number) => (phases % 4 === 0 ? 1 : phases % 2 === 0 ? 2 : 4);

/** Weights by tap, then by phase, and the first sample of each four phases. */
function bankOf(each: Taps, period: number, phases: number) {
  const blocks = blocksOfFours(phases);
  const fours = (blocks * phases) / 4;
  const firsts = new Int32Array(fours).fill(0x7fffffff);
  const lasts = new Int32Array(fours).fill(-0x80000000);
  const all: Taps = (visit) =>
    each((phase, sample, weight) => {
      for (let k = 0; k < blocks; k++) visit(k * phases + phase, k * period + sample, weight);
    });
  all((phase, sample) => {
    const four = Math.floor(phase / 4);
    firsts[four] = Math.min(firsts[four], sample);
    lasts[four] = Math.max(lasts[four], sample);
  });
  let taps = 1;
  for (let four = 0; four < fours; four++) {
    // Phases without a weight.
    if (lasts[four] < firsts[four]) firsts[four] = lasts[four] = 0;
    taps = Math.max(taps, lasts[four] - firsts[four] + 1);
  }
  const weights = new Float32Array(taps * 4 * fours);
  all((phase, sample, weight) => {
    weights[(sample - firsts[Math.floor(phase / 4)]) * 4 * fours + phase] = weight;
  });
  return { weights, starts: firsts };
}

/** Fours of outputs that threads next to each other make, and blocks that a thread makes: see the kernel. */
const NEIGHBOURS = 64;
const BLOCKS = 4;

/** x [rows, samples], weights [taps * phases], starts [phases / 4] -> [rows, length]. */
const polyphase = defineOp<PolyphaseAttributes>({
  name: 'resample',
  infer: ([x], { length }) => [{ dtype: 'f32', shape: [x.shape[0], length] }],
  flops: ([, weights, starts], [out]) => 2 * out.size * (weights.size / (4 * starts.size)),
  run(device, [input, weights, starts], [out], { from, to, length }) {
    const blocks = blocksOfFours(to);
    const fours = starts.size;
    const several = Math.ceil(NEIGHBOURS / fours);
    const step = several * fours;
    withDense(device, [input], ([x]) =>
      device.recorder.dispatch({
        kernel: kernels.polyphase,
        buffers: [x, weights, starts, out].map((tensor) => tensor.storage.buffer),
        parameters: {
          samples: x.shape[1],
          length,
          period: blocks * from,
          fours,
          taps: weights.size / (4 * fours),
          step,
          stride: several * blocks * from,
          xOffset: x.offset,
        },
        grid: [Math.ceil(step / 64), Math.ceil(length / (4 * step * BLOCKS)), out.shape[0]],
      }),
    );
  },
});

function run(x: Tensor, attributes: PolyphaseAttributes): Tensor {
  const { from, to, quality, transposed } = attributes;
  const key = `resample ${from} ${to} ${quality} ${transposed}`;
  let bank: ReturnType<typeof bankOf> | undefined;
  const made = () => {
    bank ??= bankOf(
      transposed ? backward(kernelOf(to, from, quality)) : forward(kernelOf(from, to, quality)),
      from,
      to,
    );
    return bank;
  };
  const weights = cachedTable(x.device, `${key} weights`, () => made().weights);
  const starts = cachedTable(x.device, `${key} starts`, () => made().starts);
  return apply(polyphase, [x, weights, starts], attributes)[0];
}

defineRule(
  polyphase,
  rule<PolyphaseAttributes>('nothing', (gradient, { inputs: [x], attributes }) => {
    const { from, to, quality, transposed } = attributes;
    const turned = { from: to, to: from, length: x.shape[1], quality, transposed: !transposed };
    return [run(contiguous(gradient), turned), undefined, undefined];
  }),
);

/** How `resample` converts. */
export interface ResampleOptions {
  /** Default `kaiser64`. */
  readonly quality?: ResampleQuality;
}

/**
 * Converts from one sample rate to another by a windowed sinc, as torchaudio.functional.resample: `hann6` has its defaults,
 * `kaiser64` its "kaiser best", for preparing audio. x [..., samples] at `from` Hz -> [..., ceil(samples to / from)] at `to`
 * Hz; samples outside a clip are zeros. Tensors (f32) are converted on the GPU, each phase of the reduced ratio over its own
 * taps, and gradients flow; arrays in f64 on the CPU. Equal rates give the tensor itself, or a copy of the array.
 *
 * @throws RangeError when a rate is not a positive whole number, x is a tensor of another dtype or a scalar, or the quality is
 * not there.
 */
export function resample(x: Float32Array, from: number, to: number, options?: ResampleOptions): Float32Array;
export function resample(x: Tensor, from: number, to: number, options?: ResampleOptions): Tensor;
export function resample(x: Float32Array | Tensor, from: number, to: number, options: ResampleOptions = {}) {
  checkOptions('resample', options, ['quality']);
  if (x instanceof Float32Array) return resampleArray(x, from, to, options);
  return convert(x, from, to, options.quality ?? 'kaiser64');
}

/** Taps of the filter that libsoxr halves rates by before the last time, beside its middle: every second one is 0. */
const HALF_BAND = [
  0.3115465451887802, -0.08734497241282892, 0.03681452335604365, -0.01518925831569441, 0.005454118437408876,
  -0.001564400922162005, 0.0003181701445034203, -3.48001341225749e-5,
];

/**
 * A rate divided by 2^times as librosa does it, by libsoxr's HQ: x f32 [batch, samples] -> [batch, ceil(samples / 2^times)].
 * What a stage makes before a clip is lost, what it makes behind it goes on to the next; at the end librosa cuts, and may
 * fill up by a zero.
 */
export function halveRate(x: Tensor, times: number): Tensor {
  const [batch, samples] = x.shape;
  const factor = 2 ** times;
  if (times === 1) return convert(x, 2, 1, 'soxr1');
  // Room for what lies behind the clip.
  let y = reshape(pad(x, [0, 128 * factor]), [batch, 1, -1]);
  const weights = cachedTable(x.device, 'libsoxr half band', () =>
    Float32Array.from({ length: 31 }, (_, i) =>
      i % 2 === 0 ? HALF_BAND[(Math.abs(i - 15) - 1) / 2] : i === 15 ? 0.5 : 0,
    ),
  );
  for (let i = 1; i < times; i++) y = conv1d(y, reshape(weights, [1, 1, 31]), { stride: 2, padding: 15 });
  y = convert(reshape(y, [batch, -1]), 2, 1, times === 2 ? 'soxr2' : times === 3 ? 'soxr3' : 'soxr4');
  const kept = Math.floor(samples / factor + 0.5);
  return pad(sliceAxis(y, 1, 0, kept), [0, Math.ceil(samples / factor) - kept]);
}

function convert(x: Tensor, from: number, to: number, quality: KnownQuality): Tensor {
  if (x.dtype !== 'f32' || x.rank < 1) {
    throw new RangeError(`resample: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [..., samples]`);
  }
  const kernel = kernelOf(from, to, quality);
  if (kernel.from === kernel.to) return x;
  const samples = x.shape[x.rank - 1];
  const length = resampledLength(samples, from, to);
  const shape = [...x.shape.slice(0, -1), length];
  if (x.size === 0) return zeros(shape, { device: x.device });
  const attributes = { from: kernel.from, to: kernel.to, length, quality, transposed: false };
  return reshape(run(reshape(x, [-1, samples]), attributes), shape);
}

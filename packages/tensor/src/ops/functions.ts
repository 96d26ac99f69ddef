import { apply } from '../apply.ts';
import { type Device, getDefaultDevice } from '../device/device.ts';
import { pad } from '../functions/arranging.ts';
import { add, gelu } from '../functions/elementwise.ts';
import { reshape, transpose } from '../functions/views.ts';
import { checkShape, normaliseAxis, type Shape, valueText } from '../shape.ts';
import type { Literal, ShapeOf } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import {
  checkAlive,
  checkBoolean,
  checkCreation,
  checkEps,
  checkOptions,
  checkProbability,
  checkTensors,
} from './arguments.ts';
import { type ConvAttributes, checkOutputPadding, stepsBeyond } from './conv.ts';
import { keepsTaps } from './conv-norm-gelu.ts';
import type { RandomKey } from './random.ts';

export * from '../functions/arranging.ts';
export * from '../functions/attention.ts';
export * from '../functions/creation.ts';
export * from '../functions/einsum.ts';
export * from '../functions/elementwise.ts';
export * from '../functions/fourier.ts';
export * from '../functions/indexing.ts';
export * from '../functions/products.ts';
export * from '../functions/reductions.ts';
export * from '../functions/scans.ts';
export * from '../functions/selecting.ts';
export * from '../functions/slicing.ts';
export * from '../functions/sorting.ts';
export * from '../functions/views.ts';

function overLastAxis(name: 'softmax' | 'logSoftmax', x: Tensor, dim: number): Tensor {
  if (x.rank === 0) return apply(name, [x], {})[0];
  const d = normaliseAxis(dim, x.rank, name);
  if (d === x.rank - 1) return apply(name, [x], {})[0];
  return transpose(apply(name, [transpose(x, d, -1)], {})[0], d, -1);
}

/** Along `dim`, the last axis by default. */
export function softmax<T extends Tensor>(x: T, options: { dim?: number } = {}): Tensor<ShapeOf<T>> {
  checkOptions('softmax', options, ['dim']);
  return overLastAxis('softmax', x, options.dim ?? -1);
}

/** log(softmax(x)) along `dim`, without overflow. */
export function logSoftmax<T extends Tensor>(x: T, options: { dim?: number } = {}): Tensor<ShapeOf<T>> {
  checkOptions('logSoftmax', options, ['dim']);
  return overLastAxis('logSoftmax', x, options.dim ?? -1);
}

/** Normalises the last axis to mean 0 and variance 1, then scales and shifts by weight and bias [features]. */
export function layerNorm<T extends Tensor>(
  x: T,
  weight: Tensor,
  bias: Tensor,
  options: { eps?: number } = {},
): Tensor<ShapeOf<T>> {
  checkOptions('layerNorm', options, ['eps']);
  const { eps = 1e-5 } = options;
  checkEps('layerNorm', eps);
  return apply('layerNorm', [x, weight, bias], { eps })[0];
}

/** [batch, channels, ...] normalised over each group of channels; weight and bias are [channels]. */
export function groupNorm(
  x: Tensor,
  groups: number,
  weight: Tensor,
  bias: Tensor,
  options: { eps?: number } = {},
): Tensor {
  checkOptions('groupNorm', options, ['eps']);
  const { eps = 1e-5 } = options;
  checkEps('groupNorm', eps);
  return apply('groupNorm', [x, weight, bias], { groups, eps })[0];
}

const convOptions = ['stride', 'padding', 'dilation', 'groups', 'bias'];
/**
 * g v / |v| (Salimans and Kingma, 2016): v [..., taps] made as long as g [1, ..., taps], the length taken over all axes but
 * the last. f16 where both are.
 */
export function weightNorm<T extends Tensor>(v: T, g: Tensor): Tensor<ShapeOf<T>> {
  return apply('weightNorm', [v, g], {})[0];
}

function convAttributes(options: Partial<ConvAttributes>): ConvAttributes {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return { stride, padding, dilation, groups };
}

function checkBias(name: string, bias: Tensor | undefined, channels: number): void {
  if (bias && bias.size !== channels) {
    throw new RangeError(`${name}: the bias is ${valueText(bias)}, but the output has ${channels} channels`);
  }
}

/** Cross-correlation, as in PyTorch: x [batch, inChannels, length], weight [outChannels, inChannels / groups, kernel]. */
export function conv1d(x: Tensor, weight: Tensor, options: Partial<ConvAttributes> & { bias?: Tensor } = {}): Tensor {
  checkOptions('conv1d', options, convOptions);
  checkBias('conv1d', options.bias, weight.shape[0]);
  const out = apply('conv1d', [x, weight], convAttributes(options))[0];
  return options.bias ? add(out, reshape(options.bias, [-1, 1])) : out;
}

/**
 * The first stage of a waveform's feature extractor (Baevski et al., 2020): a convolution, each of its channels normalised over the
 * steps of its clip, and GELU. x [batch, 1, length], weight [channels, 1, kernel], scale and shift [channels] give
 * [batch, channels, steps]; the same as `gelu(groupNorm(conv1d(x, weight), channels, scale, shift))`, but where a kernel has few
 * taps neither it nor its gradient stores what the convolution makes, which is as much as the whole result again.
 *
 * @throws RangeError where shapes do not fit or a clip is shorter than the kernel.
 */
export function convNormGelu(
  x: Tensor,
  weight: Tensor,
  scale: Tensor,
  shift: Tensor,
  options: { stride?: number; eps?: number } = {},
): Tensor {
  checkOptions('convNormGelu', options, ['stride', 'eps']);
  const { stride = 1, eps = 1e-5 } = options;
  checkEps('convNormGelu', eps);
  if (keepsTaps(weight.shape)) return apply('convNormGelu', [x, weight, scale, shift], { stride, eps })[0];
  return gelu(groupNorm(conv1d(x, weight, { stride }), weight.shape[0], scale, shift, { eps }));
}

/**
 * The transpose of conv1d: x [batch, inChannels, length], weight [inChannels, outChannels / groups, kernel]. The output
 * is (length - 1) stride - 2 padding + dilation (kernel - 1) + 1 + outputPadding long.
 */
export function convTranspose1d(
  x: Tensor,
  weight: Tensor,
  given: Partial<ConvAttributes> & { outputPadding?: number; bias?: Tensor } = {},
): Tensor {
  checkOptions('convTranspose1d', given, [...convOptions, 'outputPadding']);
  const { outputPadding = 0, bias, ...options } = given;
  const attributes = convAttributes(options);
  const { stride, padding, dilation, groups } = attributes;
  checkBias('convTranspose1d', bias, weight.shape[1] * groups);
  checkOutputPadding('convTranspose1d', outputPadding, stride, dilation);
  const length = (x.shape[2] - 1) * stride - 2 * padding + dilation * (weight.shape[2] - 1) + 1 + outputPadding;
  const steps = stepsBeyond(outputPadding, stride);
  const input = steps > 0 ? pad(x, [0, steps]) : x;
  const out = apply('convTranspose1d', [input, weight], { ...attributes, length })[0];
  return bias ? add(out, reshape(bias, [-1, 1])) : out;
}

/** How random numbers are drawn, and of what dtype. */
export interface DrawOptions extends RandomKey {
  /** f32 by default; f16 gives the same draws, rounded. */
  dtype?: 'f32' | 'f16';
  device?: Device;
}

const keyOptions = ['seed', 'stream', 'step'];
const uniformOptions = ['low', 'high', ...keyOptions, 'dtype', 'device'];
const normalOptions = ['mean', 'std', ...keyOptions, 'dtype', 'device'];
/** What names a stream of draws, which nothing else does: there is no generator with a state. */
const keyNeeded = ['seed', 'stream'];

/** Uniform draws in [low, high) by Philox; `seed` and `stream` name them. */
export function uniform<const S extends Shape>(
  shape: S,
  options: DrawOptions & { low?: number; high?: number },
): Tensor<Literal<S>> {
  checkCreation('uniform', options, uniformOptions, keyNeeded);
  checkShape(shape, 'uniform');
  const { low = 0, high = 1, ...key } = options;
  const { step, device = step?.device ?? getDefaultDevice(), ...stream } = key;
  return apply('uniform', step ? [step] : [], { shape: [...shape], low, high, ...stream, device })[0];
}

/** Normal draws by Philox; `seed` and `stream` name them. */
export function normal<const S extends Shape>(
  shape: S,
  options: DrawOptions & { mean?: number; std?: number },
): Tensor<Literal<S>> {
  checkCreation('normal', options, normalOptions, keyNeeded);
  checkShape(shape, 'normal');
  const { mean: centre = 0, std = 1, ...key } = options;
  const { step, device = step?.device ?? getDefaultDevice(), ...stream } = key;
  return apply('normal', step ? [step] : [], { shape: [...shape], mean: centre, std, ...stream, device })[0];
}

/** Zeroes elements with probability p and scales the rest by 1 / (1 - p); p = 0 returns x itself. */
export function dropout<T extends Tensor>(x: T, options: RandomKey & { p: number }): Tensor<ShapeOf<T>> {
  checkAlive('dropout', x);
  checkOptions('dropout', options, ['p', ...keyOptions], ['p', ...keyNeeded]);
  const { p, step, ...key } = options;
  checkProbability('dropout', 'p', p);
  return p === 0 ? x : apply('dropout', step ? [x, step] : [x], { p, ...key })[0];
}

/**
 * Nearest row of codebook [codes, dimension] for each row of x, the first one on ties, and x less that row. The distance
 * is found by a product, |e|^2 / 2 - x e, so that rows which are equally near but for rounding may take either. A row with
 * a NaN takes code 0. f32; no gradient.
 */
export function nearestCode(x: Tensor, codebook: Tensor): { codes: Tensor; residual: Tensor } {
  const [codes, residual] = apply('nearestCode', [x, codebook], {});
  return { codes, residual };
}

/**
 * Residual codes of x [rows, dimension]: each of the codebooks [codes, dimension], of one shape, codes what the ones before
 * it left over, all in one kernel. codes: i32 [codebooks, rows]. residual: what the last one leaves, [rows, dimension]; with
 * `keep` what each of them leaves, [codebooks, rows, dimension]. f32; no gradient.
 *
 * Sources: Zeghidour et al., "SoundStream" (2021); EnCodec's core_vq.py.
 *
 * @throws TypeError or RangeError when something is not f32 or the shapes do not fit.
 */
export function residualCodes(
  x: Tensor,
  codebooks: readonly Tensor[],
  options: { keep?: boolean } = {},
): { codes: Tensor; residual: Tensor } {
  checkTensors('residualCodes', codebooks, 'write [a, b]');
  checkOptions('residualCodes', options, ['keep']);
  const { keep = false } = options;
  checkBoolean('residualCodes', 'keep', keep);
  const [codes, residual] = apply('residualCodes', [x, ...codebooks], { keep });
  return { codes, residual: keep ? residual : reshape(residual, x.shape) };
}

const runningTensors = ['averages', 'sizes', 'picks'];
/**
 * One step of a codebook that follows what it quantises by exponential averages: x [rows, dimension] chose `codes` [rows]
 * (i32); `averages` [codes, dimension] and `sizes` [codes] are the running sums and numbers of what chose each entry. Entries
 * become the smoothed means; those whose running size is under `threshold` become the rows of x that `picks` [codes] (i32)
 * names, with averages and sizes to match, after the averages were moved, so that they last. Sums are in the order of the
 * rows, the same bits each time. f32; no gradient.
 *
 * Source: EnCodec's core_vq.py, with its revival of dead codes made to work.
 *
 * @param running - the running sums and numbers, and the rows that dead entries become.
 * @param options - the averages' decay, the running size under which an entry is dead, and the epsilon of smoothing, 1e-5.
 *
 * @throws TypeError or RangeError when dtypes or shapes do not fit.
 */
export function codebookUpdate(
  x: Tensor,
  codes: Tensor,
  running: { averages: Tensor; sizes: Tensor; picks: Tensor },
  options: { decay: number; threshold: number; epsilon?: number },
): { entries: Tensor; averages: Tensor; sizes: Tensor } {
  checkOptions('codebookUpdate: running', running, runningTensors, runningTensors);
  checkOptions('codebookUpdate', options, ['decay', 'threshold', 'epsilon'], ['decay', 'threshold']);
  const { averages, sizes, picks } = running;
  const { decay, threshold, epsilon = 1e-5 } = options;
  const made = apply('codebookUpdate', [x, codes, averages, sizes, picks], { decay, epsilon, threshold });
  return { entries: made[0], averages: made[1], sizes: made[2] };
}

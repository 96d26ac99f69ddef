import { apply } from '../apply.ts';
import { type Device, getDefaultDevice } from '../device/device.ts';
import { add, cast, mul, sub } from '../functions/elementwise.ts';
import { formatShape, normaliseAxes, normaliseAxis, type Shape, sameShape } from '../shape.ts';
import type {
  Literal,
  MatmulOperand,
  MatmulShape,
  PermutedShape,
  ReducedShape,
  ReshapedShape,
  ShapeOf,
  TransposedShape,
} from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import type { AxisOptions } from './arguments.ts';
import type { ConvAttributes } from './conv.ts';
import type { RandomKey } from './random.ts';
import { reshapedStrides, resolveShape } from './views.ts';

export * from '../functions/elementwise.ts';

/** The same tensor where it is dense and row-major, else a dense copy. */
export function contiguous<T extends Tensor>(x: T): Tensor<ShapeOf<T>> {
  return x.contiguous ? x : apply('contiguous', [x], {})[0];
}

type Reduction = 'sum' | 'mean' | 'sumSquares' | 'max' | 'min';

const reduction =
  (name: Reduction) =>
  <T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    x: T,
    options?: O,
  ): Tensor<ReducedShape<T, O>> => {
    const { dim, keepdim = false }: AxisOptions = options ?? {};
    const input = x.dtype === 'bool' && name === 'sum' ? cast(x, 'i32') : x;
    return apply(name, [input], { axes: normaliseAxes(dim, x.rank, name), keepdim })[0];
  };

/** Over `dim`, or over everything. Booleans are counted. */
export const sum = reduction('sum');
export const mean = reduction('mean');
/** The sum of squares, in one pass. */
export const sumSquares = reduction('sumSquares');
export const max = reduction('max');
export const min = reduction('min');

/** Index (i32) of the largest element along `dim`, the first one on ties. */
export function argmax(x: Tensor, { dim, keepdim = false }: { dim: number; keepdim?: boolean }): Tensor {
  return apply('argmax', [x], { axis: normaliseAxis(dim, x.rank, 'argmax'), keepdim })[0];
}

/** Variance about the mean, in two passes, of f16 in f32; `correction` 1 (as in PyTorch) divides by n - 1. */
export function variance(
  x: Tensor,
  { correction = 1, ...options }: AxisOptions & { correction?: number } = {},
): Tensor {
  const axes = normaliseAxes(options.dim, x.rank, 'var');
  const count = axes.reduce((product, d) => product * x.shape[d], 1);
  if (count - correction <= 0) {
    throw new RangeError(`var: ${count} elements with correction ${correction} leave nothing to divide by`);
  }
  // A mean rounded to f16 would be off by more than some distributions are wide.
  const wide = x.dtype === 'f16' ? cast(x, 'f32') : x;
  const centred = sub(wide, mean(wide, { dim: axes, keepdim: true }));
  const result = mul(sumSquares(centred, { dim: axes, keepdim: options.keepdim }), 1 / (count - correction));
  return x.dtype === 'f16' ? cast(result, 'f16') : result;
}

/** [..., m, k] x [..., k, n]; batch axes broadcast, and transposed views are read in place. */
export function matmul<A extends Tensor, B extends Tensor>(a: A, b: MatmulOperand<A, B>): Tensor<MatmulShape<A, B>> {
  return apply('matmul', [a, b as Tensor], {})[0];
}

/** The same elements in another shape; one extent may be -1. A copy only where the strides leave no other way. */
export function reshape<const N extends Shape>(x: Tensor, shape: N): Tensor<ReshapedShape<N>> {
  const target = resolveShape(x.size, shape, x.shape);
  if (sameShape(target, x.shape)) return x;
  const viewable = reshapedStrides(x.shape, x.strides, target) !== undefined;
  return apply('reshape', [viewable ? x : contiguous(x)], { shape: target })[0];
}

/** Axes in another order. */
export function permute<T extends Tensor, const P extends readonly number[]>(
  x: T,
  axes: P,
): Tensor<PermutedShape<T, P>> {
  return apply('permute', [x], { axes })[0];
}

/** Swaps two axes, the last two by default. */
export function transpose<T extends Tensor, A extends number = -2, B extends number = -1>(
  x: T,
  a: A | -2 = -2,
  b: B | -1 = -1,
): Tensor<TransposedShape<T, A, B>> {
  const axes = x.shape.map((_, d) => d);
  const from = normaliseAxis(a, x.rank, 'transpose');
  const to = normaliseAxis(b, x.rank, 'transpose');
  [axes[from], axes[to]] = [axes[to], axes[from]];
  return permute(x, axes);
}

/** Elements start, start + step, … below end of one axis; negative bounds count from the end. */
export function sliceAxis(x: Tensor, axis: number, start: number, end?: number, step = 1): Tensor {
  const d = normaliseAxis(axis, x.rank, 'sliceAxis');
  const extent = x.shape[d];
  if (!Number.isInteger(step) || step < 1)
    throw new RangeError(`sliceAxis: step ${step}; expected a whole number from 1`);
  for (const value of [start, end ?? 0]) {
    if (Number.isNaN(value) || (Number.isFinite(value) && !Number.isInteger(value))) {
      throw new RangeError(`sliceAxis: bound ${value} of axis ${d} is no whole number`);
    }
  }
  const bound = (value: number) => Math.min(extent, Math.max(0, value < 0 ? value + extent : value));
  return apply('slice', [x], { axis: d, start: bound(start), end: bound(end ?? extent), step })[0];
}

/** Stretches axes of extent 1 to `shape` without a copy. */
export function expand<const N extends Shape>(x: Tensor, shape: N): Tensor<Literal<N>> {
  return sameShape(x.shape, shape) ? x : apply('expand', [x], { shape: [...shape] })[0];
}

export function unsqueeze(x: Tensor, axis: number): Tensor {
  const d = normaliseAxis(axis, x.rank + 1, 'unsqueeze');
  return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
}

export function squeeze(x: Tensor, axis: number): Tensor {
  const d = normaliseAxis(axis, x.rank, 'squeeze');
  if (x.shape[d] !== 1)
    throw new RangeError(`squeeze: axis ${d} of ${formatShape(x.shape)} has extent ${x.shape[d]}, not 1`);
  return reshape(
    x,
    x.shape.filter((_, i) => i !== d),
  );
}

function overLastAxis(name: 'softmax' | 'logSoftmax', x: Tensor, dim: number): Tensor {
  if (x.rank === 0) return apply(name, [x], {})[0];
  const d = normaliseAxis(dim, x.rank, name);
  if (d === x.rank - 1) return apply(name, [x], {})[0];
  return transpose(apply(name, [transpose(x, d, -1)], {})[0], d, -1);
}

/** Along `dim`, the last axis by default. */
export function softmax<T extends Tensor>(x: T, { dim = -1 }: { dim?: number } = {}): Tensor<ShapeOf<T>> {
  return overLastAxis('softmax', x, dim);
}

export function logSoftmax<T extends Tensor>(x: T, { dim = -1 }: { dim?: number } = {}): Tensor<ShapeOf<T>> {
  return overLastAxis('logSoftmax', x, dim);
}

/** Normalises the last axis to mean 0 and variance 1, then scales and shifts by weight and bias [features]. */
export function layerNorm<T extends Tensor>(
  x: T,
  weight: Tensor,
  bias: Tensor,
  { eps = 1e-5 } = {},
): Tensor<ShapeOf<T>> {
  return apply('layerNorm', [x, weight, bias], { eps })[0];
}

/** [batch, channels, ...] normalised over each group of channels; weight and bias are [channels]. */
export function groupNorm(x: Tensor, groups: number, weight: Tensor, bias: Tensor, { eps = 1e-5 } = {}): Tensor {
  return apply('groupNorm', [x, weight, bias], { groups, eps })[0];
}

function convAttributes(options: Partial<ConvAttributes>): ConvAttributes {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return { stride, padding, dilation, groups };
}

function checkBias(name: string, bias: Tensor | undefined, channels: number): void {
  if (bias && bias.size !== channels) {
    throw new RangeError(`${name}: the bias is ${formatShape(bias.shape)}, but the output has ${channels} channels`);
  }
}

/** Cross-correlation, as in PyTorch: x [batch, inChannels, length], weight [outChannels, inChannels / groups, kernel]. */
export function conv1d(x: Tensor, weight: Tensor, options: Partial<ConvAttributes> & { bias?: Tensor } = {}): Tensor {
  checkBias('conv1d', options.bias, weight.shape[0]);
  const out = apply('conv1d', [x, weight], convAttributes(options))[0];
  return options.bias ? add(out, reshape(options.bias, [-1, 1])) : out;
}

/**
 * The transpose of conv1d: x [batch, inChannels, length], weight [inChannels, outChannels / groups, kernel]. The output
 * is (length - 1) stride - 2 padding + dilation (kernel - 1) + 1 + outputPadding long.
 */
export function convTranspose1d(
  x: Tensor,
  weight: Tensor,
  { outputPadding = 0, bias, ...options }: Partial<ConvAttributes> & { outputPadding?: number; bias?: Tensor } = {},
): Tensor {
  const attributes = convAttributes(options);
  const { stride, padding, dilation, groups } = attributes;
  checkBias('convTranspose1d', bias, weight.shape[1] * groups);
  const length = (x.shape[2] - 1) * stride - 2 * padding + dilation * (weight.shape[2] - 1) + 1 + outputPadding;
  const out = apply('convTranspose1d', [x, weight], { ...attributes, length })[0];
  return bias ? add(out, reshape(bias, [-1, 1])) : out;
}

/** The rows of `axis` that `index` [n] (i32) names. An index outside the axis reads NaN. */
export function indexSelect(x: Tensor, axis: number, index: Tensor): Tensor {
  return apply('indexSelect', [x, index], { axis: normaliseAxis(axis, x.rank, 'indexSelect') })[0];
}

/** Adding would otherwise stretch a source, or x, of extent 1. */
function checkSource(name: string, x: Tensor, source: Tensor, axis: number): void {
  if (source.rank !== x.rank || source.shape.some((extent, d) => d !== axis && extent !== x.shape[d])) {
    throw new RangeError(
      `${name}: the source ${formatShape(source.shape)} must equal ${formatShape(x.shape)} in every axis but ${axis}`,
    );
  }
}

/** x with the rows of `source` added where `index` [n] (i32) says. Deterministic; indices outside the axis are left out. */
export function indexAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  const d = normaliseAxis(axis, x.rank, 'indexAdd');
  checkSource('indexAdd', x, source, d);
  return add(x, apply('indexAdd', [source, index], { axis: d, extent: x.shape[d] })[0]);
}

/** One index (i32) an element along `axis`; index has x's shape but for that axis. */
export function gather(x: Tensor, axis: number, index: Tensor): Tensor {
  return apply('gather', [x, index], { axis: normaliseAxis(axis, x.rank, 'gather') })[0];
}

/** x with `source` added at `index` along `axis`: the transpose of gather. Deterministic. */
export function scatterAdd(x: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
  const d = normaliseAxis(axis, x.rank, 'scatterAdd');
  checkSource('scatterAdd', x, source, d);
  return add(x, apply('scatterAdd', [source, index], { axis: d, extent: x.shape[d] })[0]);
}

/** Joins tensors along an existing axis. */
export function concat(tensors: readonly Tensor[], axis = 0): Tensor {
  if (tensors.length === 0) throw new RangeError('concat: no tensors were given');
  return apply('concat', tensors, { axis: normaliseAxis(axis, tensors[0].rank, 'concat') })[0];
}

/** Joins tensors of one shape along a new axis. */
export function stack(tensors: readonly Tensor[], axis = 0): Tensor {
  return concat(
    tensors.map((x) => unsqueeze(x, axis)),
    axis,
  );
}

interface DrawOptions extends RandomKey {
  /** f32 by default; f16 gives the same draws, rounded. */
  dtype?: 'f32' | 'f16';
  device?: Device;
}

/** Uniform draws in [low, high) by Philox; `seed` and `stream` name them. */
export function uniform<const S extends Shape>(
  shape: S,
  { low = 0, high = 1, ...key }: DrawOptions & { low?: number; high?: number },
): Tensor<Literal<S>> {
  const { step, device = step?.device ?? getDefaultDevice(), ...stream } = key;
  return apply('uniform', step ? [step] : [], { shape: [...shape], low, high, ...stream, device })[0];
}

/** Normal draws by Philox; `seed` and `stream` name them. */
export function normal<const S extends Shape>(
  shape: S,
  { mean: centre = 0, std = 1, ...key }: DrawOptions & { mean?: number; std?: number },
): Tensor<Literal<S>> {
  const { step, device = step?.device ?? getDefaultDevice(), ...stream } = key;
  return apply('normal', step ? [step] : [], { shape: [...shape], mean: centre, std, ...stream, device })[0];
}

/** Zeroes elements with probability p and scales the rest by 1 / (1 - p); p = 0 returns x itself. */
export function dropout<T extends Tensor>(x: T, { p, step, ...key }: RandomKey & { p: number }): Tensor<ShapeOf<T>> {
  return p === 0 ? x : apply('dropout', step ? [x, step] : [x], { p, ...key })[0];
}

/** Nearest row of codebook [codes, dimension] for each row of x, and x less that row. No gradient. */
export function nearestCode(x: Tensor, codebook: Tensor): { codes: Tensor; residual: Tensor } {
  const [codes, residual] = apply('nearestCode', [x, codebook], {});
  return { codes, residual };
}

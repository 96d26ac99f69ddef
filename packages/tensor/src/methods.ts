import type { DType } from './dtype.ts';
import type { PadMode } from './functions/arranging.ts';
import type { FftOptions } from './functions/fourier.ts';
import * as functions from './functions/index.ts';
import type { Index } from './functions/slicing.ts';
import type { Sorted } from './functions/sorting.ts';
import type { AxisOptions, Operand } from './ops/arguments.ts';
import type { Shape } from './shape.ts';
import type {
  BroadcastableTo,
  BroadcastShape,
  MatmulOperand,
  MatmulShape,
  OnlyAxisOptions,
  OuterShape,
  PermutedShape,
  ReducedShape,
  ReshapedShape,
  ShapeOf,
  TransposedShape,
} from './shape-types.ts';
import type { Tensor } from './tensor.ts';

/**
 * The operations that read well as methods. Each is the function of the same name with the tensor as its first argument:
 * documentation is there. Import it from `tensor.ts` alone, whose class extends it.
 */
export abstract class Operations {
  // Arithmetic, with NumPy's broadcasting.
  add<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.add<T, O>(this, other);
  }
  sub<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.sub<T, O>(this, other);
  }
  mul<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.mul<T, O>(this, other);
  }
  div<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.div<T, O>(this, other);
  }
  pow<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.pow<T, O>(this, other);
  }
  maximum<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.maximum<T, O>(this, other);
  }
  minimum<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.minimum<T, O>(this, other);
  }
  eq<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.eq<T, O>(this, other);
  }
  ne<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.ne<T, O>(this, other);
  }
  lt<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.lt<T, O>(this, other);
  }
  le<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.le<T, O>(this, other);
  }
  gt<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.gt<T, O>(this, other);
  }
  ge<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.ge<T, O>(this, other);
  }
  neg<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.neg(this);
  }
  abs<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.abs(this);
  }
  exp<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.exp(this);
  }
  log<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.log(this);
  }
  sqrt<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.sqrt(this);
  }
  square<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.square(this);
  }
  tanh<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.tanh(this);
  }
  sigmoid<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.sigmoid(this);
  }
  relu<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.relu(this);
  }
  gelu<T extends Tensor>(this: T, options?: { approximate?: functions.GeluApproximation }): Tensor<ShapeOf<T>> {
    return functions.gelu(this, options);
  }

  // Elementwise.
  remainder<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.remainder<T, O>(this, other);
  }
  floorDivide<T extends Tensor, O extends Operand>(
    this: T,
    other: BroadcastableTo<T, O>,
  ): Tensor<BroadcastShape<T, O>> {
    return functions.floorDivide<T, O>(this, other);
  }
  atan2<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.atan2<T, O>(this, other);
  }
  logicalAnd<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.logicalAnd<T, O>(this, other);
  }
  logicalOr<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.logicalOr<T, O>(this, other);
  }
  logicalXor<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.logicalXor<T, O>(this, other);
  }
  bitwiseAnd<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.bitwiseAnd<T, O>(this, other);
  }
  bitwiseOr<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.bitwiseOr<T, O>(this, other);
  }
  bitwiseXor<T extends Tensor, O extends Operand>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.bitwiseXor<T, O>(this, other);
  }
  bitwiseLeftShift<T extends Tensor, O extends Operand>(
    this: T,
    other: BroadcastableTo<T, O>,
  ): Tensor<BroadcastShape<T, O>> {
    return functions.bitwiseLeftShift<T, O>(this, other);
  }
  bitwiseRightShift<T extends Tensor, O extends Operand>(
    this: T,
    other: BroadcastableTo<T, O>,
  ): Tensor<BroadcastShape<T, O>> {
    return functions.bitwiseRightShift<T, O>(this, other);
  }
  exp2<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.exp2(this);
  }
  expm1<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.expm1(this);
  }
  log2<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.log2(this);
  }
  log10<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.log10(this);
  }
  log1p<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.log1p(this);
  }
  tan<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.tan(this);
  }
  asin<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.asin(this);
  }
  acos<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.acos(this);
  }
  atan<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.atan(this);
  }
  sinh<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.sinh(this);
  }
  cosh<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.cosh(this);
  }
  asinh<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.asinh(this);
  }
  acosh<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.acosh(this);
  }
  atanh<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.atanh(this);
  }
  silu<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.silu(this);
  }
  trunc<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.trunc(this);
  }
  isinf<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.isinf(this);
  }
  bitwiseNot<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.bitwiseNot(this);
  }
  rsqrt<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.rsqrt(this);
  }
  reciprocal<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.reciprocal(this);
  }
  sin<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.sin(this);
  }
  cos<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.cos(this);
  }
  erf<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.erf(this);
  }
  sign<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.sign(this);
  }
  floor<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.floor(this);
  }
  ceil<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.ceil(this);
  }
  round<T extends Tensor>(this: T, options?: undefined): Tensor<ShapeOf<T>> {
    return functions.round(this, options);
  }
  isnan<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.isnan(this);
  }
  isfinite<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.isfinite(this);
  }
  logicalNot<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.logicalNot(this);
  }
  elu<T extends Tensor>(this: T, options?: { alpha?: number }): Tensor<ShapeOf<T>> {
    return functions.elu(this, options);
  }
  clamp(this: Tensor, bounds: { min?: Operand; max?: Operand }): Tensor {
    return functions.clamp(this, bounds);
  }
  leakyRelu(this: Tensor, options?: { slope?: Operand }): Tensor {
    return functions.leakyRelu(this, options);
  }
  softplus<T extends Tensor>(this: T, options?: { beta?: number }): Tensor<ShapeOf<T>> {
    return functions.softplus(this, options);
  }
  nanToNum(this: Tensor, options?: { nan?: number; posinf?: number; neginf?: number }): Tensor {
    return functions.nanToNum(this, options);
  }

  // Reductions.
  sum<T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    this: T,
    options?: O & OnlyAxisOptions<O>,
  ): Tensor<ReducedShape<T, O>> {
    return functions.sum<T, O>(this, options);
  }
  mean<T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    this: T,
    options?: O & OnlyAxisOptions<O>,
  ): Tensor<ReducedShape<T, O>> {
    return functions.mean<T, O>(this, options);
  }
  max<T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    this: T,
    options?: O & OnlyAxisOptions<O>,
  ): Tensor<ReducedShape<T, O>> {
    return functions.max<T, O>(this, options);
  }
  min<T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    this: T,
    options?: O & OnlyAxisOptions<O>,
  ): Tensor<ReducedShape<T, O>> {
    return functions.min<T, O>(this, options);
  }
  prod<T extends Tensor, const O extends AxisOptions = Record<never, never>>(
    this: T,
    options?: O & OnlyAxisOptions<O>,
  ): Tensor<ReducedShape<T, O>> {
    return functions.prod<T, O>(this, options);
  }
  argmax(this: Tensor, options?: { dim?: number; keepdim?: boolean }): Tensor {
    return functions.argmax(this, options);
  }
  argmin(this: Tensor, options?: { dim?: number; keepdim?: boolean }): Tensor {
    return functions.argmin(this, options);
  }
  any(this: Tensor, options?: AxisOptions): Tensor {
    return functions.any(this, options);
  }
  all(this: Tensor, options?: AxisOptions): Tensor {
    return functions.all(this, options);
  }
  countNonzero(this: Tensor, options?: AxisOptions): Tensor {
    return functions.countNonzero(this, options);
  }
  std(this: Tensor, options?: AxisOptions & { correction?: number }): Tensor {
    return functions.std(this, options);
  }
  norm(this: Tensor, options?: AxisOptions & { p?: number }): Tensor {
    return functions.norm(this, options);
  }
  logsumexp(this: Tensor, options?: AxisOptions): Tensor {
    return functions.logsumexp(this, options);
  }
  median(this: Tensor, options?: { dim?: number; keepdim?: boolean }): Tensor {
    return functions.median(this, options);
  }
  quantile(this: Tensor, q: number, options?: { dim?: number; keepdim?: boolean }): Tensor {
    return functions.quantile(this, q, options);
  }
  cumsum<T extends Tensor>(this: T, options: { dim: number; reverse?: boolean }): Tensor<ShapeOf<T>> {
    return functions.cumsum(this, options);
  }
  cumprod(this: Tensor, options: { dim: number; reverse?: boolean }): Tensor {
    return functions.cumprod(this, options);
  }
  sort(this: Tensor, options?: { dim?: number; descending?: boolean }): Sorted {
    return functions.sort(this, options);
  }
  argsort<T extends Tensor>(this: T, options?: { dim?: number; descending?: boolean }): Tensor<ShapeOf<T>> {
    return functions.argsort(this, options);
  }
  topk(this: Tensor, k: number, options?: { dim?: number; largest?: boolean }): Sorted {
    return functions.topk(this, k, options);
  }
  nonzero(this: Tensor): Promise<Tensor> {
    return functions.nonzero(this);
  }
  maskedSelect(this: Tensor, mask: Tensor): Promise<Tensor> {
    return functions.maskedSelect(this, mask);
  }
  /** Variance about the mean; `correction` 1 (as in PyTorch) divides by n - 1. As the function `variance`. */
  var(this: Tensor, options?: AxisOptions & { correction?: number }): Tensor {
    return functions.variance(this, options);
  }

  // Views: no copy.
  reshape<const N extends Shape>(this: Tensor, shape: N): Tensor<ReshapedShape<N>> {
    return functions.reshape(this, shape);
  }
  transpose<T extends Tensor, A extends number = -2, B extends number = -1>(
    this: T,
    a?: A,
    b?: B,
  ): Tensor<TransposedShape<T, A, B>> {
    return functions.transpose<T, A, B>(this, a, b);
  }
  permute<T extends Tensor, const P extends readonly number[]>(this: T, axes: P): Tensor<PermutedShape<T, P>> {
    return functions.permute(this, axes);
  }
  sliceAxis(this: Tensor, axis: number, start: number, end?: number, step?: number): Tensor {
    return functions.sliceAxis(this, axis, start, end, step);
  }
  expand<const N extends Shape>(this: Tensor, shape: N): Tensor<ReshapedShape<N>> {
    return functions.expand(this, shape);
  }
  broadcastTo<const N extends Shape>(this: Tensor, shape: N): Tensor<ReshapedShape<N>> {
    return functions.broadcastTo(this, shape);
  }
  squeeze(this: Tensor, dim?: number | readonly number[]): Tensor {
    return functions.squeeze(this, dim);
  }
  unsqueeze(this: Tensor, dim: number | readonly number[]): Tensor {
    return functions.unsqueeze(this, dim);
  }
  flatten(this: Tensor, start?: number, end?: number): Tensor {
    return functions.flatten(this, start, end);
  }
  unflatten(this: Tensor, dim: number, shape: Shape): Tensor {
    return functions.unflatten(this, dim, shape);
  }
  unfold(this: Tensor, dim: number, size: number, step: number): Tensor {
    return functions.unfold(this, dim, size, step);
  }
  movedim(this: Tensor, from: number | readonly number[], to: number | readonly number[]): Tensor {
    return functions.movedim(this, from, to);
  }
  diagonal(this: Tensor, options?: { offset?: number; dim1?: number; dim2?: number }): Tensor {
    return functions.diagonal(this, options);
  }
  detach<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.detach(this);
  }

  // Indexing and arranging.
  slice(this: Tensor, ...indices: Index[]): Tensor {
    return functions.slice(this, ...indices);
  }
  select(this: Tensor, axis: number, index: number): Tensor {
    return functions.select(this, axis, index);
  }
  narrow(this: Tensor, axis: number, start: number, length: number): Tensor {
    return functions.narrow(this, axis, start, length);
  }
  gather(this: Tensor, axis: number, index: Tensor): Tensor {
    return functions.gather(this, axis, index);
  }
  split(this: Tensor, size: number | readonly number[], options?: { dim?: number }): Tensor[] {
    return functions.split(this, size, options);
  }
  chunk(this: Tensor, chunks: number, options?: { dim?: number }): Tensor[] {
    return functions.chunk(this, chunks, options);
  }
  flip<T extends Tensor>(this: T, dim?: number | readonly number[]): Tensor<ShapeOf<T>> {
    return functions.flip(this, dim);
  }
  roll(this: Tensor, shift: number | readonly number[], dim?: number | readonly number[]): Tensor {
    return functions.roll(this, shift, dim);
  }
  tile(this: Tensor, repeats: readonly number[]): Tensor {
    return functions.tile(this, repeats);
  }
  repeat(this: Tensor, repeats: readonly number[]): Tensor {
    return functions.repeat(this, repeats);
  }
  repeatInterleave(this: Tensor, times: number, options: { dim: number }): Tensor {
    return functions.repeatInterleave(this, times, options);
  }
  pad(this: Tensor, padding: readonly number[], options?: { mode?: PadMode; value?: number }): Tensor {
    return functions.pad(this, padding, options);
  }
  tril(this: Tensor, options?: { diagonal?: number }): Tensor {
    return functions.tril(this, options);
  }
  triu(this: Tensor, options?: { diagonal?: number }): Tensor {
    return functions.triu(this, options);
  }
  maskedFill(this: Tensor, mask: Tensor, value: Operand): Tensor {
    return functions.maskedFill(this, mask, value);
  }

  // Everything else that reads well as a method.
  matmul<T extends Tensor, O extends Tensor>(this: T, other: MatmulOperand<T, O>): Tensor<MatmulShape<T, O>> {
    return functions.matmul<T, O>(this, other);
  }
  dot<T extends Tensor, O extends Tensor>(this: T, other: MatmulOperand<T, O>): Tensor<MatmulShape<T, O>> {
    return functions.dot<T, O>(this, other);
  }
  outer<T extends Tensor, O extends Tensor>(this: T, other: O): Tensor<OuterShape<T, O>> {
    return functions.outer<T, O>(this, other);
  }
  inner(this: Tensor, other: Tensor): Tensor {
    return functions.inner(this, other);
  }
  /** The sum of a diagonal of two axes, by default the main one of the first two. As the function `matrixTrace`. */
  trace(this: Tensor, options?: { offset?: number; dim1?: number; dim2?: number }): Tensor {
    return functions.matrixTrace(this, options);
  }
  softmax<T extends Tensor>(this: T, options?: { dim?: number }): Tensor<ShapeOf<T>> {
    return functions.softmax(this, options);
  }
  logSoftmax<T extends Tensor>(this: T, options?: { dim?: number }): Tensor<ShapeOf<T>> {
    return functions.logSoftmax(this, options);
  }
  fft<T extends Tensor>(this: T, options?: FftOptions & { n?: undefined }): Tensor<ShapeOf<T>>;
  fft(this: Tensor, options?: FftOptions): Tensor;
  fft(this: Tensor, options?: FftOptions): Tensor {
    return functions.fft(this, options);
  }
  ifft<T extends Tensor>(this: T, options?: FftOptions & { n?: undefined }): Tensor<ShapeOf<T>>;
  ifft(this: Tensor, options?: FftOptions): Tensor;
  ifft(this: Tensor, options?: FftOptions): Tensor {
    return functions.ifft(this, options);
  }
  rfft(this: Tensor, options?: FftOptions): Tensor {
    return functions.rfft(this, options);
  }
  irfft(this: Tensor, options?: FftOptions): Tensor {
    return functions.irfft(this, options);
  }
  complexMul<T extends Tensor, O extends Tensor>(this: T, other: BroadcastableTo<T, O>): Tensor<BroadcastShape<T, O>> {
    return functions.complexMul<T, O>(this, other);
  }
  complexConj<T extends Tensor>(this: T): Tensor<ShapeOf<T>> {
    return functions.complexConj(this);
  }
  complexAbs<T extends Tensor>(this: T): Tensor<ReducedShape<T, { dim: -1 }>> {
    return functions.complexAbs(this);
  }
  cast<T extends Tensor>(this: T, dtype: DType): Tensor<ShapeOf<T>> {
    return functions.cast(this, dtype);
  }
  indexSelect(this: Tensor, axis: number, index: Tensor): Tensor {
    return functions.indexSelect(this, axis, index);
  }
  indexAdd(this: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
    return functions.indexAdd(this, axis, index, source);
  }
  scatterAdd(this: Tensor, axis: number, index: Tensor, source: Tensor): Tensor {
    return functions.scatterAdd(this, axis, index, source);
  }
  segmentSum(this: Tensor, ids: Tensor, options: { count: number }): Tensor {
    return functions.segmentSum(this, ids, options);
  }
  oneHot(this: Tensor, options: { classes: number; dtype?: DType }): Tensor {
    return functions.oneHot(this, options);
  }
  bincount(this: Tensor, options: { count: number; weights?: Tensor }): Tensor {
    return functions.bincount(this, options);
  }
}

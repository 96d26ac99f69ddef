import type { Device } from '../device/device.ts';
import type { DType } from '../dtype.ts';
import type { Family } from '../kernel/variants.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

/** What is known of a tensor before it is computed. */
export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** An operation that computes: its shapes, dtypes and errors, then its kernels. */
export interface KernelOp<A> {
  readonly kind: 'kernel';
  /** What comes out. Throws for every misuse, naming the op, the shapes and the remedy. */
  infer(inputs: readonly Tensor[], attributes: A): readonly TensorSpec[];
  /**
   * Records the dispatches that fill the outputs. Depends on nothing but shapes, strides, dtypes and attributes, because
   * a compiled function records it once and replays what it recorded.
   */
  run(device: Device, inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A): void;
  /** The ways to compute it, where there are several; `run` takes one of them. */
  readonly family?: Family<A>;
  /** Floating-point operations, a multiply-add counting two; by default one for each element of the outputs. */
  flops?(inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A): number;
  /** Inputs whose elements change in place. */
  readonly mutates?: readonly number[];
  /**
   * For elementwise operations: the body of `fn compute(a: A, b: B, c: C) -> Result` in WGSL. It lets a compiled function
   * join the operation with its neighbours.
   */
  map?(inputs: readonly TensorSpec[], attributes: A): string;
  /**
   * For a `map` that draws: names the draws. `map` is then the body of `fn compute(a: A, draw: f32) -> Result`, where
   * `draw` is what `uniform` over [0, 1) gives the element; a second input is the number of the step.
   */
  draws?(attributes: A): Stream;
  /** Takes no longer than reading its inputs: a compiled function may compute it each time that it is read. */
  readonly cheap?: boolean;
  /**
   * Its kernel stores each element of its first output once, by `emit`, so that elementwise operations may follow on the
   * spot; `fours` where they may draw, because the kernel calls `prepare` (see `@dawnchorus/kernels`).
   */
  readonly emits?: 'each' | 'fours';
  /** The input that its kernel reads by `fetch`, so that elementwise operations may make it on the spot. */
  readonly fetches?: number;
  /** What it fetches it fetches several times, and must be cheap. It emits too. */
  readonly refetches?: boolean;
}

/** Names a sequence of random numbers. Whole numbers below 2^53. */
export interface Stream {
  readonly seed: number;
  readonly stream: number;
}

/** The low and the high 32 bits. */
const words = (value: number) => ({ low: value >>> 0, high: Math.floor(value / 2 ** 32) >>> 0 });

/** Seed and stream as Philox takes them: low and high words of each. */
export function streamWords({ seed, stream }: Stream): [number, number, number, number] {
  const [a, b] = [words(seed), words(stream)];
  return [a.low, a.high, b.low, b.high];
}

/** An operation that only looks at the same storage in another way. */
export interface ViewOp<A> {
  readonly kind: 'view';
  /** Where the elements of the result lie in the storage of the input; throws where there is no such view. */
  view(input: Tensor, attributes: A): { shape: Shape; strides: readonly number[]; offset: number };
}

/** An operation: it computes by kernels, or is another view of its input's storage. */
export type Op<A> = KernelOp<A> | ViewOp<A>;

/** An operation from outside the table: somebody's own kernel. */
export interface DefinedOp<A> extends KernelOp<A> {
  /** Names it in errors, profiles and gradients. */
  readonly name: string;
}

/** An entry of the op table that computes. */
export function kernelOp<A>(op: Omit<KernelOp<A>, 'kind'>): KernelOp<A> {
  return { kind: 'kernel', ...op };
}

/**
 * An operation with kernels of your own, to be called by `apply(op, inputs, attributes)`. Attributes are plain data, since
 * compiled functions are told apart by them.
 */
export function defineOp<A = Record<never, never>>(op: Omit<DefinedOp<A>, 'kind'>): DefinedOp<A> {
  return { kind: 'kernel', ...op };
}

export function viewOp<A>(view: ViewOp<A>['view']): ViewOp<A> {
  return { kind: 'view', view };
}

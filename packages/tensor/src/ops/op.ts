import type { Device } from '../device/device.ts';
import type { DType } from '../dtype.ts';
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
  /** Floating-point operations, a multiply-add counting two; by default one for each element of the outputs. */
  flops?(inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A): number;
  /** Inputs whose elements change in place. */
  readonly mutates?: readonly number[];
  /**
   * For elementwise operations: the body of `fn compute(a: A, b: B, c: C) -> Result` in WGSL. It lets a compiled function
   * join the operation with its neighbours.
   */
  map?(inputs: readonly TensorSpec[], attributes: A): string;
  /** As quick as reading its inputs, though not elementwise for `map`: a compiled function may do it twice to save memory. */
  readonly cheap?: boolean;
  /** Its kernel stores each element of its one output by `emit`, so that elementwise operations may follow on the spot. */
  readonly emits?: boolean;
  /** The input that its kernel reads by `fetch`, so that elementwise operations may make it on the spot. */
  readonly fetches?: number;
}

/** An operation that only looks at the same storage in another way. */
export interface ViewOp<A> {
  readonly kind: 'view';
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

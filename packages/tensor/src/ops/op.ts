import type { Device } from '../device/device.ts';
import type { DType } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';

export interface TensorSpec {
  readonly dtype: DType;
  readonly shape: Shape;
}

/** An operation that computes: its shapes, dtypes and errors, then its kernels. */
export interface KernelOp<A> {
  readonly kind: 'kernel';
  /** What comes out. Throws for every misuse, naming the op, the shapes and the remedy. */
  infer(inputs: readonly Tensor[], attributes: A): readonly TensorSpec[];
  /** Records the dispatches that fill the outputs. */
  run(device: Device, inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A): void;
}

/** An operation that only looks at the same storage in another way. */
export interface ViewOp<A> {
  readonly kind: 'view';
  view(input: Tensor, attributes: A): { shape: Shape; strides: readonly number[]; offset: number };
}

export type Op<A> = KernelOp<A> | ViewOp<A>;

export function kernelOp<A>(op: Omit<KernelOp<A>, 'kind'>): KernelOp<A> {
  return { kind: 'kernel', ...op };
}

export function viewOp<A>(view: ViewOp<A>['view']): ViewOp<A> {
  return { kind: 'view', view };
}

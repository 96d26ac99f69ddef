import { cast, formatShape, isFloat, isTensor, sameShape, type Tensor, valueText } from '@dawnchorus/tensor';

/** How the losses of a batch become one. */
export interface LossOptions {
  /** The mean of the losses by default, their sum, or each of them. */
  reduction?: 'mean' | 'sum' | 'none';
}

/** Losses are made in f32 from the start: a mean that was rounded to f16 says little about a step. */
export const wide = (x: Tensor): Tensor => (x.dtype === 'f16' ? cast(x, 'f32') : x);

/** A number would be stretched, or end in an error of some operation inside. */
export function checkTensor(name: string, role: string, x: unknown): void {
  if (!isTensor(x)) throw new TypeError(`${name}: ${role} is ${valueText(x)}; expected a tensor`);
}

export function reduceLoss(name: string, losses: Tensor, { reduction = 'mean' }: LossOptions): Tensor {
  if (!isFloat(losses.dtype)) {
    throw new TypeError(
      `${name}: the losses are ${losses.dtype}${formatShape(losses.shape)}; use .cast('f32') on an input`,
    );
  }
  if (reduction === 'none') return losses;
  if (reduction === 'sum') return losses.sum();
  if (reduction === 'mean') return losses.mean();
  throw new RangeError(`${name}: the reduction is ${valueText(reduction)}; expected 'mean', 'sum' or 'none'`);
}

/** Subtraction would stretch a target of another shape, and the loss would be of pairs that nobody meant. */
export function expectSameShape(name: string, a: Tensor, b: Tensor, hint = ''): void {
  checkTensor(name, 'the prediction', a);
  checkTensor(name, 'the target', b);
  if (!sameShape(a.shape, b.shape)) {
    throw new RangeError(
      `${name}: ${formatShape(a.shape)} and ${formatShape(b.shape)}; expected one shape: reshape or expand one of them${hint}`,
    );
  }
}

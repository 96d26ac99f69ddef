import { cast, formatShape, isFloat, sameShape, type Tensor } from '@dawnchorus/tensor';

/** How the losses of a batch become one. */
export interface LossOptions {
  /** The mean of the losses by default, their sum, or each of them. */
  reduction?: 'mean' | 'sum' | 'none';
}

/** Losses are made in f32 from the start: a mean that was rounded to f16 says little about a step. */
export const wide = (x: Tensor): Tensor => (x.dtype === 'f16' ? cast(x, 'f32') : x);

export function reduceLoss(name: string, losses: Tensor, { reduction = 'mean' }: LossOptions): Tensor {
  if (!isFloat(losses.dtype)) {
    throw new TypeError(
      `${name}: the losses are ${losses.dtype}${formatShape(losses.shape)}; use .cast('f32') on an input`,
    );
  }
  if (reduction === 'none') return losses;
  if (reduction === 'sum') return losses.sum();
  if (reduction === 'mean') return losses.mean();
  throw new RangeError(`${name}: the reduction is ${JSON.stringify(reduction)}; expected 'mean', 'sum' or 'none'`);
}

/** Subtraction would stretch a target of another shape, and the loss would be of pairs that nobody meant. */
export function expectSameShape(name: string, a: Tensor, b: Tensor): void {
  if (!sameShape(a.shape, b.shape)) {
    throw new RangeError(
      `${name}: ${formatShape(a.shape)} and ${formatShape(b.shape)}; expected one shape: reshape or expand one of them`,
    );
  }
}

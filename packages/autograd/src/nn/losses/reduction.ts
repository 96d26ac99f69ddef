import { cast, checkOptions, formatShape, isFloat, sameShape, type Tensor } from '@dawnchorus/tensor';

/** How the losses of a batch become one. */
export interface LossOptions {
  /** The mean of the losses by default, their sum, or each of them. */
  reduction?: 'mean' | 'sum' | 'none';
}

/** Losses are made in f32 from the start: a mean that was rounded to f16 says little about a step. */
export const wide = (x: Tensor): Tensor => (x.dtype === 'f16' ? cast(x, 'f32') : x);

/** The options of all losses: settings that several share may be given to each of them. */
const known = ['reduction', 'weight', 'ignoreIndex', 'labelSmoothing', 'posWeight', 'logTarget', 'beta', 'margin'];

/** An option that no loss has is an error: passed over it would be another loss than was meant. */
export function checkLossOptions(name: string, options: object): void {
  checkOptions(name, options, known);
}

export function reduceLoss(name: string, losses: Tensor, options: LossOptions): Tensor {
  checkLossOptions(name, options);
  const { reduction = 'mean' } = options;
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
export function expectSameShape(name: string, a: Tensor, b: Tensor, hint = ''): void {
  if (!sameShape(a.shape, b.shape)) {
    throw new RangeError(
      `${name}: ${formatShape(a.shape)} and ${formatShape(b.shape)}; expected one shape: reshape or expand one of them${hint}`,
    );
  }
}

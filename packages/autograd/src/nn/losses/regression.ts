import { abs, checkNumber, checkOptions, lt, type Tensor, where } from '@dawnchorus/tensor';
import { expectSameShape, type LossOptions, reduceLoss, wide } from './reduction.ts';

/** What a loss of the difference of two tensors of one shape, f32 or f16, has in common: it is f32. */
function ofDifference(
  name: string,
  prediction: Tensor,
  target: Tensor,
  options: LossOptions,
  each: (difference: Tensor) => Tensor,
  known = ['reduction'],
): Tensor {
  checkOptions(name, options, known);
  expectSameShape(name, prediction, target);
  return reduceLoss(name, each(wide(prediction).sub(wide(target))), options);
}

/**
 * The squared error (prediction - target)^2 of f32 or f16 tensors of one shape: an f32 scalar, or the shape of the inputs
 * without a reduction.
 *
 * @throws RangeError when the shapes differ.
 */
export function mseLoss(prediction: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return ofDifference('mseLoss', prediction, target, options, (difference) => difference.square());
}

/** The absolute error, as `mseLoss` otherwise. Its gradient is 0 where both are equal. */
export function l1Loss(prediction: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return ofDifference('l1Loss', prediction, target, options, abs);
}

/**
 * A parabola up to an error of `beta`, straight beyond it: d^2 / (2 beta) and |d| - beta / 2 (Girshick, "Fast R-CNN",
 * 2015). As `mseLoss` otherwise; a `beta` of 0 is `l1Loss`.
 */
export function smoothL1Loss(
  prediction: Tensor,
  target: Tensor,
  options: LossOptions & { beta?: number } = {},
): Tensor {
  const each = (difference: Tensor) => {
    const { beta = 1 } = options;
    checkNumber('smoothL1Loss', 'beta', beta, '0 or more', (value) => value >= 0);
    const size = abs(difference);
    if (beta === 0) return size;
    return where(lt(size, beta), difference.square().mul(0.5 / beta), size.sub(0.5 * beta));
  };
  return ofDifference('smoothL1Loss', prediction, target, options, each, ['reduction', 'beta']);
}

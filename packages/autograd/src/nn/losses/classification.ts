import {
  apply,
  checkBoolean,
  checkNumber,
  checkOptions,
  checkWhole,
  eq,
  formatShape,
  gather,
  indexSelect,
  isFloat,
  log,
  logSoftmax,
  ne,
  sameShape,
  softplus,
  sub,
  type Tensor,
  where,
} from '@dawnchorus/tensor';
import { checkTensor, expectSameShape, type LossOptions, reduceLoss, wide } from './reduction.ts';

/** Options of losses whose targets are class indices. */
export interface ClassOptions extends LossOptions {
  /** What an example of each class counts, [classes]; 1 by default. */
  weight?: Tensor;
  /** Targets of this value count nothing; -100 by default. */
  ignoreIndex?: number;
}

/** The axis of the classes: the second, or the only one. */
const classAxis = (x: Tensor): number => (x.rank === 1 ? 0 : 1);

const classOptions = ['reduction', 'weight', 'ignoreIndex'];

function checkClassOptions(name: string, options: ClassOptions, known: readonly string[]): void {
  checkOptions(name, options, known);
  const { weight, ignoreIndex } = options;
  if (weight !== undefined) checkTensor(name, 'the weight', weight);
  if (ignoreIndex !== undefined) checkWhole(name, 'ignoreIndex', ignoreIndex);
}

function checkClasses(name: string, x: Tensor, target: Tensor, weight: Tensor | undefined): void {
  const axis = classAxis(x);
  const expected = x.shape.filter((_, d) => d !== axis);
  if (x.rank === 0 || !sameShape(target.shape, expected)) {
    throw new RangeError(
      `${name}: input ${formatShape(x.shape)} and target ${formatShape(target.shape)}; expected [batch, classes, ...] ` +
        `and class indices [batch, ...] (or [classes] and []): the classes are axis 1`,
    );
  }
  if (target.dtype !== 'i32' && target.dtype !== 'u32') {
    throw new TypeError(`${name}: class indices are ${target.dtype}; expected i32 or u32: use .cast('i32')`);
  }
  checkWeight(name, x, weight);
}

function checkWeight(name: string, x: Tensor, weight: Tensor | undefined): void {
  const classes = x.shape[classAxis(x)];
  if (weight && !sameShape(weight.shape, [classes])) {
    throw new RangeError(`${name}: the weight is ${formatShape(weight.shape)}; expected [${classes}], one a class`);
  }
}

/** The weight of each target: of its class, or 1; 0 where it is ignored. */
function weightOf(target: Tensor, weight: Tensor | undefined, ignoreIndex: number): Tensor {
  const counts = ne(target, ignoreIndex);
  if (!weight) return counts.cast('f32');
  const own = indexSelect(wide(weight), 0, target.reshape([-1])).reshape(target.shape);
  return where(counts, own, 0);
}

/** [classes] beside an input with the classes on its own axis. */
const alongClasses = (weight: Tensor, x: Tensor): Tensor =>
  wide(weight).reshape([-1, ...x.shape.slice(2).map(() => 1)]);

/** The mean of losses of class indices is taken over their weights, as in PyTorch: NaN where all are ignored. */
function reduceWeighted(name: string, losses: Tensor, weights: Tensor, options: LossOptions): Tensor {
  if ((options.reduction ?? 'mean') !== 'mean') return reduceLoss(name, losses, options);
  return losses.sum().div(weights.sum());
}

function negativeLikelihood(
  name: string,
  logProbabilities: Tensor,
  indices: Tensor,
  { weight, ignoreIndex = -100, ...options }: ClassOptions,
): Tensor {
  checkClasses(name, logProbabilities, indices, weight);
  const target = indices.cast('i32');
  const axis = classAxis(logProbabilities);
  const ignored = eq(target, ignoreIndex);
  const weights = weightOf(target, weight, ignoreIndex);
  const picked = gather(logProbabilities, axis, target.unsqueeze(axis)).squeeze(axis);
  // Chosen, not multiplied: what is ignored may be NaN or infinite.
  const own = where(ignored, 0, weight ? picked.mul(weights) : picked).neg();
  return reduceWeighted(name, own, weights, options);
}

/**
 * The negative log-likelihood: minus the log-probability of each target's class, times the weight of the class.
 *
 * @param logProbabilities f32 or f16 [batch, classes, ...], or [classes].
 * @param target i32 or u32 [batch, ...], or a scalar. A class that is not there gives NaN, unless it is `ignoreIndex`.
 * @returns f32: the mean over the weights of what is not ignored (NaN where everything is), the sum, or the target's shape.
 * @throws RangeError when the shapes do not fit.
 */
export function nllLoss(logProbabilities: Tensor, target: Tensor, options: ClassOptions = {}): Tensor {
  checkClassOptions('nllLoss', options, classOptions);
  checkTensor('nllLoss', 'the input', logProbabilities);
  checkTensor('nllLoss', 'the target', target);
  return negativeLikelihood('nllLoss', wide(logProbabilities), target, options);
}

/**
 * The cross-entropy of logits, in nats, against class indices or against probabilities.
 *
 * @param logits f32 or f16 [batch, classes, ...], or [classes]: the classes are axis 1.
 * @param target class indices, i32 or u32 [batch, ...] or a scalar, of which one that is not there gives NaN, unless it is
 *   `ignoreIndex`; or probabilities, floats of the logits' shape.
 * @param options `labelSmoothing`: this share of each target's probability is spread evenly over the classes (Szegedy et
 *   al., 2016).
 * @returns f32: the mean, the sum, or the shape of the class indices. The mean is taken over the weights of the classes of
 *   what is not ignored (NaN where everything is); with probabilities, over the batch and the axes after the classes.
 * @throws RangeError when the shapes do not fit, TypeError when class indices are booleans.
 */
export function crossEntropy(
  logits: Tensor,
  target: Tensor,
  options: ClassOptions & { labelSmoothing?: number } = {},
): Tensor {
  checkClassOptions('crossEntropy', options, [...classOptions, 'labelSmoothing']);
  checkTensor('crossEntropy', 'the input', logits);
  checkTensor('crossEntropy', 'the target', target);
  const { labelSmoothing = 0, ...others } = options;
  checkNumber('crossEntropy', 'labelSmoothing', labelSmoothing, '0 to 1', (value) => value >= 0 && value <= 1);
  if (logits.rank === 0) throw new RangeError('crossEntropy: the logits are a scalar; expected [batch, classes, ...]');
  if (!isFloat(target.dtype)) return ofClasses(logits, target, others, labelSmoothing);
  const { weight, ignoreIndex, ...reduction } = others;
  expectSameShape('crossEntropy', logits, target, "; class indices are i32 or u32: use .cast('i32')");
  checkWeight('crossEntropy', logits, weight);
  if (ignoreIndex !== undefined) {
    throw new TypeError(
      'crossEntropy: ignoreIndex is for class indices; zero the probabilities of what should not count',
    );
  }
  const axis = classAxis(logits);
  const share = labelSmoothing / logits.shape[axis];
  const smoothed =
    labelSmoothing > 0
      ? wide(target)
          .mul(1 - labelSmoothing)
          .add(share)
      : wide(target);
  const weighted = weight ? smoothed.mul(alongClasses(weight, logits)) : smoothed;
  const losses = logSoftmax(wide(logits), { dim: axis }).mul(weighted).sum({ dim: axis }).neg();
  return reduceLoss('crossEntropy', losses, reduction);
}

/** Against class indices: one kernel for the losses, one for their gradient; probabilities are stored nowhere. */
function ofClasses(
  logits: Tensor,
  indices: Tensor,
  { weight, ignoreIndex = -100, ...options }: ClassOptions,
  labelSmoothing: number,
): Tensor {
  checkClasses('crossEntropy', logits, indices, weight);
  const target = indices.cast('i32');
  const axis = classAxis(logits);
  const last = axis === logits.rank - 1 ? logits : logits.movedim(axis, -1);
  const inputs = weight ? [last, target, wide(weight)] : [last, target];
  const [losses] = apply('crossEntropy', inputs, { ignoreIndex, labelSmoothing });
  if ((options.reduction ?? 'mean') !== 'mean') return reduceLoss('crossEntropy', losses, options);
  return reduceWeighted('crossEntropy', losses, weightOf(target, weight, ignoreIndex), options);
}

/**
 * The cross-entropy of independent yes-or-no questions, in nats, from logits: -(posWeight y log s(x) + (1 - y) log(1 -
 * s(x))) with s the sigmoid, computed so that it neither overflows nor loses small values.
 *
 * @param target probabilities, of the logits' shape and any dtype.
 * @param options `weight` is a factor of each loss, `posWeight` of the positive part; both broadcast to the logits' shape.
 * @returns f32: the mean over all elements, their sum, or the logits' shape.
 * @throws RangeError when the shapes differ.
 */
export function binaryCrossEntropyWithLogits(
  logits: Tensor,
  target: Tensor,
  options: LossOptions & { weight?: Tensor; posWeight?: Tensor } = {},
): Tensor {
  checkOptions('binaryCrossEntropyWithLogits', options, ['reduction', 'weight', 'posWeight']);
  const { weight, posWeight } = options;
  if (weight !== undefined) checkTensor('binaryCrossEntropyWithLogits', 'the weight', weight);
  if (posWeight !== undefined) checkTensor('binaryCrossEntropyWithLogits', 'posWeight', posWeight);
  expectSameShape('binaryCrossEntropyWithLogits', logits, target);
  const x = wide(logits);
  const y = target.cast('f32');
  // -log s(x) is softplus(-x), and -log(1 - s(x)) that plus x.
  const negative = softplus(x.neg());
  const factor = posWeight ? y.mul(wide(posWeight).sub(1)).add(1) : undefined;
  const losses = sub(1, y)
    .mul(x)
    .add(factor ? factor.mul(negative) : negative);
  const weighted = weight ? losses.mul(wide(weight)) : losses;
  if (!sameShape(weighted.shape, logits.shape)) {
    throw new RangeError(
      `binaryCrossEntropyWithLogits: weight and posWeight stretch ${formatShape(logits.shape)} to ` +
        `${formatShape(weighted.shape)}; expected shapes that broadcast to the logits'`,
    );
  }
  return reduceLoss('binaryCrossEntropyWithLogits', weighted, options);
}

/**
 * The Kullback-Leibler divergence t (log t - input) of each element, 0 where t is 0; `target` holds probabilities, or
 * their logarithms with `logTarget`.
 *
 * @param input log-probabilities, f32 or f16, of the target's shape.
 * @param options a reduction more, `batchmean`: the sum over the extent of the first axis, the mathematical divergence of
 *   a batch; `mean` is that of all elements.
 * @returns f32.
 * @throws RangeError when the shapes differ.
 */
export function klDiv(
  input: Tensor,
  target: Tensor,
  options: { logTarget?: boolean; reduction?: LossOptions['reduction'] | 'batchmean' } = {},
): Tensor {
  checkOptions('klDiv', options, ['reduction', 'logTarget']);
  const { logTarget = false, reduction = 'mean' } = options;
  checkBoolean('klDiv', 'logTarget', logTarget);
  expectSameShape('klDiv', input, target);
  const [x, t] = [wide(input), wide(target)];
  const none = logTarget ? undefined : eq(t, 0);
  const losses = none ? t.mul(log(where(none, 1, t)).sub(x)) : t.exp().mul(t.sub(x));
  const each = none ? where(none, 0, losses) : losses;
  if (reduction !== 'batchmean') return reduceLoss('klDiv', each, { reduction });
  return each.sum().div(input.shape[0] ?? 1);
}

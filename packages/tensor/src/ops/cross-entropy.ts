import { softmax as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import { gridFor, rowShape } from '../kernel/grid.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectDtype, expectFloat } from './arguments.ts';
import { withDense, withScratch } from './dense.ts';
import { kernelOp } from './op.ts';
import { sumMiddle } from './reduce.ts';

/** What the losses of rows of logits against class indices depend on. */
export interface CrossEntropyAttributes {
  /** Rows of this class count nothing. */
  ignoreIndex: number;
  /** The share of each target's probability that is spread evenly over the classes, 0 to 1. */
  labelSmoothing: number;
}

function check(
  name: string,
  x: Tensor,
  target: Tensor,
  weight: Tensor | undefined,
  { ignoreIndex, labelSmoothing }: CrossEntropyAttributes,
): void {
  expectFloat(name, 'the logits', x);
  expectDtype(name, 'the target', target, 'i32');
  if (x.rank === 0 || x.shape.at(-1) === 0 || !sameShape(target.shape, x.shape.slice(0, -1))) {
    throw new RangeError(
      `${name}: logits ${formatShape(x.shape)} and target ${formatShape(target.shape)}; expected [..., classes], with classes from 1, and [...]`,
    );
  }
  if (weight) {
    expectDtype(name, 'the weight', weight, 'f32');
    if (!sameShape(weight.shape, x.shape.slice(-1))) {
      throw new RangeError(
        `${name}: the weight is ${formatShape(weight.shape)}; expected [${x.shape.at(-1)}], one a class`,
      );
    }
  }
  if (!Number.isInteger(ignoreIndex) || Math.abs(ignoreIndex) > 2 ** 31 - 1) {
    throw new RangeError(`${name}: ignoreIndex is ${ignoreIndex}; expected a whole number that i32 holds`);
  }
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
    throw new RangeError(`${name}: labelSmoothing is ${labelSmoothing}; expected 0 to 1`);
  }
}

const constantsOf = (weight: Tensor | undefined, { labelSmoothing }: CrossEntropyAttributes, out: Tensor) => ({
  WEIGHTED: `const WEIGHTED = ${weight !== undefined};`,
  SMOOTHED: `const SMOOTHED = ${labelSmoothing > 0};`,
  OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
});

const sizesOf = (x: Tensor, { ignoreIndex, labelSmoothing }: CrossEntropyAttributes) => {
  const length = x.shape[x.rank - 1];
  return { rows: x.size / length, length, ignored: ignoreIndex >>> 0, smoothing: labelSmoothing };
};

/**
 * Inputs: logits [..., classes], class indices [...] (i32), and an f32 weight of each class, if any; outputs: the f32
 * losses [...], and for the gradient [rows, 2], the largest logit and log(sum(exp(x - largest))) of each row.
 */
const crossEntropy = kernelOp<CrossEntropyAttributes>({
  fetches: 0,
  emits: 'each',
  // Difference, maximum, exponential and sum.
  flops: ([x]) => 4 * x.size,
  infer([x, target, weight], attributes) {
    check('crossEntropy', x, target, weight, attributes);
    return [
      { dtype: 'f32', shape: target.shape },
      { dtype: 'f32', shape: [target.size, 2] },
    ];
  },
  run(device, inputs, [out, statistics], attributes) {
    withDense(device, inputs, ([x, target, weight]) => {
      const sizes = sizesOf(x, attributes);
      const shape = rowShape(device, sizes.length);
      device.recorder.dispatch({
        kernel: kernels.crossEntropy,
        constants: {
          ...shape.constants,
          ...constantsOf(weight, attributes, out),
          InputElement: `alias InputElement = ${wgslType[x.dtype]};`,
        },
        // What is bound for a weight that is not there is not read.
        buffers: [x, target, weight ?? target, out, statistics].map((tensor) => tensor.storage.buffer),
        parameters: { ...sizes, offset: x.offset, targetOffset: target.offset, weightOffset: weight?.offset ?? 0 },
        grid: shape.grid(sizes.rows),
      });
    });
  },
});

/** With the sum of the weights where it is needed, and something to bind in its place elsewhere. */
function withWeightSum(
  device: Device,
  weight: Tensor | undefined,
  { labelSmoothing }: CrossEntropyAttributes,
  other: Tensor,
  body: (sum: Tensor) => void,
): void {
  if (!weight || labelSmoothing === 0) {
    body(other);
    return;
  }
  withScratch(device, [{ name: 'sum of class weights', shape: [1] }], (sum) => {
    sumMiddle(device, weight, [1, weight.size, 1], sum);
    body(sum);
  });
}

/** Inputs: logits, class indices, the second output of crossEntropy, the f32 gradient of the losses, the weight if any. */
const crossEntropyBackward = kernelOp<CrossEntropyAttributes>({
  emits: 'each',
  flops: ([x]) => 5 * x.size,
  infer([x, target, statistics, grad, weight], attributes) {
    check('crossEntropyBackward', x, target, weight, attributes);
    expectDtype('crossEntropyBackward', 'the statistics', statistics, 'f32');
    expectDtype('crossEntropyBackward', 'the gradient', grad, 'f32');
    if (!sameShape(statistics.shape, [target.size, 2]) || !sameShape(grad.shape, target.shape)) {
      throw new RangeError(
        `crossEntropyBackward: statistics ${formatShape(statistics.shape)} and gradient ${formatShape(grad.shape)} do not fit the target ${formatShape(target.shape)}; expected ${formatShape([target.size, 2])} and the target's shape`,
      );
    }
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  run(device, inputs, [out], attributes) {
    withDense(device, inputs, ([x, target, statistics, grad, weight]) => {
      withWeightSum(device, weight, attributes, statistics, (weightSum) => {
        const bound = [x, target, statistics, grad, weight ?? statistics, weightSum, out];
        device.recorder.dispatch({
          kernel: kernels.crossEntropyBackward,
          constants: {
            ...constantsOf(weight, attributes, out),
            Element: `alias Element = ${wgslType[x.dtype]};`,
          },
          buffers: bound.map((tensor) => tensor.storage.buffer),
          parameters: {
            ...sizesOf(x, attributes),
            xOffset: x.offset,
            targetOffset: target.offset,
            statisticsOffset: statistics.offset,
            gradOffset: grad.offset,
            weightOffset: weight?.offset ?? 0,
          },
          grid: gridFor(x.size),
        });
      });
    });
  },
});

export const differentiableLosses = { crossEntropy, crossEntropyBackward };

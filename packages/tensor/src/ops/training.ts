import { optimizer } from '@dawnchorus/kernels';
import { wgslType } from '../dtype.ts';
import { gridFor } from '../kernel/grid.ts';
import { formatShape, sameShape } from '../shape.ts';
import { optimizers } from './adamw.ts';
import { expectDtype } from './arguments.ts';
import { codebookUpdate } from './codebook-update.ts';
import { withDense } from './dense.ts';
import { nearestCode, residualCodes } from './nearest-code.ts';
import { kernelOp } from './op.ts';

/** Adds one to a scalar, f32 or i32, in place: the number of the step. No outputs. */
const increment = kernelOp<Record<never, never>>({
  mutates: [0],
  infer([value]) {
    expectDtype('increment', 'the counter', value, 'f32', 'i32');
    if (value.size !== 1)
      throw new RangeError(`increment: the counter is ${formatShape(value.shape)}; expected one element`);
    return [];
  },
  run(device, [value]) {
    device.recorder.dispatch({
      kernel: optimizer.increment,
      constants: { Element: `alias Element = ${wgslType[value.dtype]};` },
      buffers: [value.storage.buffer],
      parameters: { offset: value.offset },
      grid: [1, 1, 1],
    });
  },
});

/**
 * average += weight (value - average), in place. Inputs: the average, which is dense, the value of its shape, and the
 * weight, a scalar; all f32. No outputs.
 */
const lerp = kernelOp<Record<never, never>>({
  flops: ([average]) => 3 * average.size,
  mutates: [0],
  infer(inputs) {
    const [average, value, weight] = inputs;
    const roles = ['the average', 'the value', 'the weight'];
    for (const [i, input] of inputs.entries()) expectDtype('lerp', roles[i], input, 'f32');
    if (!sameShape(average.shape, value.shape) || weight.size !== 1) {
      throw new RangeError(
        `lerp: average ${formatShape(average.shape)}, value ${formatShape(value.shape)} and weight ` +
          `${formatShape(weight.shape)}; expected one shape and one element`,
      );
    }
    if (!average.contiguous || value.storage === average.storage || weight.storage === average.storage) {
      throw new RangeError('lerp: the average must be dense, and share its memory with neither value nor weight');
    }
    return [];
  },
  run(device, [average, value, weight]) {
    if (average.size === 0) return;
    withDense(device, [value], ([dense]) => {
      device.recorder.dispatch({
        kernel: optimizer.lerp,
        buffers: [dense, weight, average].map((tensor) => tensor.storage.buffer),
        parameters: {
          size: average.size,
          averageOffset: average.offset,
          valueOffset: dense.offset,
          weightOffset: weight.offset,
        },
        grid: gridFor(average.size),
      });
    });
  },
});

export const otherTraining = { ...optimizers, increment, lerp, nearestCode, residualCodes, codebookUpdate };

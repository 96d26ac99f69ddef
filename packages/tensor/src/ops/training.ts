import { optimizer, rvq } from '@dawnchorus/kernels';
import { wgslType } from '../dtype.ts';
import { gridFor, rowShape } from '../kernel/grid.ts';
import { formatShape, sameShape } from '../shape.ts';
import { optimizers } from './adamw.ts';
import { expectDtype } from './arguments.ts';
import { withDense } from './dense.ts';
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

/** x [rows, dimension] and codebook [codes, dimension] -> nearest code [rows] (i32) and residual [rows, dimension]. */
const nearestCode = kernelOp<Record<never, never>>({
  flops: ([x, codebook]) => 2 * x.size * codebook.shape[0],
  infer([x, codebook]) {
    expectDtype('nearestCode', 'the input', x, 'f32');
    expectDtype('nearestCode', 'the codebook', codebook, 'f32');
    if (x.rank !== 2 || codebook.rank !== 2 || x.shape[1] !== codebook.shape[1] || codebook.shape[0] === 0) {
      throw new RangeError(
        `nearestCode: ${formatShape(x.shape)} and codebook ${formatShape(codebook.shape)}; expected [rows, dimension] and [codes, dimension] with codes from 1`,
      );
    }
    return [
      { dtype: 'i32', shape: [x.shape[0]] },
      { dtype: 'f32', shape: x.shape },
    ];
  },
  run(device, inputs, [indices, residual]) {
    withDense(device, inputs, ([x, codebook]) => {
      const [rows, dimension] = x.shape;
      // Codes are what the threads share.
      const shape = rowShape(device, 4 * codebook.shape[0]);
      device.recorder.dispatch({
        kernel: rvq.nearestCode,
        constants: shape.constants,
        buffers: [x, codebook, indices, residual].map((tensor) => tensor.storage.buffer),
        parameters: { rows, dimension, codes: codebook.shape[0], xOffset: x.offset, codebookOffset: codebook.offset },
        grid: shape.grid(rows),
      });
    });
  },
});

export const otherTraining = { ...optimizers, increment, lerp, nearestCode };

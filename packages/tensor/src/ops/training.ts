import { optimizer, rvq } from '@dawnchorus/kernels';
import { wgslType } from '../dtype.ts';
import { gridFor, linearGrid, rowLanes } from '../kernel/grid.ts';
import { formatShape, sameShape } from '../shape.ts';
import { expectDtype } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';

/** AdamW's settings (Loshchilov and Hutter, 2019). */
export interface AdamWAttributes {
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** Clip the gradient to this global norm; 0 for never. */
  clipNorm: number;
}

/**
 * One AdamW step in place. Inputs: gradients, squared global norm, learning rate, number of the step from 1 (three
 * scalars), parameters, first and second moment (dense vectors of one length). Skipped on the GPU when the norm is not
 * finite. No outputs.
 */
const adamw = kernelOp<AdamWAttributes>({
  flops: ([gradients]) => 16 * gradients.size,
  mutates: [4, 5, 6],
  infer(inputs) {
    const [gradients, norm, rate, steps, ...state] = inputs;
    for (const [role, scalar] of [
      ['the squared norm', norm],
      ['the learning rate', rate],
      ['the number of the step', steps],
    ] as const) {
      expectDtype('adamw', role, scalar, 'f32');
      if (scalar.size !== 1)
        throw new RangeError(`adamw: ${role} is ${formatShape(scalar.shape)}; expected one element`);
    }
    if (norm.offset !== 0) throw new RangeError('adamw: the squared norm must lie at offset 0');
    for (const tensor of [gradients, ...state]) {
      expectDtype('adamw', 'an input', tensor, 'f32');
      if (tensor.size !== gradients.size || !tensor.contiguous || tensor.offset !== 0) {
        throw new RangeError(
          `adamw: ${formatShape(tensor.shape)} must be dense, at offset 0 and as long as the gradients, ${gradients.size}`,
        );
      }
    }
    return [];
  },
  run(device, inputs, _outputs, a) {
    device.recorder.dispatch({
      kernel: optimizer.adamw,
      buffers: inputs.map((input) => input.storage.buffer),
      parameters: {
        size: inputs[0].size,
        beta1: a.beta1,
        beta2: a.beta2,
        eps: a.eps,
        weightDecay: a.weightDecay,
        // beta = 0 forgets at once: a step is then as good as infinitely many.
        logBeta1: Math.max(Math.log(a.beta1), -1e30),
        logBeta2: Math.max(Math.log(a.beta2), -1e30),
        clipNorm: a.clipNorm,
        rateOffset: inputs[2].offset,
        stepsOffset: inputs[3].offset,
      },
      grid: gridFor(inputs[0].size),
    });
  },
});

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
      device.recorder.dispatch({
        kernel: rvq.nearestCode,
        constants: rowLanes(device),
        buffers: [x, codebook, indices, residual].map((tensor) => tensor.storage.buffer),
        parameters: { rows, dimension, codes: codebook.shape[0], xOffset: x.offset, codebookOffset: codebook.offset },
        grid: linearGrid(rows),
      });
    });
  },
});

export const otherTraining = { adamw, increment, lerp, nearestCode };

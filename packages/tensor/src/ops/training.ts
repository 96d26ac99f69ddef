import { optimizer, rvq } from '@dawnchorus/kernels';
import { gridFor, linearGrid, rowLanes } from '../kernel/recorder.ts';
import { formatShape } from '../shape.ts';
import { expectDtype } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';

export interface AdamWAttributes {
  learningRate: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay: number;
  /** From 1. */
  step: number;
  /** Clip the gradient to this global norm; 0 for never. */
  clipNorm: number;
}

/**
 * One AdamW step in place. Inputs: gradients, squared global norm (scalar), parameters, first and second moment, all
 * dense vectors of one length but the norm. Skipped on the GPU when the norm is not finite. No outputs.
 */
const adamw = kernelOp<AdamWAttributes>({
  mutates: [2, 3, 4],
  infer(inputs) {
    const [gradients, norm, ...state] = inputs;
    expectDtype('adamw', 'the squared norm', norm, 'f32');
    if (norm.size !== 1 || norm.offset !== 0) {
      throw new RangeError(`adamw: the squared norm is ${formatShape(norm.shape)}; expected one element at offset 0`);
    }
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
        learningRate: a.learningRate,
        beta1: a.beta1,
        beta2: a.beta2,
        eps: a.eps,
        weightDecay: a.weightDecay,
        correction1: 1 - a.beta1 ** a.step,
        correction2: 1 - a.beta2 ** a.step,
        clipNorm: a.clipNorm,
      },
      grid: gridFor(inputs[0].size),
    });
  },
});

/** x [rows, dimension] and codebook [codes, dimension] -> nearest code [rows] (i32) and residual [rows, dimension]. */
const nearestCode = kernelOp<Record<never, never>>({
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

export const otherTraining = { adamw, nearestCode };

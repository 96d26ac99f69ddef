import { softmax as kernels, rows as pieces } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import { type RowShape, rowShape, takesFours } from '../kernel/grid.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectDtype, expectFloat } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';

function rowsOf(x: Tensor): { rows: number; length: number } {
  const length = x.shape[x.rank - 1];
  return { rows: x.size / length, length };
}

function constantsOf(shape: RowShape, out: Tensor, logarithm: boolean) {
  return {
    ...shape.constants,
    ...shape.kept,
    ...pieces.pieceConstants,
    LOGARITHM: `const LOGARITHM = ${logarithm};`,
    OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
  };
}

/** Softmax over the last axis; the function of this name moves another axis there. */
function softmaxOp(name: string, logarithm: boolean) {
  return kernelOp<Record<never, never>>({
    fetches: 0,
    refetches: true,
    emits: 'fours',
    // Maximum, difference, exponential, sum and quotient.
    flops: ([x]) => 5 * x.size,
    infer([x]) {
      expectFloat(name, 'the input', x);
      if (x.rank === 0) throw new RangeError(`${name}: a scalar has no axis to normalise over`);
      return [{ dtype: x.dtype, shape: x.shape }];
    },
    run(device: Device, [x], [out]) {
      withDense(device, [x], ([dense]) => {
        const { rows, length } = rowsOf(dense);
        const shape = rowShape(device, length);
        device.recorder.dispatch({
          kernel: kernels.softmax,
          constants: {
            ...constantsOf(shape, out, logarithm),
            InputElement: `alias InputElement = ${wgslType[dense.dtype]};`,
            ...(takesFours(device, length, [dense.offset]) && pieces.widePieces(wgslType[dense.dtype])),
          },
          buffers: [dense.storage.buffer, out.storage.buffer],
          parameters: { rows, length, offset: dense.offset },
          grid: shape.grid(rows),
        });
      });
    },
  });
}

/** Inputs: the output of the softmax, and the gradient of it. */
function softmaxBackwardOp(name: string, logarithm: boolean) {
  return kernelOp<Record<never, never>>({
    emits: 'each',
    flops: ([y]) => 4 * y.size,
    infer([y, grad]) {
      expectFloat(name, 'the output', y);
      expectDtype(name, 'the gradient', grad, y.dtype);
      if (y.rank === 0 || !sameShape(y.shape, grad.shape)) {
        throw new RangeError(
          `${name}: output ${formatShape(y.shape)} and gradient ${formatShape(grad.shape)}; expected one shape, with an axis`,
        );
      }
      return [{ dtype: y.dtype, shape: y.shape }];
    },
    run(device, inputs, [out]) {
      withDense(device, inputs, ([y, grad]) => {
        const { rows, length } = rowsOf(y);
        const shape = rowShape(device, length);
        device.recorder.dispatch({
          kernel: kernels.softmaxBackward,
          constants: {
            ...constantsOf(shape, out, logarithm),
            Element: `alias Element = ${wgslType[y.dtype]};`,
            ...(takesFours(device, length, [y.offset, grad.offset]) && pieces.wideElements(wgslType[y.dtype])),
          },
          buffers: [y.storage.buffer, grad.storage.buffer, out.storage.buffer],
          parameters: { rows, length, yOffset: y.offset, gradOffset: grad.offset },
          grid: shape.grid(rows),
        });
      });
    },
  });
}

export const differentiableSoftmax = {
  softmax: softmaxOp('softmax', false),
  logSoftmax: softmaxOp('logSoftmax', true),
  softmaxBackward: softmaxBackwardOp('softmaxBackward', false),
  logSoftmaxBackward: softmaxBackwardOp('logSoftmaxBackward', true),
};

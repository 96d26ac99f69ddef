import { norm as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { promote, wgslType } from '../dtype.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectFloat } from './arguments.ts';
import { withDense, withScratch } from './dense.ts';
import { fillBuffer } from './fill.ts';
import { kernelOp } from './op.ts';

/** Each workgroup of the second pass adds the sums of every chunk: more chunks would cost more than they save. */
const MOST_CHUNKS = 32;
const SHORTEST_CHUNK = 64;
/** Rows of a workgroup of the second pass. */
const ROWS = 256;

function check(name: string, v: Tensor, g: Tensor): void {
  expectFloat(name, 'the direction', v);
  expectFloat(name, 'the length', g);
  const last = v.shape[v.rank - 1];
  if (v.rank === 0 || !sameShape(g.shape, [...v.shape.slice(1).map(() => 1), last])) {
    throw new RangeError(
      `${name}: direction ${formatShape(v.shape)} and length ${formatShape(g.shape)} do not fit; the length is [1, ..., taps], one for each element of the direction's last axis`,
    );
  }
}

/** Calls `body` with the sums over chunks of rows, [chunks, columns, 2], of v^2 and, with a gradient, of v dw. */
function withSums(
  device: Device,
  v: Tensor,
  grad: Tensor | undefined,
  body: (sums: Tensor, sizes: { rows: number; columns: number; chunk: number; chunks: number }) => void,
): void {
  const columns = v.shape[v.rank - 1];
  const rows = v.size / columns;
  const chunk = Math.max(SHORTEST_CHUNK, Math.ceil(rows / MOST_CHUNKS));
  const chunks = Math.ceil(rows / chunk);
  withScratch(device, [{ name: 'sums of a weight norm', shape: [chunks, columns, 2] }], (sums) => {
    device.recorder.dispatch({
      kernel: kernels.weightNormSums,
      constants: {
        GRADIENT: `const GRADIENT = ${grad !== undefined};`,
        Element: `alias Element = ${wgslType[v.dtype]};`,
        GradElement: `alias GradElement = ${wgslType[(grad ?? v).dtype]};`,
      },
      buffers: [v.storage.buffer, (grad ?? v).storage.buffer, sums.storage.buffer],
      parameters: { rows, columns, chunk, offset: v.offset, gradOffset: (grad ?? v).offset },
      grid: [Math.ceil(columns / 32), chunks, 1],
    });
    body(sums, { rows, columns, chunk: ROWS, chunks });
  });
}

/** Inputs v [..., taps] and g [1, ..., taps]; g v / |v|, the length taken over all axes but the last. */
const weightNorm = kernelOp<Record<never, never>>({
  emits: 'each',
  flops: ([v]) => 3 * v.size,
  infer([v, g]) {
    check('weightNorm', v, g);
    return [{ dtype: promote(v.dtype, g.dtype), shape: v.shape }];
  },
  run(device, inputs, [out]) {
    if (out.size === 0) return;
    withDense(device, inputs, ([v, g]) => {
      withSums(device, v, undefined, (sums, sizes) => {
        device.recorder.dispatch({
          kernel: kernels.weightNorm,
          constants: {
            Element: `alias Element = ${wgslType[v.dtype]};`,
            ScaleElement: `alias ScaleElement = ${wgslType[g.dtype]};`,
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
          },
          buffers: [v, g, sums, out].map((tensor) => tensor.storage.buffer),
          parameters: { ...sizes, offset: v.offset, scaleOffset: g.offset },
          grid: [Math.ceil(sizes.columns / 32), Math.ceil(sizes.rows / ROWS), 1],
        });
      });
    });
  },
});

/** Inputs v, g and the gradient of their weight norm; outputs the gradients of v and of g, in their dtypes. */
const weightNormBackward = kernelOp<Record<never, never>>({
  emits: 'each',
  flops: ([v]) => 7 * v.size,
  infer([v, g, grad]) {
    const name = 'weightNormBackward';
    check(name, v, g);
    expectFloat(name, 'the gradient', grad);
    if (!sameShape(grad.shape, v.shape)) {
      throw new RangeError(
        `${name}: gradient ${formatShape(grad.shape)} is not of the direction's ${formatShape(v.shape)}`,
      );
    }
    return [v, g].map(({ dtype, shape }) => ({ dtype, shape }));
  },
  run(device, inputs, [out, scaleGrad]) {
    if (out.size === 0) {
      if (scaleGrad.size > 0) fillBuffer(device, scaleGrad, 0);
      return;
    }
    withDense(device, inputs, ([v, g, grad]) => {
      withSums(device, v, grad, (sums, sizes) => {
        device.recorder.dispatch({
          kernel: kernels.weightNormBackward,
          constants: {
            Element: `alias Element = ${wgslType[v.dtype]};`,
            ScaleElement: `alias ScaleElement = ${wgslType[g.dtype]};`,
            GradElement: `alias GradElement = ${wgslType[grad.dtype]};`,
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
          },
          buffers: [v, g, grad, sums, out, scaleGrad].map((tensor) => tensor.storage.buffer),
          parameters: { ...sizes, offset: v.offset, scaleOffset: g.offset, gradOffset: grad.offset },
          grid: [Math.ceil(sizes.columns / 32), Math.ceil(sizes.rows / ROWS), 1],
        });
      });
    });
  },
});

export const differentiableWeightNorms = { weightNorm, weightNormBackward };

import { pool as kernels } from '@dawnchorus/kernels';
import { wgslType } from '../dtype.ts';
import { gridFor } from '../kernel/grid.ts';
import { formatShape, sameShape } from '../shape.ts';
import { expectDtype, expectFloat, expectRank } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';
import { checkWindow, type Pair, stepsOver, type WindowAttributes, windowParameters } from './window.ts';

/** Attributes of pools. */
export interface PoolAttributes extends WindowAttributes {
  readonly kernel: Pair;
}

function check(name: string, attributes: PoolAttributes): void {
  const { kernel, padding } = attributes;
  checkWindow(name, kernel, attributes);
  if (padding.some((value, d) => 2 * value > kernel[d])) {
    throw new RangeError(
      `${name}: padding [${padding}] is over half of the kernel [${kernel}]; some windows would be empty`,
    );
  }
}

/** x [batch, channels, height, width] -> the largest of each window, and its place in the plane (i32). */
const maxPool2d = kernelOp<PoolAttributes>({
  infer([x], attributes) {
    expectFloat('maxPool2d', 'the input', x);
    expectRank('maxPool2d', 'the input', x, 4, '[batch, channels, height, width]');
    check('maxPool2d', attributes);
    const shape = [x.shape[0], x.shape[1], ...stepsOver('maxPool2d', x.shape, attributes.kernel, attributes)];
    return [
      { dtype: x.dtype, shape },
      { dtype: 'i32', shape },
    ];
  },
  flops: (_inputs, [out], { kernel }) => out.size * kernel[0] * kernel[1],
  run(device, inputs, [out, indices], attributes) {
    withDense(device, inputs, ([x]) => {
      device.recorder.dispatch({
        kernel: kernels.maxPool2d,
        constants: { Element: `alias Element = ${wgslType[x.dtype]};` },
        buffers: [x.storage.buffer, out.storage.buffer, indices.storage.buffer],
        parameters: {
          size: out.size,
          inHeight: x.shape[2],
          inWidth: x.shape[3],
          outHeight: out.shape[2],
          outWidth: out.shape[3],
          ...windowParameters(attributes.kernel, attributes),
          xOffset: x.offset,
        },
        grid: gridFor(out.size),
      });
    });
  },
});

/** The gradient of maxPool2d: each element of `grad` added where `indices` says, into zeros of `size`. */
const maxPool2dBackward = kernelOp<PoolAttributes & { readonly size: Pair }>({
  infer([grad, indices], attributes) {
    const name = 'maxPool2dBackward';
    expectFloat(name, 'the gradient', grad);
    expectDtype(name, 'the indices', indices, 'i32');
    expectRank(name, 'the gradient', grad, 4, '[batch, channels, height, width]');
    check(name, attributes);
    const { kernel, size } = attributes;
    const shape = [grad.shape[0], grad.shape[1], ...size];
    const steps = stepsOver(name, shape, kernel, attributes);
    if (!sameShape(grad.shape, indices.shape) || !sameShape(grad.shape.slice(2), steps)) {
      throw new RangeError(
        `${name}: gradient ${formatShape(grad.shape)} and indices ${formatShape(indices.shape)} do not fit an input of ${formatShape(shape)}, which has ${steps.join(' x ')} windows`,
      );
    }
    return [{ dtype: grad.dtype, shape }];
  },
  flops: (_inputs, [out], { kernel }) => out.size * kernel[0] * kernel[1],
  run(device, inputs, [out], attributes) {
    withDense(device, inputs, ([grad, indices]) => {
      device.recorder.dispatch({
        kernel: kernels.maxPool2dBackward,
        constants: { Element: `alias Element = ${wgslType[grad.dtype]};` },
        buffers: [grad.storage.buffer, indices.storage.buffer, out.storage.buffer],
        parameters: {
          size: out.size,
          height: out.shape[2],
          width: out.shape[3],
          gradHeight: grad.shape[2],
          gradWidth: grad.shape[3],
          ...windowParameters(attributes.kernel, attributes),
          gradOffset: grad.offset,
          indicesOffset: indices.offset,
        },
        grid: gridFor(out.size),
      });
    });
  },
});

export const differentiablePools = { maxPool2d, maxPool2dBackward };

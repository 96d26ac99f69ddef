import { gather as kernels } from '@dawnchorus/kernels';
import { wgslType } from '../dtype.ts';
import { gridFor } from '../kernel/grid.ts';
import { checkShape, formatShape, sizeOf } from '../shape.ts';
import { expectFloat } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp, viewOp } from './op.ts';

/** Frames of `size` elements of one axis, `step` apart: the axis counts the frames, and their elements come last. */
const unfold = viewOp<{ axis: number; size: number; step: number }>((x, { axis, size, step }) => {
  const extent = x.shape[axis];
  if (!Number.isInteger(size) || !Number.isInteger(step) || size < 1 || step < 1 || size > extent) {
    throw new RangeError(
      `unfold: size ${size} and step ${step} for axis ${axis} of ${formatShape(x.shape)}; expected whole numbers from 1, the size at most ${extent}`,
    );
  }
  const shape = [...x.shape.map((own, d) => (d === axis ? Math.floor((extent - size) / step) + 1 : own)), size];
  checkShape(shape, 'unfold');
  const strides = [...x.strides.map((own, d) => (d === axis ? own * step : own)), x.strides[axis]];
  return { shape, strides, offset: x.offset };
});

/** x [..., frames, ..., size] -> [..., length, ...]: unfold's transpose, which adds up the frames where they overlap. */
const overlapAdd = kernelOp<{ axis: number; step: number; length: number }>({
  infer([x], { axis, step, length }) {
    expectFloat('overlapAdd', 'the input', x);
    const [frames, size] = [x.shape[axis], x.shape[x.rank - 1]];
    if (axis >= x.rank - 1 || frames < 1 || step < 1 || (frames - 1) * step + size > length) {
      throw new RangeError(
        `overlapAdd: frames ${formatShape(x.shape)} along axis ${axis}, ${step} apart, do not fit into a length of ${length}`,
      );
    }
    return [{ dtype: x.dtype, shape: x.shape.slice(0, -1).map((own, d) => (d === axis ? length : own)) }];
  },
  flops: ([x]) => x.size,
  run(device, [input], [out], { axis, step, length }) {
    withDense(device, [input], ([x]) =>
      device.recorder.dispatch({
        kernel: kernels.overlapAdd,
        constants: { Element: `alias Element = ${wgslType[x.dtype]};` },
        buffers: [x.storage.buffer, out.storage.buffer],
        parameters: {
          length,
          inner: sizeOf(out.shape.slice(axis + 1)),
          frames: x.shape[axis],
          size: x.shape[x.rank - 1],
          step,
          count: out.size,
          offset: x.offset,
        },
        grid: gridFor(out.size),
      }),
    );
  },
});

export const differentiableFrames = { unfold, overlapAdd };

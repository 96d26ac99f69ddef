import { conv as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, wgslType } from '../dtype.ts';
import type { Grid } from '../kernel/grid.ts';
import { runVariants } from '../kernel/variants.ts';
import type { Shape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import type { Geometry, Kind } from './conv-geometry.ts';
import { withDense } from './dense.ts';
import { runMap } from './elementwise.ts';
import { matmulFamily } from './matmul-variants.ts';
import { sumMiddle } from './reduce.ts';
import type { Pair } from './window.ts';

/** Elements of a window. */
const depthOf = ({ inPerGroup, kernel }: Geometry): number => inPerGroup * kernel[1];
const paddedLength = ({ inSize, padding }: Geometry): number => inSize[1] + 2 * padding[1];

/** Whether windows are rows of neighbours once channels lie side by side: one axis, no groups, no gaps between taps. */
export function hasRows(device: Device, [{ rank }]: readonly Tensor[], g: Geometry): boolean {
  const { outSize, dilation, groups, batch, outPerGroup, inPerGroup } = g;
  const largest = batch * Math.max(paddedLength(g) * inPerGroup, outSize[1] * depthOf(g), outPerGroup * depthOf(g));
  return rank === 3 && groups === 1 && dilation[1] === 1 && 4 * largest <= device.limits.maxStorageBufferBindingSize;
}

const product = runVariants(matmulFamily);

/**
 * A convolution over one axis, its input's gradient or its weight's, as a product of matrices that lie in memory as they are, once
 * signals have their channels side by side: each window is a row, `stride` steps after the one before it. Tiles then read vectors
 * where the tiles of convolutions gather single elements. Operands are dense, in the operation's order.
 */
export function recordChannelsLast(
  device: Device,
  operands: readonly Tensor[],
  out: Tensor,
  g: Geometry,
  kind: Kind,
): void {
  const { batch, inPerGroup: channels, outPerGroup: outChannels } = g;
  const [kernel, stride, padding, steps] = [g.kernel[1], g.stride[1], g.padding[1], g.outSize[1]];
  const [depth, padded] = [depthOf(g), paddedLength(g)];
  const held: Tensor[] = [];
  const hold = (tensor: Tensor): Tensor => {
    held.push(tensor);
    return tensor;
  };
  const make = (dtype: DType, shape: Shape, name: string) => hold(Tensor.allocate(device, dtype, shape, name, false));
  const view = ({ storage, dtype }: Tensor, shape: number[], strides: number[], offset = 0) =>
    hold(new Tensor(storage, dtype, shape, strides, offset, false));
  const tilesOf = (length: number, rows: number): Grid => [
    Math.ceil(length / kernels.TRANSPOSE_SIDE),
    Math.ceil(rows / kernels.TRANSPOSE_SIDE),
    batch,
  ];
  const multiply = (a: Tensor, b: Tensor, to: Tensor) => product.run(device, [a, b], [to], {});
  /** [batch, channels, length] -> [batch, length + 2 pad, channels], zeros around it. */
  const channelsLast = (x: Tensor, pad: number): Tensor => {
    const [, rows, length] = x.shape;
    const outLength = length + 2 * pad;
    const made = make(x.dtype, [batch, outLength, rows], 'channels side by side');
    device.recorder.dispatch({
      kernel: kernels.convChannelsLast,
      constants: { Element: `alias Element = ${wgslType[x.dtype]};` },
      buffers: [x.storage.buffer, made.storage.buffer],
      parameters: { channels: rows, length, padding: pad, outLength, offset: x.offset },
      grid: tilesOf(outLength, rows),
    });
    return made;
  };
  /** Every window of the input: a row each, or a column, by the shape and the strides of a clip. */
  const windows = (x: Tensor, shape: Pair, strides: Pair): Tensor =>
    view(channelsLast(x, padding), [batch, ...shape], [padded * channels, ...strides]);
  /** Calls `body` with the weight as a matrix [outChannels, depth], channels side by side. */
  const withMatrix = (weight: Tensor, body: (matrix: Tensor) => void) => {
    const byTaps = view(weight, [outChannels, kernel, channels], [depth, 1, kernel], weight.offset);
    withDense(device, [byTaps], ([dense]) => body(view(dense, [outChannels, depth], [depth, 1], dense.offset)));
  };
  try {
    const [first, second] = operands;
    if (kind === 'forward') {
      withMatrix(second, (matrix) => multiply(matrix, windows(first, [depth, steps], [1, stride * channels]), out));
    } else if (kind === 'transpose') {
      // What is added up where windows overlap is not rounded before.
      const columns = make(kernel > stride ? 'f32' : out.dtype, [batch, steps, depth], 'what each window gets back');
      withMatrix(second, (matrix) => multiply(channelsLast(first, 0), matrix, columns));
      device.recorder.dispatch({
        kernel: kernels.convFold,
        constants: {
          ColumnElement: `alias ColumnElement = ${wgslType[columns.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
        },
        buffers: [columns.storage.buffer, out.storage.buffer],
        parameters: { channels, length: g.inSize[1], steps, kernel, stride, padding },
        grid: tilesOf(g.inSize[1], channels),
      });
    } else {
      const gradient = channelsLast(second, 0);
      const clips = make('f32', [batch, outChannels, depth], 'weight gradients of clips');
      const asColumns = view(gradient, [batch, outChannels, steps], [steps * outChannels, 1, outChannels]);
      multiply(asColumns, windows(first, [steps, depth], [stride * channels, 1]), clips);
      const matrix = batch === 1 ? clips : make('f32', [outChannels, depth], 'weight gradient');
      if (batch > 1) sumMiddle(device, clips, [1, batch, matrix.size], matrix);
      runMap(device, [view(matrix, [outChannels, channels, kernel], [depth, 1, channels])], out, 'return Result(a);');
    }
  } finally {
    for (const tensor of held) tensor.dispose();
  }
}

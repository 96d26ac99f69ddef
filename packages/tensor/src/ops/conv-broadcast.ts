import { conv as kernels, matmul as products } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import { contiguousStrides } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { type Geometry, type Kind, shareOfBlocks } from './conv-geometry.ts';
import { gradientParameters, placement, productSizes, type Share, sharesOf } from './conv-product.ts';
import { fillBuffer } from './fill.ts';
import { writePart } from './gather.ts';
import { type BroadcastVariant, broadcastLayout } from './matmul-tiles.ts';
import type { Pair } from './window.ts';

/** Rows of a block that a thread makes. */
const ROWS = 8;
/** Workgroups that keep the cores of a CPU busy to the end. */
const WORKGROUPS_WANTED = 64;

const constantsOf = (
  device: Device,
  variant: BroadcastVariant,
  channels: number,
  length: number | undefined,
  g: Geometry,
  [a, b, out]: readonly Tensor[],
) => {
  const layout = broadcastLayout(device, variant, channels);
  return {
    rows: ROWS * layout.subgroup,
    columns: layout.columns,
    constants: {
      ...products.broadcastConstants(layout, { length }),
      ...kernels.windowConstants(g.kernel, g.stride),
      AElement: `alias AElement = ${wgslType[a.dtype]};`,
      BElement: `alias BElement = ${wgslType[b.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
    },
  };
};

/** How much of the blocks' sums are of use: the rest lies past the edges. */
export function broadcastUse(device: Device, variant: BroadcastVariant, g: Geometry, kind: Kind): number {
  const plane = ([height, width]: readonly number[]) => height * width;
  const [rows, channels] = {
    forward: [plane(g.outSize), g.outPerGroup],
    transpose: [Math.ceil(g.inSize[0] / g.stride[0]) * Math.ceil(g.inSize[1] / g.stride[1]), g.inPerGroup],
    weightGradient: [g.inPerGroup * plane(g.kernel), g.outPerGroup],
  }[kind];
  const { subgroup, columns } = broadcastLayout(device, variant, channels);
  return shareOfBlocks(rows, ROWS * subgroup) * shareOfBlocks(channels, columns);
}

/** A convolution or its transpose by subgroups by themselves. Operands are dense. */
export function recordBroadcast(
  device: Device,
  variant: BroadcastVariant,
  operands: readonly Tensor[],
  out: Tensor,
  g: Geometry,
  transposed: boolean,
): void {
  const { inSize, outSize, inPerGroup, outPerGroup, phases, places } = productSizes(g, transposed);
  const { rows, columns, constants } = constantsOf(device, variant, outPerGroup, inPerGroup, g, [...operands, out]);
  const [source, weight] = operands;
  device.recorder.dispatch({
    kernel: transposed ? kernels.convBroadcastTranspose : kernels.convBroadcast,
    constants: {
      ...constants,
      TRANSPOSED: `const TRANSPOSED = ${transposed};`,
      CHANNELS: `const IN_PER_GROUP = ${inPerGroup}u;`,
      FLAT: `const FLAT = ${inSize[0] === 1 && outSize[0] === 1 && g.kernel[0] === 1};`,
      PADDED: `const PADDED = ${transposed || g.padding.some((width) => width > 0)};`,
    },
    buffers: [source.storage.buffer, weight.storage.buffer, out.storage.buffer],
    parameters: placement(g, transposed, source, weight),
    grid: [Math.ceil(places / rows), Math.ceil(outPerGroup / columns), g.groups * phases * g.batch],
  });
}

/** How a weight gradient is split by rows of the output's planes. */
export function broadcastShares(device: Device, variant: BroadcastVariant, g: Geometry): Share {
  const [height, width] = g.outSize;
  const { subgroup, columns } = broadcastLayout(device, variant, g.outPerGroup);
  const depth = g.inPerGroup * g.kernel[0] * g.kernel[1];
  const blocks = g.groups * Math.ceil(depth / (ROWS * subgroup)) * Math.ceil(g.outPerGroup / columns);
  return sharesOf(g.batch * height, width, blocks, WORKGROUPS_WANTED);
}

const paddedSize = ({ inSize, padding }: Geometry): Pair => [inSize[0] + 2 * padding[0], inSize[1] + 2 * padding[1]];

/** Calls `body` with x among zeros, where it is padded: taps of a weight gradient then never lie outside. */
function withPadded(device: Device, x: Tensor, g: Geometry, body: (x: Tensor) => void): void {
  const { padding } = g;
  if (padding.every((width) => width === 0)) {
    body(x);
    return;
  }
  const [batch, channels] = x.shape;
  const [height, width] = paddedSize(g);
  const padded = Tensor.allocate(device, x.dtype, [batch, channels, height, width], 'padded input', false);
  try {
    fillBuffer(device, padded, 0);
    const strides = contiguousStrides(padded.shape);
    const own = x.rank === 3 ? [strides[0], strides[1], strides[3]] : strides;
    writePart(device, x, padded, padding[0] * width + padding[1], own);
    body(padded);
  } finally {
    padded.dispose();
  }
}

/** The sums of a weight gradient's splits, [splits, ...weight]. Operands are dense. */
export function recordBroadcastWeightGradient(
  device: Device,
  variant: BroadcastVariant,
  [x, grad]: readonly Tensor[],
  partial: Tensor,
  g: Geometry,
  { rows: ofSplit, chunk, splits }: Share,
): void {
  const { rows, columns, constants } = constantsOf(device, variant, g.outPerGroup, undefined, g, [x, grad, partial]);
  withPadded(device, x, g, (padded) => {
    device.recorder.dispatch({
      kernel: kernels.convBroadcastWeightGradient,
      constants,
      buffers: [padded.storage.buffer, grad.storage.buffer, partial.storage.buffer],
      parameters: {
        ...gradientParameters({ ...g, inSize: paddedSize(g) }, padded, grad),
        dilationY: g.dilation[0],
        dilationX: g.dilation[1],
        rows: ofSplit,
        chunk,
      },
      grid: [
        Math.ceil((g.inPerGroup * g.kernel[0] * g.kernel[1]) / rows),
        Math.ceil(g.outPerGroup / columns),
        splits * g.groups,
      ],
    });
  });
}

import { norm as kernels, rows as pieces } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, wgslType } from '../dtype.ts';
import { gridFor, rowShape, takesFours } from '../kernel/grid.ts';
import { formatShape, sameShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { expectDtype, expectFloat } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';
import { sumMiddle } from './reduce.ts';

interface NormLayout {
  rows: number;
  /** Elements a row. */
  length: number;
  groups: number;
  channelsPerGroup: number;
  /** Neighbouring elements that share a channel. */
  spatial: number;
}

function layerNormLayout(x: Tensor): NormLayout {
  const length = x.shape[x.rank - 1];
  return { rows: x.size / length, length, groups: 1, channelsPerGroup: length, spatial: 1 };
}

function groupNormLayout(x: Tensor, groups: number): NormLayout {
  const [batch, channels] = x.shape;
  const spatial = sizeOf(x.shape.slice(2));
  const channelsPerGroup = channels / groups;
  return { rows: batch * groups, length: channelsPerGroup * spatial, groups, channelsPerGroup, spatial };
}

function checkAffine(name: string, x: Tensor, affine: { weight: Tensor; bias?: Tensor }, channels: number): void {
  expectFloat(name, 'the input', x);
  expectFloat(name, 'the weight', affine.weight);
  for (const [role, tensor] of Object.entries(affine)) {
    expectDtype(name, `the ${role}`, tensor, affine.weight.dtype);
    if (tensor.rank !== 1 || tensor.shape[0] !== channels) {
      throw new RangeError(
        `${name}: ${role} is ${formatShape(tensor.shape)}, but the input ${formatShape(x.shape)} has ${channels} channels`,
      );
    }
  }
}

/** Whether elements that are neighbours have scales that are. */
const affineFours = (device: Device, { length, spatial }: NormLayout, affine: readonly Tensor[]): boolean =>
  spatial === 1 &&
  takesFours(
    device,
    length,
    affine.map(({ offset }) => offset),
  );

const affineConstants = (dtype: DType, fours: boolean) => ({
  AffineElement: `alias AffineElement = ${fours ? `vec4<${wgslType[dtype]}>` : wgslType[dtype]};`,
  WIDE_AFFINE: `const WIDE_AFFINE = ${fours};`,
});

/** Statistics and sums are f32 whatever the elements are. */
const elementOf = (x: Tensor) => `alias Element = ${wgslType[x.dtype]};`;

/**
 * Inputs x, weight, bias; outputs y in x's dtype and the f32 statistics [rows, 2] that the gradient needs. Weight and
 * bias may be f32 beside an x of f16.
 */
function normOp<A extends { eps: number }>(
  name: string,
  layout: (x: Tensor, attributes: A) => NormLayout,
  check: (name: string, x: Tensor, attributes: A) => void,
) {
  return kernelOp<A>({
    fetches: 0,
    refetches: true,
    // Rows of a group norm may begin anywhere.
    emits: name === 'layerNorm' ? 'fours' : 'each',
    // Mean, squares about it, scale, weight and bias.
    flops: ([x]) => 7 * x.size,
    infer([x, weight, bias], attributes) {
      check(name, x, attributes);
      const { rows, groups, channelsPerGroup } = layout(x, attributes);
      checkAffine(name, x, { weight, bias }, groups * channelsPerGroup);
      return [
        { dtype: x.dtype, shape: x.shape },
        { dtype: 'f32', shape: [rows || 0, 2] },
      ];
    },
    run(device, inputs, [out, statistics], attributes) {
      if (inputs[0].size === 0) return;
      withDense(device, inputs, ([x, weight, bias]) => {
        const sizes = layout(x, attributes);
        const shape = rowShape(device, sizes.length);
        const fours = takesFours(device, sizes.length, [x.offset]);
        device.recorder.dispatch({
          kernel: kernels.norm,
          constants: {
            ...shape.constants,
            ...shape.kept,
            ...kernels.channelOf(sizes),
            ...pieces.pieceConstants,
            InputElement: `alias InputElement = ${wgslType[x.dtype]};`,
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
            ...(fours && pieces.widePieces(wgslType[x.dtype])),
            ...affineConstants(weight.dtype, fours && affineFours(device, sizes, [weight, bias])),
          },
          buffers: [x, weight, bias, out, statistics].map((tensor) => tensor.storage.buffer),
          parameters: {
            ...sizes,
            offset: x.offset,
            weightOffset: weight.offset,
            biasOffset: bias.offset,
            eps: attributes.eps,
          },
          grid: shape.grid(sizes.rows),
        });
      });
    },
  });
}

/** Inputs x, weight, statistics, gradient; outputs the gradients of x, and of [weight, bias] as [2, channels] in f32. */
function normBackwardOp<A>(
  name: string,
  layout: (x: Tensor, attributes: A) => NormLayout,
  check: (name: string, x: Tensor, attributes: A) => void,
) {
  return kernelOp<A>({
    emits: name === 'layerNormBackward' ? 'fours' : 'each',
    // The input's gradient, then sums for weight and bias.
    flops: ([x]) => 14 * x.size,
    infer([x, weight, statistics, grad], attributes) {
      check(name, x, attributes);
      const { rows, groups, channelsPerGroup } = layout(x, attributes);
      checkAffine(name, x, { weight }, groups * channelsPerGroup);
      expectDtype(name, 'the statistics', statistics, 'f32');
      expectDtype(name, 'the gradient', grad, x.dtype);
      if (!sameShape(statistics.shape, [rows || 0, 2]) || !sameShape(grad.shape, x.shape)) {
        throw new RangeError(
          `${name}: statistics ${formatShape(statistics.shape)} and gradient ${formatShape(grad.shape)} do not fit the input ${formatShape(x.shape)}; expected ${formatShape([rows || 0, 2])} and the input's shape`,
        );
      }
      return [
        { dtype: x.dtype, shape: x.shape },
        { dtype: 'f32', shape: [2, weight.shape[0]] },
      ];
    },
    run(device, inputs, [out, affine], attributes) {
      withDense(device, inputs, ([x, weight, statistics, grad]) => {
        const sizes =
          x.size === 0
            ? { rows: 0, length: 0, groups: 1, channelsPerGroup: weight.shape[0], spatial: 1 }
            : layout(x, attributes);
        const shape = rowShape(device, sizes.length);
        const offsets = { xOffset: x.offset, gradOffset: grad.offset, statisticsOffset: statistics.offset };
        const fours = takesFours(device, sizes.length, [x.offset, grad.offset]);
        device.recorder.dispatch({
          kernel: kernels.normBackwardInput,
          constants: {
            ...shape.constants,
            ...shape.kept,
            ...kernels.channelOf(sizes),
            ...pieces.pieceConstants,
            Element: elementOf(x),
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
            ...(fours && pieces.wideElements(wgslType[x.dtype])),
            ...affineConstants(weight.dtype, fours && affineFours(device, sizes, [weight])),
          },
          buffers: [x, weight, statistics, grad, out].map((tensor) => tensor.storage.buffer),
          parameters: { ...sizes, ...offsets, weightOffset: weight.offset },
          grid: shape.grid(sizes.rows),
        });
        if (sizes.spatial === 1 && sizes.groups === 1) {
          sumColumns(device, [x, statistics, grad], sizes, affine);
          return;
        }
        const columns = rowShape(device, (sizes.rows / sizes.groups) * sizes.spatial);
        device.recorder.dispatch({
          kernel: kernels.normBackwardAffine,
          constants: { ...columns.constants, Element: elementOf(x) },
          buffers: [x, statistics, grad, affine].map((tensor) => tensor.storage.buffer),
          parameters: { ...sizes, ...offsets },
          grid: columns.grid(sizes.groups * sizes.channelsPerGroup),
        });
      });
    },
  });
}

/** Threads that keep a large GPU busy, and rows below which another pass costs more than it saves. */
const THREADS_WANTED = 16384;
const SHORTEST_CHUNK = 32;

/** The gradients of a layer norm's weight and bias, by chunks of rows where the rows are many. */
function sumColumns(
  device: Device,
  [x, statistics, grad]: readonly [Tensor, Tensor, Tensor],
  { rows, channelsPerGroup: length }: NormLayout,
  affine: Tensor,
): void {
  const chunk = Math.max(SHORTEST_CHUNK, Math.ceil((rows * length) / THREADS_WANTED));
  const chunks = Math.max(1, Math.ceil(rows / chunk));
  const sums = chunks === 1 ? affine : Tensor.allocate(device, 'f32', [chunks, 2, length], 'sums of chunks', false);
  device.recorder.dispatch({
    kernel: kernels.normBackwardColumns,
    constants: { Element: elementOf(x) },
    buffers: [x, statistics, grad, sums].map((tensor) => tensor.storage.buffer),
    parameters: {
      rows,
      length,
      chunk,
      chunks,
      xOffset: x.offset,
      gradOffset: grad.offset,
      statisticsOffset: statistics.offset,
    },
    grid: gridFor(chunks * length),
  });
  if (chunks === 1) return;
  try {
    sumMiddle(device, sums, [1, chunks, 2 * length], affine);
  } finally {
    sums.dispose();
  }
}

/** Attributes of `groupNorm`. */
export interface GroupNormAttributes {
  groups: number;
  eps: number;
}

function checkLayer(name: string, x: Tensor): void {
  if (x.rank === 0) throw new RangeError(`${name}: a scalar has no axis to normalise over`);
}

function checkGroups(name: string, x: Tensor, { groups }: { groups: number }): void {
  if (x.rank < 2 || !Number.isInteger(groups) || groups < 1 || x.shape[1] % groups !== 0) {
    throw new RangeError(
      `${name}: ${formatShape(x.shape)} does not divide into ${groups} groups; expected [batch, channels, ...] with channels a multiple of groups`,
    );
  }
}

const groupLayout = (x: Tensor, { groups }: { groups: number }) => groupNormLayout(x, groups);

export const differentiableNorms = {
  layerNorm: normOp<{ eps: number }>('layerNorm', layerNormLayout, checkLayer),
  groupNorm: normOp<GroupNormAttributes>('groupNorm', groupLayout, checkGroups),
  layerNormBackward: normBackwardOp<Record<never, never>>('layerNormBackward', layerNormLayout, checkLayer),
  groupNormBackward: normBackwardOp<{ groups: number }>('groupNormBackward', groupLayout, checkGroups),
};

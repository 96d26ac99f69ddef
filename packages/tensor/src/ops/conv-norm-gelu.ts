import { elementwise, conv as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { promote, wgslType } from '../dtype.ts';
import { rowShape } from '../kernel/grid.ts';
import { runVariants } from '../kernel/variants.ts';
import { formatShape, type Shape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectDtype, expectFloat, expectRank } from './arguments.ts';
import { convOutputLength } from './conv.ts';
import { withDense, withScratch } from './dense.ts';
import { fillBuffer } from './fill.ts';
import { kernelOp } from './op.ts';
import { sumMiddle } from './reduce.ts';

/** Channels that a thread has at a time: see conv_norm_steps.wgsl. */
const CHANNELS = 4;

/** Whether its kernels take a convolution by this weight [channels, 1, kernel]: of one input channel, with few taps. */
export const keepsTaps = ([channels, inChannels, kernel]: Shape): boolean =>
  channels >= 1 && inChannels === 1 && kernel >= 1 && kernel <= kernels.LONGEST_KEPT_KERNEL;

const stepsOf = (length: number, kernel: number, stride: number) =>
  convOutputLength(length, kernel, { stride, padding: 0, dilation: 1, groups: 1 });

/** [batch, channels, steps] of what comes out. @throws RangeError where shapes do not fit. */
function outputShape(name: string, [x, weight, scale, shift]: readonly Tensor[], stride: number): Shape {
  for (const [role, tensor] of Object.entries({ input: x, weight, scale, shift })) {
    expectFloat(name, `the ${role}`, tensor);
  }
  expectRank(name, 'the input', x, 3, '[batch, 1, length]');
  expectRank(name, 'the weight', weight, 3, '[channels, 1, kernel]');
  expectDtype(name, 'the shift', shift, scale.dtype);
  const [batch, inChannels, length] = x.shape;
  const [channels, , kernel] = weight.shape;
  if (inChannels !== 1 || !keepsTaps(weight.shape)) {
    throw new RangeError(
      `${name}: input ${formatShape(x.shape)} and weight ${formatShape(weight.shape)}; expected [batch, 1, length] and [channels, 1, kernel], channels from 1 and a kernel of 1 to ${kernels.LONGEST_KEPT_KERNEL}; take conv1d, groupNorm and gelu for others`,
    );
  }
  if (!Number.isInteger(stride) || stride < 1) {
    throw new RangeError(`${name}: stride ${stride}; expected a whole number from 1`);
  }
  for (const [role, { shape }] of Object.entries({ scale, shift })) {
    if (sameShape(shape, [channels])) continue;
    throw new RangeError(`${name}: the ${role} is ${formatShape(shape)}, but the output has ${channels} channels`);
  }
  const steps = stepsOf(length, kernel, stride);
  if (steps < 1) {
    throw new RangeError(`${name}: input of length ${length} is shorter than the kernel's reach of ${kernel}`);
  }
  return [batch, channels, steps];
}

/** What the dispatches of both have in common. */
function shared(
  device: Device,
  [x, weight, scale, shift]: readonly Tensor[],
  [batch, channels, steps]: Shape,
  stride: number,
  staged: boolean,
) {
  const shape = rowShape(device, steps);
  const blocks = Math.ceil(channels / CHANNELS);
  const rows = batch * blocks;
  return {
    constants: {
      ...shape.constants,
      KERNEL: `const KERNEL = ${weight.shape[2]}u;`,
      STRIDE: `const STRIDE = ${stride}u;`,
      STAGED: `const STAGED = ${staged};`,
      XElement: `alias XElement = ${wgslType[x.dtype]};`,
      WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
      AffineElement: `alias AffineElement = ${wgslType[scale.dtype]};`,
    },
    library: elementwise.elementwiseFunctions,
    parameters: {
      rows,
      blocks,
      channels,
      length: x.shape[2],
      steps,
      xOffset: x.offset,
      weightOffset: weight.offset,
      scaleOffset: scale.offset,
      shiftOffset: shift.offset,
    },
    grid: shape.grid(rows),
  };
}

/** Whether a workgroup has one row, and memory for the samples of a turn beside what its threads join. */
function canStage(device: Device, [x, weight]: readonly Tensor[], { stride }: { stride: number }): boolean {
  const { rows, lanes } = rowShape(device, stepsOf(x.shape[2], weight.shape[2], stride));
  const bytes = 4 * (lanes * stride + weight.shape[2]) + 2 * 16 * lanes;
  return rows === 1 && bytes <= device.limits.maxComputeWorkgroupStorageSize;
}

/** Attributes of `convNormGelu`. */
export interface ConvNormGeluAttributes {
  stride: number;
  eps: number;
}

/**
 * `direct` reads samples where they lie; `staged` takes those of a turn into the workgroup's memory first, since the windows of
 * neighbouring threads lie on several lines of a GPU's cache.
 */
function variants(
  name: string,
  record: (
    device: Device,
    inputs: readonly Tensor[],
    outputs: readonly Tensor[],
    attributes: ConvNormGeluAttributes,
    staged: boolean,
  ) => void,
) {
  return runVariants<ConvNormGeluAttributes>({
    name,
    relevant: ['stride'],
    variants: [false, true].map((staged) => ({
      name: staged ? 'staged' : 'direct',
      legal: (device, inputs, _, attributes) => !staged || canStage(device, inputs, attributes),
      run: (device, inputs, outputs, attributes) =>
        withDense(device, inputs, (dense) => record(device, dense, outputs, attributes, staged)),
    })),
    prefer: (device, inputs, _, attributes) =>
      !device.adapter.software && canStage(device, inputs, attributes) ? 'staged' : 'direct',
  });
}

/**
 * Inputs x [batch, 1, length], weight [channels, 1, kernel], scale and shift [channels]; outputs GELU of the convolution, each
 * channel of a clip normalised over its steps, and the f32 statistics [batch * channels, 2] that the gradient needs. The
 * convolution itself is nowhere stored.
 */
const convNormGelu = kernelOp<ConvNormGeluAttributes>({
  emits: 'each',
  // A multiply-add a tap; mean, squares about it, scale and shift; GELU as one.
  flops: ([, weight], [out]) => (2 * weight.shape[2] + 8) * out.size,
  infer(inputs, { stride }) {
    const shape = outputShape('convNormGelu', inputs, stride);
    const [x, weight] = inputs;
    return [
      { dtype: promote(x.dtype, weight.dtype), shape },
      { dtype: 'f32', shape: [shape[0] * shape[1], 2] },
    ];
  },
  ...variants('convNormGelu', (device, inputs, [out, statistics], { stride, eps }, staged) => {
    const { constants, parameters, ...own } = shared(device, inputs, out.shape, stride, staged);
    device.recorder.dispatch({
      ...own,
      kernel: kernels.convNormGelu,
      constants: { ...constants, OutElement: `alias OutElement = ${wgslType[out.dtype]};` },
      buffers: [...inputs, out, statistics].map((tensor) => tensor.storage.buffer),
      parameters: { ...parameters, eps },
    });
  }),
});

const backward = variants('convNormGeluBackward', (device, inputs, [out, affine], { stride }, staged) => {
  const [, , , , statistics, grad] = inputs;
  const [batch, channels] = grad.shape;
  const parts = [
    { name: 'weight gradients of clips', shape: [batch, out.size] },
    { name: 'scale and shift gradients of clips', shape: [batch, 2 * channels] },
  ];
  withScratch(device, parts, (weights, affines) => {
    const { constants, parameters, ...own } = shared(device, inputs, grad.shape, stride, staged);
    device.recorder.dispatch({
      ...own,
      kernel: kernels.convNormGeluBackward,
      constants: { ...constants, GradElement: `alias GradElement = ${wgslType[grad.dtype]};` },
      buffers: [...inputs, weights, affines].map((tensor) => tensor.storage.buffer),
      parameters: { ...parameters, statisticsOffset: statistics.offset, gradOffset: grad.offset },
    });
    sumMiddle(device, weights, [1, batch, out.size], out);
    sumMiddle(device, affines, [1, batch, 2 * channels], affine);
  });
});

/**
 * Inputs those of `convNormGelu`, its statistics and the gradient of its first output; outputs the gradient of the weight, in its
 * dtype, and of scale and shift as [2, channels] in f32.
 */
const convNormGeluBackward = kernelOp<ConvNormGeluAttributes>({
  // The convolution made again, what flows back through GELU and norm, and a multiply-add a tap.
  flops: ([, weight, , , , grad]) => (4 * weight.shape[2] + 20) * grad.size,
  infer(inputs, { stride }) {
    const name = 'convNormGeluBackward';
    const shape = outputShape(name, inputs, stride);
    const [, weight, , , statistics, grad] = inputs;
    expectDtype(name, 'the statistics', statistics, 'f32');
    expectFloat(name, 'the gradient', grad);
    const rows = [shape[0] * shape[1], 2];
    if (!sameShape(statistics.shape, rows) || !sameShape(grad.shape, shape)) {
      throw new RangeError(
        `${name}: statistics ${formatShape(statistics.shape)} and gradient ${formatShape(grad.shape)}; expected ${formatShape(rows)} and ${formatShape(shape)}`,
      );
    }
    return [
      { dtype: weight.dtype, shape: weight.shape },
      { dtype: 'f32', shape: [2, shape[1]] },
    ];
  },
  family: backward.family,
  run(device, inputs, outputs, attributes) {
    // Sums of nothing.
    if (inputs[5].size === 0) for (const out of outputs) fillBuffer(device, out, 0);
    else backward.run(device, inputs, outputs, attributes);
  },
});

export const differentiableConvNorms = { convNormGelu, convNormGeluBackward };

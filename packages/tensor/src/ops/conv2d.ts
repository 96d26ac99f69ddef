import { conv as kernels } from '@dawnchorus/kernels';
import { promote, wgslType } from '../dtype.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectFloat, expectRank } from './arguments.ts';
import { convVariants, inSplits, registerChunk } from './conv-family.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';
import { checkWindow, type Pair, stepsOver, type WindowAttributes, windowParameters, windowSteps } from './window.ts';

/** Attributes of convolutions over two axes. */
export interface Conv2dAttributes extends WindowAttributes {
  readonly groups: number;
}

function check(name: string, kernel: Pair, attributes: Conv2dAttributes): void {
  checkWindow(name, kernel, attributes);
  if (!Number.isInteger(attributes.groups) || attributes.groups < 1) {
    throw new RangeError(`${name}: groups ${attributes.groups}; expected a whole number from 1`);
  }
}

const kernelOf = (weight: Tensor): Pair => [weight.shape[2], weight.shape[3]];
const image = '[batch, channels, height, width]';

/**
 * x [batch, inChannels, height, width], weight [outChannels, inChannels / groups, kernelHeight, kernelWidth] ->
 * [batch, outChannels, outHeight, outWidth].
 */
const conv2d = kernelOp<Conv2dAttributes>({
  infer([x, weight], attributes) {
    expectFloat('conv2d', 'the input', x);
    expectFloat('conv2d', 'the weight', weight);
    expectRank('conv2d', 'the input', x, 4, image);
    expectRank('conv2d', 'the weight', weight, 4, '[outChannels, inChannels / groups, kernelHeight, kernelWidth]');
    check('conv2d', kernelOf(weight), attributes);
    const { groups } = attributes;
    const [batch, inChannels] = x.shape;
    const [outChannels, perGroup] = weight.shape;
    if (inChannels !== perGroup * groups || outChannels % groups !== 0) {
      throw new RangeError(
        `conv2d: input ${formatShape(x.shape)}, weight ${formatShape(weight.shape)} and ${groups} groups do not fit; ` +
          'weight is [outChannels, inChannels / groups, kernelHeight, kernelWidth], outChannels a multiple of groups',
      );
    }
    const steps = stepsOver('conv2d', x.shape, kernelOf(weight), attributes);
    return [{ dtype: promote(x.dtype, weight.dtype), shape: [batch, outChannels, ...steps] }];
  },
  emits: 'fours',
  flops: ([, weight], [out]) => 2 * out.size * sizeOf(weight.shape.slice(1)),
  ...convVariants<Conv2dAttributes>('conv2d', 'forward', (device, inputs, [out], attributes) => {
    const [batch, outChannels, outHeight, outWidth] = out.shape;
    const { groups, padding } = attributes;
    withDense(device, inputs, ([x, weight]) => {
      device.recorder.dispatch({
        kernel: kernels.conv2d,
        constants: {
          PADDED: `const PADDED = ${padding[1] > 0};`,
          XElement: `alias XElement = ${wgslType[x.dtype]};`,
          WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
        },
        buffers: [x.storage.buffer, weight.storage.buffer, out.storage.buffer],
        parameters: {
          inChannels: x.shape[1],
          inHeight: x.shape[2],
          inWidth: x.shape[3],
          outChannels,
          outHeight,
          outWidth,
          ...windowParameters(kernelOf(weight), attributes),
          groups,
          xOffset: x.offset,
          weightOffset: weight.offset,
        },
        grid: [
          Math.ceil((outHeight * Math.ceil(outWidth / 8)) / 16),
          Math.ceil((groups * Math.ceil(outChannels / groups / 4)) / 4),
          batch,
        ],
      });
    });
  }),
});

/**
 * y [batch, yChannels, yHeight, yWidth], weight [yChannels, channels / groups, kernelHeight, kernelWidth] -> [batch,
 * channels, ...size]: the transposed convolution, and conv2d's gradient with respect to its input. `size` is one from
 * which conv2d makes the input's.
 */
const convTranspose2d = kernelOp<Conv2dAttributes & { readonly size: Pair }>({
  infer([y, weight], attributes) {
    const name = 'convTranspose2d';
    expectFloat(name, 'the input', y);
    expectFloat(name, 'the weight', weight);
    expectRank(name, 'the input', y, 4, image);
    expectRank(name, 'the weight', weight, 4, '[inChannels, outChannels / groups, kernelHeight, kernelWidth]');
    check(name, kernelOf(weight), attributes);
    const { groups, size } = attributes;
    const [batch, yChannels, ...ySize] = y.shape;
    if (yChannels !== weight.shape[0] || yChannels % groups !== 0) {
      throw new RangeError(
        `${name}: input ${formatShape(y.shape)}, weight ${formatShape(weight.shape)} and ${groups} groups do not fit; weight is [inChannels, outChannels / groups, kernelHeight, kernelWidth]`,
      );
    }
    if (size[0] < 0 || size[1] < 0) {
      throw new RangeError(`${name}: padding [${attributes.padding}] leaves an output of ${formatShape(size)}`);
    }
    const steps = windowSteps(size, kernelOf(weight), attributes);
    if (steps[0] !== ySize[0] || steps[1] !== ySize[1]) {
      throw new RangeError(
        `${name}: a convolution of ${formatShape(size)} gives ${formatShape(steps)}, not the input's ${formatShape(ySize)}; choose another size`,
      );
    }
    return [{ dtype: promote(y.dtype, weight.dtype), shape: [batch, weight.shape[1] * groups, ...size] }];
  },
  emits: 'each',
  flops: ([y, weight]) => 2 * y.size * sizeOf(weight.shape.slice(1)),
  ...convVariants<Conv2dAttributes & { readonly size: Pair }>(
    'convTranspose2d',
    'transpose',
    (device, inputs, [out], attributes) => {
      const [batch, channels, height, width] = out.shape;
      const { groups, stride } = attributes;
      withDense(device, inputs, ([y, weight]) => {
        const perRow = stride[1] * Math.ceil(Math.ceil(width / stride[1]) / 8);
        device.recorder.dispatch({
          kernel: kernels.conv2dTranspose,
          constants: {
            YElement: `alias YElement = ${wgslType[y.dtype]};`,
            WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
          },
          buffers: [y.storage.buffer, weight.storage.buffer, out.storage.buffer],
          parameters: {
            channels,
            height,
            width,
            yChannels: y.shape[1],
            yHeight: y.shape[2],
            yWidth: y.shape[3],
            ...windowParameters(kernelOf(weight), attributes),
            groups,
            yOffset: y.offset,
            weightOffset: weight.offset,
          },
          grid: [Math.ceil((height * perRow) / 16), Math.ceil((groups * Math.ceil(channels / groups / 4)) / 4), batch],
        });
      });
    },
  ),
});

/** conv2d's gradient with respect to its weight. Inputs x and the output's gradient; `kernel` is the weight's last two extents. */
const conv2dWeightGradient = kernelOp<Conv2dAttributes & { readonly kernel: Pair }>({
  infer([x, grad], attributes) {
    const name = 'conv2dWeightGradient';
    expectFloat(name, 'the input', x);
    expectFloat(name, 'the gradient', grad);
    expectRank(name, 'the input', x, 4, image);
    expectRank(name, 'the gradient', grad, 4, '[batch, outChannels, outHeight, outWidth]');
    const { groups, kernel } = attributes;
    check(name, kernel, attributes);
    const steps = windowSteps([x.shape[2], x.shape[3]], kernel, attributes);
    const fits =
      x.shape[0] === grad.shape[0] &&
      x.shape[1] % groups === 0 &&
      grad.shape[1] % groups === 0 &&
      grad.shape[2] === steps[0] &&
      grad.shape[3] === steps[1];
    if (!fits) {
      throw new RangeError(
        `${name}: input ${formatShape(x.shape)}, gradient ${formatShape(grad.shape)}, kernel [${kernel}] and ${groups} groups do not fit; ` +
          'the gradient is what conv2d of the input makes: [batch, outChannels, outHeight, outWidth]',
      );
    }
    return [{ dtype: promote(x.dtype, grad.dtype), shape: [grad.shape[1], x.shape[1] / groups, ...kernel] }];
  },
  flops: ([, grad], [out]) => 2 * grad.size * sizeOf(out.shape.slice(1)),
  ...convVariants<Conv2dAttributes & { readonly kernel: Pair }>(
    'conv2dWeightGradient',
    'weightGradient',
    (device, inputs, [out], attributes) => {
      const { groups, kernel } = attributes;
      withDense(device, inputs, ([x, grad]) => {
        const [batch, inChannels, inHeight, inWidth] = x.shape;
        const [, outChannels, outHeight, outWidth] = grad.shape;
        const columns = (inChannels / groups) * kernel[0] * kernel[1];
        const rows = groups * Math.ceil(outChannels / groups / 8);
        const threads = Math.ceil(columns / 4) * rows;
        const total = batch * outHeight * outWidth;
        inSplits(device, out, total, registerChunk(total, threads), (partial, chunk, splits) => {
          device.recorder.dispatch({
            kernel: kernels.conv2dWeightGradient,
            constants: {
              XElement: `alias XElement = ${wgslType[x.dtype]};`,
              GradElement: `alias GradElement = ${wgslType[grad.dtype]};`,
              OutElement: `alias OutElement = ${wgslType[partial.dtype]};`,
            },
            buffers: [x.storage.buffer, grad.storage.buffer, partial.storage.buffer],
            parameters: {
              batch,
              inChannels,
              inHeight,
              inWidth,
              outChannels,
              outHeight,
              outWidth,
              ...windowParameters(kernel, attributes),
              groups,
              chunk,
              xOffset: x.offset,
              gradOffset: grad.offset,
            },
            grid: [Math.ceil(columns / 32), Math.ceil(rows / 8), splits],
          });
        });
      });
    },
  ),
});

export const differentiableConvolutions2d = { conv2d, convTranspose2d, conv2dWeightGradient };

import { promote } from '../dtype.ts';
import { formatShape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectFloat, expectRank } from './arguments.ts';
import { convVariants } from './conv-family.ts';
import { conv2dRegister, transpose2dRegister, weightGradient2dRegister } from './conv2d-register.ts';
import { kernelOp } from './op.ts';
import { checkWindow, type Pair, stepsOver, type WindowAttributes, windowSteps } from './window.ts';

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
  ...convVariants<Conv2dAttributes>('conv2d', 'forward', conv2dRegister),
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
  ...convVariants<Conv2dAttributes & { readonly size: Pair }>('convTranspose2d', 'transpose', transpose2dRegister),
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
    weightGradient2dRegister,
  ),
});

export const differentiableConvolutions2d = { conv2d, convTranspose2d, conv2dWeightGradient };

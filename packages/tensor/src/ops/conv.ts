import { promote } from '../dtype.ts';
import { formatShape, valueText } from '../shape.ts';
import { expectFloat, expectRank } from './arguments.ts';
import { convVariants } from './conv-family.ts';
import { convRegister, transposeRegister, weightGradientRegister } from './conv-register.ts';
import { kernelOp } from './op.ts';

/** Everything about a convolution but its data. All whole numbers; padding is zeros on both sides. */
export interface ConvAttributes {
  stride: number;
  padding: number;
  dilation: number;
  groups: number;
}

export function convOutputLength(
  length: number,
  kernel: number,
  { stride, padding, dilation }: ConvAttributes,
): number {
  return Math.floor((length + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
}

/** What a transposed convolution may add at the end of its output, as in PyTorch. */
export function checkOutputPadding(name: string, outputPadding: number, stride: number, dilation: number): void {
  const most = Math.max(stride, dilation);
  if (Number.isInteger(outputPadding) && outputPadding >= 0 && outputPadding < most) return;
  throw new RangeError(
    `${name}: outputPadding is ${valueText(outputPadding)}; expected a whole number from 0 and below ${most}, the larger of stride ${stride} and dilation ${dilation}`,
  );
}

/**
 * Steps of zeros to put behind the input of a transposed convolution: with output padding of a stride or more, a convolution of
 * the output takes that many steps more than there are.
 */
export const stepsBeyond = (outputPadding: number, stride: number): number =>
  outputPadding >= stride ? Math.floor(outputPadding / stride) : 0;

function check(name: string, { stride, padding, dilation, groups }: ConvAttributes): void {
  const valid = [stride, dilation, groups].every((value) => Number.isInteger(value) && value >= 1);
  if (!valid || !Number.isInteger(padding) || padding < 0) {
    throw new RangeError(
      `${name}: stride ${stride}, padding ${padding}, dilation ${dilation}, groups ${groups}; expected whole numbers, stride, dilation and groups from 1, padding from 0`,
    );
  }
}

/** x [batch, inChannels, length], weight [outChannels, inChannels / groups, kernel] -> [batch, outChannels, outLength]. */
const conv1d = kernelOp<ConvAttributes>({
  infer([x, weight], attributes) {
    check('conv1d', attributes);
    const { groups } = attributes;
    expectFloat('conv1d', 'the input', x);
    expectFloat('conv1d', 'the weight', weight);
    expectRank('conv1d', 'the input', x, 3, '[batch, channels, length]');
    expectRank('conv1d', 'the weight', weight, 3, '[outChannels, inChannels / groups, kernel]');
    const [batch, inChannels, length] = x.shape;
    const [outChannels, perGroup, kernel] = weight.shape;
    if (inChannels !== perGroup * groups || outChannels % groups !== 0 || kernel === 0) {
      throw new RangeError(
        `conv1d: input ${formatShape(x.shape)}, weight ${formatShape(weight.shape)} and ${groups} groups do not fit; ` +
          'weight is [outChannels, inChannels / groups, kernel], outChannels a multiple of groups and kernel from 1',
      );
    }
    const outLength = convOutputLength(length, kernel, attributes);
    if (outLength < 1) {
      throw new RangeError(
        `conv1d: input of length ${length} is shorter than the kernel's reach of ${attributes.dilation * (kernel - 1) + 1} less padding ${attributes.padding} on both sides`,
      );
    }
    return [{ dtype: promote(x.dtype, weight.dtype), shape: [batch, outChannels, outLength] }];
  },
  emits: 'fours',
  flops: ([, weight], [out]) => 2 * out.size * weight.shape[1] * weight.shape[2],
  ...convVariants<ConvAttributes>('conv1d', 'forward', convRegister),
});

/**
 * y [batch, yChannels, yLength], weight [yChannels, channels / groups, kernel] -> [batch, channels, length]: the
 * transposed convolution, and conv1d's gradient with respect to its input. `length` is one of the `stride` input
 * lengths from which conv1d makes yLength; 'shortest' by the function of this name.
 */
const convTranspose1d = kernelOp<ConvAttributes & { length: number }>({
  infer([y, weight], attributes) {
    check('convTranspose1d', attributes);
    const { groups, length } = attributes;
    expectFloat('convTranspose1d', 'the input', y);
    expectFloat('convTranspose1d', 'the weight', weight);
    expectRank('convTranspose1d', 'the input', y, 3, '[batch, channels, length]');
    expectRank('convTranspose1d', 'the weight', weight, 3, '[inChannels, outChannels / groups, kernel]');
    const [batch, yChannels, yLength] = y.shape;
    const [weightChannels, perGroup, kernel] = weight.shape;
    if (yChannels !== weightChannels || yChannels % groups !== 0 || kernel === 0) {
      throw new RangeError(
        `convTranspose1d: input ${formatShape(y.shape)}, weight ${formatShape(weight.shape)} and ${groups} groups do not fit; weight is [inChannels, outChannels / groups, kernel], kernel from 1`,
      );
    }
    if (length < 0)
      throw new RangeError(`convTranspose1d: padding ${attributes.padding} leaves an output of length ${length}`);
    if (convOutputLength(length, kernel, attributes) !== yLength) {
      throw new RangeError(
        `convTranspose1d: a convolution of length ${length} gives ${convOutputLength(length, kernel, attributes)} steps, not the input's ${yLength}; choose another length`,
      );
    }
    return [{ dtype: promote(y.dtype, weight.dtype), shape: [batch, perGroup * groups, length] }];
  },
  emits: 'each',
  flops: ([y, weight]) => 2 * y.size * weight.shape[1] * weight.shape[2],
  ...convVariants<ConvAttributes & { length: number }>('convTranspose1d', 'transpose', transposeRegister),
});

/** conv1d's gradient with respect to its weight. Inputs x and the output's gradient; `kernel` is the weight's last extent. */
const conv1dWeightGradient = kernelOp<ConvAttributes & { kernel: number }>({
  infer([x, grad], attributes) {
    const name = 'conv1dWeightGradient';
    check(name, attributes);
    const { groups, kernel } = attributes;
    expectFloat(name, 'the input', x);
    expectFloat(name, 'the gradient', grad);
    expectRank(name, 'the input', x, 3, '[batch, channels, length]');
    expectRank(name, 'the gradient', grad, 3, '[batch, outChannels, outLength]');
    const fits =
      x.shape[0] === grad.shape[0] &&
      x.shape[1] % groups === 0 &&
      grad.shape[1] % groups === 0 &&
      grad.shape[2] === convOutputLength(x.shape[2], kernel, attributes);
    if (!fits || !(kernel >= 1)) {
      throw new RangeError(
        `${name}: input ${formatShape(x.shape)}, gradient ${formatShape(grad.shape)}, kernel ${kernel} and ${groups} groups do not fit; ` +
          'the gradient is what conv1d of the input makes: [batch, outChannels, outLength]',
      );
    }
    return [{ dtype: promote(x.dtype, grad.dtype), shape: [grad.shape[1], x.shape[1] / groups, kernel] }];
  },
  flops: ([, grad], [out]) => 2 * grad.size * out.shape[1] * out.shape[2],
  ...convVariants<ConvAttributes & { kernel: number }>(
    'conv1dWeightGradient',
    'weightGradient',
    weightGradientRegister,
  ),
});

export const differentiableConvolutions = { conv1d, convTranspose1d, conv1dWeightGradient };

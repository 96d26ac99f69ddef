import { apply } from '../apply.ts';
import { checkEps, checkOptions } from '../ops/arguments.ts';
import { type ConvAttributes, checkOutputPadding, stepsBeyond } from '../ops/conv.ts';
import { keepsTaps } from '../ops/conv-norm-gelu.ts';
import { valueText } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { pad } from './arranging.ts';
import { add, gelu } from './elementwise.ts';
import { groupNorm } from './normalization.ts';
import { reshape } from './views.ts';

const convOptions = ['stride', 'padding', 'dilation', 'groups', 'bias'];

function convAttributes(options: Partial<ConvAttributes>): ConvAttributes {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return { stride, padding, dilation, groups };
}

function checkBias(name: string, bias: Tensor | undefined, channels: number): void {
  if (bias && bias.size !== channels) {
    throw new RangeError(`${name}: the bias is ${valueText(bias)}, but the output has ${channels} channels`);
  }
}

/** Cross-correlation, as in PyTorch: x [batch, inChannels, length], weight [outChannels, inChannels / groups, kernel]. */
export function conv1d(x: Tensor, weight: Tensor, options: Partial<ConvAttributes> & { bias?: Tensor } = {}): Tensor {
  checkOptions('conv1d', options, convOptions);
  checkBias('conv1d', options.bias, weight.shape[0]);
  const out = apply('conv1d', [x, weight], convAttributes(options))[0];
  return options.bias ? add(out, reshape(options.bias, [-1, 1])) : out;
}

/**
 * The first stage of a waveform's feature extractor (Baevski et al., 2020): a convolution, each of its channels normalised over the
 * steps of its clip, and GELU. x [batch, 1, length], weight [channels, 1, kernel], scale and shift [channels] give
 * [batch, channels, steps]; the same as `gelu(groupNorm(conv1d(x, weight), channels, scale, shift))`, but where a kernel has few
 * taps neither it nor its gradient stores what the convolution makes, which is as much as the whole result again.
 *
 * @throws RangeError where shapes do not fit or a clip is shorter than the kernel.
 */
export function convNormGelu(
  x: Tensor,
  weight: Tensor,
  scale: Tensor,
  shift: Tensor,
  options: { stride?: number; eps?: number } = {},
): Tensor {
  checkOptions('convNormGelu', options, ['stride', 'eps']);
  const { stride = 1, eps = 1e-5 } = options;
  checkEps('convNormGelu', eps);
  if (keepsTaps(weight.shape)) return apply('convNormGelu', [x, weight, scale, shift], { stride, eps })[0];
  return gelu(groupNorm(conv1d(x, weight, { stride }), weight.shape[0], scale, shift, { eps }));
}

/**
 * The transpose of conv1d: x [batch, inChannels, length], weight [inChannels, outChannels / groups, kernel]. The output
 * is (length - 1) stride - 2 padding + dilation (kernel - 1) + 1 + outputPadding long.
 */
export function convTranspose1d(
  x: Tensor,
  weight: Tensor,
  given: Partial<ConvAttributes> & { outputPadding?: number; bias?: Tensor } = {},
): Tensor {
  checkOptions('convTranspose1d', given, [...convOptions, 'outputPadding']);
  const { outputPadding = 0, bias, ...options } = given;
  const attributes = convAttributes(options);
  const { stride, padding, dilation, groups } = attributes;
  checkBias('convTranspose1d', bias, weight.shape[1] * groups);
  checkOutputPadding('convTranspose1d', outputPadding, stride, dilation);
  const length = (x.shape[2] - 1) * stride - 2 * padding + dilation * (weight.shape[2] - 1) + 1 + outputPadding;
  const steps = stepsBeyond(outputPadding, stride);
  const input = steps > 0 ? pad(x, [0, steps]) : x;
  const out = apply('convTranspose1d', [input, weight], { ...attributes, length })[0];
  return bias ? add(out, reshape(bias, [-1, 1])) : out;
}

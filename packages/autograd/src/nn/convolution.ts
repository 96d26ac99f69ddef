import {
  cast,
  checkBoolean,
  checkNumber,
  checkOptions,
  conv1d,
  conv2d,
  convTranspose1d,
  convTranspose2d,
  type Shape,
  type Sizes,
  sizeOf,
  sumSquares,
  type Tensor,
  valueText,
  weightNorm,
} from '@dawnchorus/tensor';
import { keep } from '../keep.ts';
import { initDefault, initNormal, initZeros } from './init.ts';
import { checkKeys, type KeySequence } from './keys.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Options of a convolution layer over one axis. */
export interface Conv1dOptions {
  stride?: number;
  padding?: number;
  dilation?: number;
  groups?: number;
  bias?: boolean;
}

/** Options of a convolution layer over height and width. */
export interface Conv2dOptions {
  stride?: Sizes;
  padding?: Sizes;
  dilation?: Sizes;
  groups?: number;
  bias?: boolean;
}

/** Weight and bias as in PyTorch, which takes all axes but the first for what an output sums over, or normal weights. */
function initConvolution(
  shape: Shape,
  outChannels: number,
  keys: KeySequence,
  { bias = true, std }: { bias?: boolean; std?: number },
): { weight: Tensor; bias: Tensor | undefined } {
  const fanIn = sizeOf(shape.slice(1));
  return {
    weight: std === undefined ? initDefault(shape, fanIn, keys) : initNormal(shape, std, keys),
    bias: bias ? initDefault([outChannels], fanIn, keys) : undefined,
  };
}

const weightNormOptions = ['stride', 'padding', 'dilation', 'groups', 'std'];
const convolutionOptions = [...weightNormOptions, 'bias'];

/** What can be known of a layer before it sees an input. Stride, padding and dilation are for the operation to check. */
function checkConvolution(
  layer: string,
  channels: { inChannels: number; outChannels: number },
  kernel: Sizes,
  options: Conv2dOptions,
  known = convolutionOptions,
): void {
  checkOptions(layer, options, known);
  const { groups = 1, bias } = options;
  checkBoolean(layer, 'bias', bias);
  checkSizes(layer, { ...channels, groups });
  const taps = Array.isArray(kernel) ? kernel : [kernel, kernel];
  if (taps.length !== 2) {
    throw new RangeError(`${layer}: the kernel is ${valueText(kernel)}; expected a number, or [height, width]`);
  }
  for (const own of taps) checkSizes(layer, { kernel: own });
  for (const [name, count] of Object.entries(channels)) {
    if (count % groups === 0) continue;
    throw new RangeError(`${layer}: ${name} is ${count}, which does not divide into ${groups} groups`);
  }
}

/** x [batch, inChannels, length] -> [batch, outChannels, outLength]. */
export class Conv1d extends Module {
  /** [outChannels, inChannels / groups, kernel] */
  weight: Tensor;
  bias: Tensor | undefined;
  readonly options: Conv1dOptions;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    keys: KeySequence,
    options: Conv1dOptions & { std?: number } = {},
  ) {
    super();
    checkKeys('Conv1d', keys);
    checkConvolution('Conv1d', { inChannels, outChannels }, kernel, options);
    const { bias, std, ...own } = options;
    const shape = [outChannels, inChannels / (options.groups ?? 1), kernel];
    ({ weight: this.weight, bias: this.bias } = initConvolution(shape, outChannels, keys, { bias, std }));
    this.options = own;
  }

  /** x [batch, inChannels, length] -> [batch, outChannels, outLength]. */
  forward(x: Tensor): Tensor {
    return conv1d(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/** x [batch, inChannels, height, width] -> [batch, outChannels, outHeight, outWidth]. */
export class Conv2d extends Module {
  /** [outChannels, inChannels / groups, kernelHeight, kernelWidth] */
  weight: Tensor;
  bias: Tensor | undefined;
  readonly options: Conv2dOptions;

  /** @param kernel one number, or [height, width], like the sizes among the options. */
  constructor(
    inChannels: number,
    outChannels: number,
    kernel: Sizes,
    keys: KeySequence,
    options: Conv2dOptions & { std?: number } = {},
  ) {
    super();
    checkKeys('Conv2d', keys);
    checkConvolution('Conv2d', { inChannels, outChannels }, kernel, options);
    const { bias, std, ...own } = options;
    const taps = typeof kernel === 'number' ? [kernel, kernel] : kernel;
    const shape = [outChannels, inChannels / (options.groups ?? 1), ...taps];
    ({ weight: this.weight, bias: this.bias } = initConvolution(shape, outChannels, keys, { bias, std }));
    this.options = own;
  }

  /** x [batch, inChannels, height, width] -> [batch, outChannels, outHeight, outWidth]. */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/** The transpose of Conv1d, as `convTranspose1d`: x [batch, inChannels, length] -> [batch, outChannels, outLength]. */
export class ConvTranspose1d extends Module {
  /** [inChannels, outChannels / groups, kernel] */
  weight: Tensor;
  bias: Tensor | undefined;
  readonly options: Conv1dOptions & { outputPadding?: number };

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    keys: KeySequence,
    options: Conv1dOptions & { outputPadding?: number; std?: number } = {},
  ) {
    super();
    checkKeys('ConvTranspose1d', keys);
    checkConvolution('ConvTranspose1d', { inChannels, outChannels }, kernel, options, [
      ...convolutionOptions,
      'outputPadding',
    ]);
    const { bias, std, ...own } = options;
    const shape = [inChannels, outChannels / (options.groups ?? 1), kernel];
    ({ weight: this.weight, bias: this.bias } = initConvolution(shape, outChannels, keys, { bias, std }));
    this.options = own;
  }

  /** x [batch, inChannels, length] -> [batch, outChannels, outLength]. */
  forward(x: Tensor): Tensor {
    return convTranspose1d(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/** The transpose of Conv2d, as `convTranspose2d`: x [batch, inChannels, height, width] -> [batch, outChannels, outHeight, outWidth]. */
export class ConvTranspose2d extends Module {
  /** [inChannels, outChannels / groups, kernelHeight, kernelWidth] */
  weight: Tensor;
  bias: Tensor | undefined;
  readonly options: Conv2dOptions & { outputPadding?: Sizes };

  /** @param kernel one number, or [height, width], like the sizes among the options. */
  constructor(
    inChannels: number,
    outChannels: number,
    kernel: Sizes,
    keys: KeySequence,
    options: Conv2dOptions & { outputPadding?: Sizes; std?: number } = {},
  ) {
    super();
    checkKeys('ConvTranspose2d', keys);
    checkConvolution('ConvTranspose2d', { inChannels, outChannels }, kernel, options, [
      ...convolutionOptions,
      'outputPadding',
    ]);
    const { bias, std, ...own } = options;
    const taps = typeof kernel === 'number' ? [kernel, kernel] : kernel;
    const shape = [inChannels, outChannels / (options.groups ?? 1), ...taps];
    ({ weight: this.weight, bias: this.bias } = initConvolution(shape, outChannels, keys, { bias, std }));
    this.options = own;
  }

  /** x [batch, inChannels, height, width] -> [batch, outChannels, outHeight, outWidth]. */
  forward(x: Tensor): Tensor {
    return convTranspose2d(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/**
 * A convolution whose weight is g v / |v| (Salimans and Kingma, 2016), the norm taken over all axes but the last: one
 * length for each tap, as in wav2vec 2.0's positional convolution (weight_norm with dim = 2).
 */
export class WeightNormConv1d extends Module {
  bias: Tensor;
  /** [1, 1, kernel] */
  weightG: Tensor;
  /** [outChannels, inChannels / groups, kernel] */
  weightV: Tensor;
  readonly options: Conv1dOptions;

  constructor(
    inChannels: number,
    outChannels: number,
    kernel: number,
    keys: KeySequence,
    options: Omit<Conv1dOptions, 'bias'> & { std: number },
  ) {
    super();
    checkKeys('WeightNormConv1d', keys);
    checkConvolution('WeightNormConv1d', { inChannels, outChannels }, kernel, options, weightNormOptions);
    checkNumber('WeightNormConv1d', 'std', options.std);
    const { std, ...own } = options;
    const perGroup = inChannels / (options.groups ?? 1);
    this.bias = initZeros([outChannels]);
    this.weightV = initNormal([outChannels, perGroup, kernel], std, keys);
    // The length of a column of this many normal draws, so that the weight starts as v.
    this.weightG = keep(() => sumSquares(this.weightV, { dim: [0, 1], keepdim: true }).sqrt());
    this.options = own;
  }

  /** The kernel that the direction and its lengths make: g v / |v|. */
  weight(): Tensor {
    return weightNorm(this.weightV, this.weightG);
  }

  /** x [batch, inChannels, length] -> [batch, outChannels, outLength]. Of f32 parts the kernel is made in f32, and used as x is. */
  forward(x: Tensor): Tensor {
    return conv1d(x, cast(this.weight(), x.dtype), { ...this.options, bias: this.bias });
  }
}

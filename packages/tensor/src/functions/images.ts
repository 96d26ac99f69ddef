import { apply } from '../apply.ts';
import { checkOptions } from '../ops/arguments.ts';
import type { Conv2dAttributes } from '../ops/conv2d.ts';
import type { PoolAttributes } from '../ops/pool.ts';
import { type Pair, windowSteps } from '../ops/window.ts';
import { formatShape } from '../shape.ts';
import { full, ones, type Tensor } from '../tensor.ts';
import { add, div } from './elementwise.ts';
import { reshape, squeeze, unsqueeze } from './views.ts';

/** One number for rows and columns, or [rows, columns]. */
export type Sizes = number | Pair;

const pair = (sizes: Sizes): Pair => (typeof sizes === 'number' ? [sizes, sizes] : [sizes[0], sizes[1]]);

/** How a two-dimensional convolution steps over its input; sizes are in elements. */
export interface Conv2dOptions {
  stride?: Sizes;
  /** Zeros on both sides of an axis. */
  padding?: Sizes;
  dilation?: Sizes;
  groups?: number;
}

const convOptions = ['stride', 'padding', 'dilation', 'groups', 'bias'];

function convAttributes({ stride = 1, padding = 0, dilation = 1, groups = 1 }: Conv2dOptions): Conv2dAttributes {
  return { stride: pair(stride), padding: pair(padding), dilation: pair(dilation), groups };
}

function withBias(name: string, out: Tensor, bias: Tensor | undefined): Tensor {
  if (!bias) return out;
  if (bias.size !== out.shape[1]) {
    throw new RangeError(
      `${name}: the bias is ${formatShape(bias.shape)}, but the output has ${out.shape[1]} channels`,
    );
  }
  return add(out, reshape(bias, [-1, 1, 1]));
}

/**
 * Cross-correlation over height and width, as in PyTorch: x [batch, inChannels, height, width], weight [outChannels,
 * inChannels / groups, kernelHeight, kernelWidth], bias [outChannels] -> [batch, outChannels, outHeight, outWidth], f32 or
 * f16.
 *
 * @throws RangeError when channels, groups, kernel or bias do not fit.
 */
export function conv2d(x: Tensor, weight: Tensor, given: Conv2dOptions & { bias?: Tensor } = {}): Tensor {
  checkOptions('conv2d', given, convOptions);
  const { bias, ...options } = given;
  return withBias('conv2d', apply('conv2d', [x, weight], convAttributes(options))[0], bias);
}

/**
 * The transpose of conv2d: x [batch, inChannels, height, width], weight [inChannels, outChannels / groups, kernelHeight,
 * kernelWidth]. Rows and columns of the output number (n - 1) stride - 2 padding + dilation (kernel - 1) + 1 +
 * outputPadding.
 */
export function convTranspose2d(
  x: Tensor,
  weight: Tensor,
  given: Conv2dOptions & { bias?: Tensor; outputPadding?: Sizes } = {},
): Tensor {
  checkOptions('convTranspose2d', given, [...convOptions, 'outputPadding']);
  const { bias, outputPadding = 0, ...options } = given;
  const attributes = convAttributes(options);
  const { stride, padding, dilation } = attributes;
  const extra = pair(outputPadding);
  const extent = (d: 0 | 1) =>
    (x.shape[2 + d] - 1) * stride[d] - 2 * padding[d] + dilation[d] * (weight.shape[2 + d] - 1) + 1 + extra[d];
  const out = apply('convTranspose2d', [x, weight], { ...attributes, size: [extent(0), extent(1)] })[0];
  return withBias('convTranspose2d', out, bias);
}

/** How a pooling window steps over its input; sizes are in elements. */
export interface PoolOptions {
  /** The kernel by default: windows side by side. */
  stride?: Sizes;
  padding?: Sizes;
}

const maxOptions = ['stride', 'padding', 'dilation'];
const averageOptions = ['stride', 'padding', 'countIncludePad'];

/** Windows that stick out at the end, as with PyTorch's `ceil_mode`, are made by padding x first. */
function checkPool(name: string, kernel: unknown, options: object, known: readonly string[]): void {
  const sizes = Array.isArray(kernel) ? kernel : [kernel];
  if (!sizes.every((size) => typeof size === 'number')) {
    throw new TypeError(`${name}: the kernel is ${kernel}; expected a number, or [rows, columns]`);
  }
  checkOptions(name, options, known);
}

function poolAttributes(kernel: Sizes, options: PoolOptions & { dilation?: Sizes }): PoolAttributes {
  const { stride = kernel, padding = 0, dilation = 1 } = options;
  return { kernel: pair(kernel), stride: pair(stride), padding: pair(padding), dilation: pair(dilation) };
}

/**
 * The largest of each window: x [batch, channels, height, width] -> [batch, channels, outHeight, outWidth], f32 or f16.
 * Outside there is nothing: minus infinity where a window has no element, as in PyTorch. NaN wins. The gradient goes to
 * the first of equals.
 *
 * @throws RangeError when the window does not fit, or padding is over half of it.
 */
export function maxPool2d(x: Tensor, kernel: Sizes, options: PoolOptions & { dilation?: Sizes } = {}): Tensor {
  checkPool('maxPool2d', kernel, options, maxOptions);
  return apply('maxPool2d', [x], poolAttributes(kernel, options))[0];
}

/**
 * The mean of each window: x [batch, channels, height, width] -> [batch, channels, outHeight, outWidth]. Zeros from the
 * padding count as elements, unless `countIncludePad` is false.
 */
export function avgPool2d(x: Tensor, kernel: Sizes, given: PoolOptions & { countIncludePad?: boolean } = {}): Tensor {
  checkPool('avgPool2d', kernel, given, averageOptions);
  const { countIncludePad = true, ...options } = given;
  const { kernel: taps, ...attributes } = poolAttributes(kernel, options);
  if (x.rank !== 4) {
    throw new RangeError(`avgPool2d: the input is ${formatShape(x.shape)}; expected [batch, channels, height, width]`);
  }
  if (attributes.padding.some((value, d) => 2 * value > taps[d])) {
    throw new RangeError(`avgPool2d: padding [${attributes.padding}] is over half of the kernel [${taps}]`);
  }
  const [batch, channels, height, width] = x.shape;
  const steps = windowSteps([height, width], taps, attributes);
  const planes = reshape(x, [batch * channels, 1, height, width]);
  const { device, dtype } = x;
  const share = full([1, 1, ...taps], 1 / (taps[0] * taps[1]), { device });
  const convolution = { ...attributes, groups: 1 };
  let means = apply('conv2d', [planes, share], convolution)[0];
  if (!countIncludePad && attributes.padding.some((value) => value > 0)) {
    // How much of each window lies inside.
    const inside = ones([1, 1, height, width], { device });
    means = div(means, apply('conv2d', [inside, share], convolution)[0]);
  }
  return reshape(dtype === 'f16' ? means.cast('f16') : means, [batch, channels, ...steps]);
}

const row = (sizes: number | undefined): Pair | undefined => (sizes === undefined ? undefined : [1, sizes]);

function alongLength(
  name: string,
  x: Tensor,
  padding: number | undefined,
  pool: (plane: Tensor, padding: Pair) => Tensor,
): Tensor {
  if (x.rank !== 3) {
    throw new RangeError(`${name}: the input is ${formatShape(x.shape)}; expected [batch, channels, length]`);
  }
  return squeeze(pool(unsqueeze(x, 2), [0, padding ?? 0]), 2);
}

/** maxPool2d along one axis: x [batch, channels, length] -> [batch, channels, outLength]. */
export function maxPool1d(
  x: Tensor,
  kernel: number,
  options: { stride?: number; padding?: number; dilation?: number } = {},
): Tensor {
  checkPool('maxPool1d', kernel, options, maxOptions);
  const { stride = kernel, padding, dilation } = options;
  return alongLength('maxPool1d', x, padding, (plane, sides) =>
    maxPool2d(plane, [1, kernel], { stride: [1, stride], padding: sides, dilation: row(dilation) }),
  );
}

/** avgPool2d along one axis: x [batch, channels, length] -> [batch, channels, outLength]. */
export function avgPool1d(
  x: Tensor,
  kernel: number,
  options: { stride?: number; padding?: number; countIncludePad?: boolean } = {},
): Tensor {
  checkPool('avgPool1d', kernel, options, averageOptions);
  const { stride = kernel, padding, countIncludePad } = options;
  return alongLength('avgPool1d', x, padding, (plane, sides) =>
    avgPool2d(plane, [1, kernel], { stride: [1, stride], padding: sides, countIncludePad }),
  );
}

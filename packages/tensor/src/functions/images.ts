import { apply } from '../apply.ts';
import { checkBoolean, checkOptions, expectFloat } from '../ops/arguments.ts';
import { checkOutputPadding, stepsBeyond } from '../ops/conv.ts';
import type { Conv2dAttributes } from '../ops/conv2d.ts';
import type { PoolAttributes } from '../ops/pool.ts';
import { checkWindow, type Pair, stepsOver, type WindowAttributes } from '../ops/window.ts';
import { formatShape, valueText } from '../shape.ts';
import { full, ones, type Tensor } from '../tensor.ts';
import { pad } from './arranging.ts';
import { add, div } from './elementwise.ts';
import { reshape, squeeze, unsqueeze } from './views.ts';

/** One number for rows and columns, or [rows, columns]. */
export type Sizes = number | Pair;

function pair(name: string, role: string, sizes: Sizes): Pair {
  if (typeof sizes === 'number') return [sizes, sizes];
  if (Array.isArray(sizes) && sizes.length === 2) return [sizes[0], sizes[1]];
  throw new TypeError(`${name}: ${role} is ${valueText(sizes)}; expected a number, or [rows, columns]`);
}

/** How a two-dimensional convolution steps over its input; sizes are in elements. */
export interface Conv2dOptions {
  stride?: Sizes;
  /** Zeros on both sides of an axis. */
  padding?: Sizes;
  dilation?: Sizes;
  groups?: number;
}

const convOptions = ['stride', 'padding', 'dilation', 'groups', 'bias'];

function convAttributes(name: string, options: Conv2dOptions): Conv2dAttributes {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  return {
    stride: pair(name, 'stride', stride),
    padding: pair(name, 'padding', padding),
    dilation: pair(name, 'dilation', dilation),
    groups,
  };
}

function withBias(name: string, out: Tensor, bias: Tensor | undefined): Tensor {
  if (!bias) return out;
  if (bias.size !== out.shape[1]) {
    throw new RangeError(`${name}: the bias is ${valueText(bias)}, but the output has ${out.shape[1]} channels`);
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
  return withBias('conv2d', apply('conv2d', [x, weight], convAttributes('conv2d', options))[0], bias);
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
  const attributes = convAttributes('convTranspose2d', options);
  const { stride, padding, dilation } = attributes;
  const extra = pair('convTranspose2d', 'outputPadding', outputPadding);
  for (const d of [0, 1] as const) checkOutputPadding('convTranspose2d', extra[d], stride[d], dilation[d]);
  const extent = (d: 0 | 1) =>
    (x.shape[2 + d] - 1) * stride[d] - 2 * padding[d] + dilation[d] * (weight.shape[2 + d] - 1) + 1 + extra[d];
  const steps = [stepsBeyond(extra[0], stride[0]), stepsBeyond(extra[1], stride[1])];
  const input = steps.some((own) => own > 0) ? pad(x, [0, steps[1], 0, steps[0]]) : x;
  const out = apply('convTranspose2d', [input, weight], { ...attributes, size: [extent(0), extent(1)] })[0];
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

function poolAttributes(name: string, kernel: Sizes, options: PoolOptions & { dilation?: Sizes }): PoolAttributes {
  const { stride = kernel, padding = 0, dilation = 1 } = options;
  return {
    kernel: pair(name, 'the kernel', kernel),
    stride: pair(name, 'stride', stride),
    padding: pair(name, 'padding', padding),
    dilation: pair(name, 'dilation', dilation),
  };
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
  return apply('maxPool2d', [x], poolAttributes('maxPool2d', kernel, options))[0];
}

/**
 * The mean of each window: x [batch, channels, height, width] -> [batch, channels, outHeight, outWidth]. Zeros from the
 * padding count as elements, unless `countIncludePad` is false.
 */
export function avgPool2d(x: Tensor, kernel: Sizes, given: PoolOptions & { countIncludePad?: boolean } = {}): Tensor {
  checkPool('avgPool2d', kernel, given, averageOptions);
  const { countIncludePad = true, ...options } = given;
  checkBoolean('avgPool2d', 'countIncludePad', countIncludePad);
  const { kernel: taps, ...attributes } = poolAttributes('avgPool2d', kernel, options);
  if (x.rank !== 4) {
    throw new RangeError(`avgPool2d: the input is ${formatShape(x.shape)}; expected [batch, channels, height, width]`);
  }
  expectFloat('avgPool2d', 'the input', x);
  checkWindow('avgPool2d', taps, attributes);
  if (attributes.padding.some((value, d) => 2 * value > taps[d])) {
    throw new RangeError(`avgPool2d: padding [${attributes.padding}] is over half of the kernel [${taps}]`);
  }
  const [batch, channels, height, width] = x.shape;
  const steps = stepsOver('avgPool2d', x.shape, taps, attributes);
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

/** Pools a signal as a plane of one row, once it is known in the name of the caller that the window fits. */
function alongLength(
  name: string,
  x: Tensor,
  kernel: number,
  { stride = kernel, padding = 0, dilation = 1 }: { stride?: number; padding?: number; dilation?: number },
  pool: (plane: Tensor, taps: Pair, window: WindowAttributes) => Tensor,
): Tensor {
  if (x.rank !== 3) {
    throw new RangeError(`${name}: the input is ${formatShape(x.shape)}; expected [batch, channels, length]`);
  }
  expectFloat(name, 'the input', x);
  const plane = unsqueeze(x, 2);
  const window: WindowAttributes = { stride: [1, stride], padding: [0, padding], dilation: [1, dilation] };
  checkWindow(name, [1, kernel], window);
  stepsOver(name, plane.shape, [1, kernel], window);
  return squeeze(pool(plane, [1, kernel], window), 2);
}

/** maxPool2d along one axis: x [batch, channels, length] -> [batch, channels, outLength]. */
export function maxPool1d(
  x: Tensor,
  kernel: number,
  options: { stride?: number; padding?: number; dilation?: number } = {},
): Tensor {
  checkPool('maxPool1d', kernel, options, maxOptions);
  return alongLength('maxPool1d', x, kernel, options, maxPool2d);
}

/** avgPool2d along one axis: x [batch, channels, length] -> [batch, channels, outLength]. */
export function avgPool1d(
  x: Tensor,
  kernel: number,
  options: { stride?: number; padding?: number; countIncludePad?: boolean } = {},
): Tensor {
  checkPool('avgPool1d', kernel, options, averageOptions);
  return alongLength('avgPool1d', x, kernel, options, (plane, taps, { stride, padding }) =>
    avgPool2d(plane, taps, { stride, padding, countIncludePad: options.countIncludePad }),
  );
}

import { formatShape, type Shape } from '../shape.ts';

/** [rows, columns]. */
export type Pair = readonly [number, number];

/** How a window of taps walks over two axes. All whole numbers; padding is on both sides of an axis. */
export interface WindowAttributes {
  readonly stride: Pair;
  readonly padding: Pair;
  readonly dilation: Pair;
}

/** How many steps a window of `kernel` taps takes over `size`, along rows and columns. */
export function windowSteps(size: Pair, kernel: Pair, { stride, padding, dilation }: WindowAttributes): Pair {
  const steps = (d: 0 | 1) =>
    Math.floor((size[d] + 2 * padding[d] - dilation[d] * (kernel[d] - 1) - 1) / stride[d]) + 1;
  return [steps(0), steps(1)];
}

export function checkWindow(name: string, kernel: Pair, { stride, padding, dilation }: WindowAttributes): void {
  const whole = (from: number, ...pairs: Pair[]) =>
    pairs.every((pair) => pair.length === 2 && pair.every((value) => Number.isInteger(value) && value >= from));
  if (!whole(1, kernel, stride, dilation) || !whole(0, padding)) {
    throw new RangeError(
      `${name}: kernel [${kernel}], stride [${stride}], padding [${padding}], dilation [${dilation}]; expected pairs of whole numbers from 1, padding from 0`,
    );
  }
}

/** Checks that a window fits into a plane, and says how many steps it takes. */
export function stepsOver(name: string, shape: Shape, kernel: Pair, attributes: WindowAttributes): Pair {
  const steps = windowSteps([shape[2], shape[3]], kernel, attributes);
  if (steps[0] < 1 || steps[1] < 1) {
    const { dilation, padding } = attributes;
    const reach = kernel.map((taps, d) => dilation[d] * (taps - 1) + 1);
    throw new RangeError(
      `${name}: input ${formatShape(shape)} is smaller than the kernel's reach of ${reach.join(' x ')} less padding [${padding}] on both sides`,
    );
  }
  return steps;
}

/** The parameters that kernels over windows share. */
export function windowParameters(kernel: Pair, { stride, padding, dilation }: WindowAttributes) {
  return {
    kernelHeight: kernel[0],
    kernelWidth: kernel[1],
    strideY: stride[0],
    strideX: stride[1],
    paddingY: padding[0],
    paddingX: padding[1],
    dilationY: dilation[0],
    dilationX: dilation[1],
  };
}

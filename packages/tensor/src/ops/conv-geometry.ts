import type { Tensor } from '../tensor.ts';
import type { Pair, WindowAttributes } from './window.ts';

/** What a convolution y = x * weight, its transpose and its weight's gradient have in common. Sizes are [rows, columns]. */
export interface Geometry extends WindowAttributes {
  readonly batch: number;
  readonly groups: number;
  readonly inPerGroup: number;
  readonly outPerGroup: number;
  readonly inSize: Pair;
  readonly outSize: Pair;
  readonly kernel: Pair;
}

/** Over one axis or over two. */
export interface AnyConvAttributes {
  readonly stride: number | Pair;
  readonly padding: number | Pair;
  readonly dilation: number | Pair;
  readonly groups: number;
}

/** Which of the three is made of the other two: y, x (the transpose), or the weight (its gradient). */
export type Kind = 'forward' | 'transpose' | 'weightGradient';

/** x [batch, inChannels, ...inSize], weight [outChannels, inPerGroup, ...kernel], y [batch, outChannels, ...outSize]. */
export interface Roles {
  readonly x: Tensor;
  readonly weight: Tensor;
  readonly y: Tensor;
}

export function rolesOf(kind: Kind, [a, b]: readonly Tensor[], [out]: readonly Tensor[]): Roles {
  if (kind === 'forward') return { x: a, weight: b, y: out };
  if (kind === 'transpose') return { x: out, weight: b, y: a };
  return { x: a, weight: out, y: b };
}

/** An axis alone is a plane of one row. */
export function geometryOf({ x, weight, y }: Roles, attributes: AnyConvAttributes): Geometry {
  const pair = (value: number | Pair, alone: number): Pair => (typeof value === 'number' ? [alone, value] : value);
  const plane = ({ shape }: Tensor): Pair => (shape.length === 3 ? [1, shape[2]] : [shape[2], shape[3]]);
  const { stride, padding, dilation, groups } = attributes;
  return {
    batch: x.shape[0],
    groups,
    inPerGroup: x.shape[1] / groups,
    outPerGroup: y.shape[1] / groups,
    inSize: plane(x),
    outSize: plane(y),
    kernel: plane(weight),
    stride: pair(stride, 1),
    padding: pair(padding, 0),
    dilation: pair(dilation, 1),
  };
}

/** Floating-point operations of the sums that define it, the same for all three. */
export const directFlops = ({ batch, groups, inPerGroup, outPerGroup, outSize, kernel }: Geometry): number =>
  2 * batch * groups * outPerGroup * outSize[0] * outSize[1] * inPerGroup * kernel[0] * kernel[1];

/** How much of blocks of so many is of use where there are `extent` in all: the rest lies past the edge. */
export const shareOfBlocks = (extent: number, block: number): number => extent / (Math.ceil(extent / block) * block);

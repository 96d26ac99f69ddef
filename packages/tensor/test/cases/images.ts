import { arrayOf, drawn, integer, pick, type Random } from '../arbitraries.ts';
import * as reference from '../reference/images.ts';
import type { OpCases } from './case.ts';

type Pair = readonly [number, number];

const pairOf = (random: Random, from: number, to: number): Pair => [
  integer(random, from, to),
  integer(random, from, to),
];

/** A plane that a window fits into. */
export function windowOver(random: Random, padded: (kernel: Pair) => Pair) {
  const kernel = pairOf(random, 1, 4);
  const window = { stride: pairOf(random, 1, 3), padding: padded(kernel), dilation: pairOf(random, 1, 2) };
  const extent = (d: 0 | 1) => {
    const reach = window.dilation[d] * (kernel[d] - 1) + 1;
    return Math.max(1, reach - 2 * window.padding[d]) + integer(random, 0, random() < 0.1 ? 30 : 6);
  };
  const size: Pair = [extent(0), extent(1)];
  return { kernel, window, size, out: reference.steps(size, kernel, window) };
}

function convolution(random: Random) {
  const groups = pick(random, [1, 1, 2, 3]);
  const { window, ...rest } = windowOver(random, () => pairOf(random, 0, 3));
  const batch = pick(random, [0, 1, 1, 2]);
  const [inPerGroup, outPerGroup] = [pick(random, [0, 1, 2, 3, 5]), pick(random, [0, 1, 2, 3, 6])];
  return { sizes: { ...window, groups }, batch, groups, inPerGroup, outPerGroup, ...rest };
}

export function pooling(random: Random) {
  const { kernel, window, size, out } = windowOver(random, ([height, width]) => [
    integer(random, 0, Math.floor(height / 2)),
    integer(random, 0, Math.floor(width / 2)),
  ]);
  const planes = [pick(random, [0, 1, 2]), pick(random, [1, 3])];
  return { planes, size, out, attributes: { kernel, ...window } };
}

const tolerance = { relative: 1e-6 };

export const imageCases: OpCases<
  'conv2d' | 'convTranspose2d' | 'conv2dWeightGradient' | 'maxPool2d' | 'maxPool2dBackward'
> = {
  conv2d: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { sizes, batch, groups, inPerGroup, outPerGroup, kernel, size } = convolution(random);
      return {
        inputs: [
          arrayOf([batch, inPerGroup * groups, ...size], random),
          arrayOf([outPerGroup * groups, inPerGroup, ...kernel], random),
        ],
        attributes: sizes,
      };
    }),
    reference: ([x, weight], sizes) => [reference.conv2d(x, weight, sizes)],
    tolerance,
  },
  convTranspose2d: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { sizes, batch, groups, inPerGroup, outPerGroup, kernel, size, out } = convolution(random);
      return {
        inputs: [
          arrayOf([batch, outPerGroup * groups, ...out], random),
          arrayOf([outPerGroup * groups, inPerGroup, ...kernel], random),
        ],
        attributes: { ...sizes, size },
      };
    }),
    reference: ([y, weight], sizes) => [reference.convTranspose2d(y, weight, sizes)],
    tolerance,
  },
  conv2dWeightGradient: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { sizes, batch, groups, inPerGroup, outPerGroup, kernel, size, out } = convolution(random);
      return {
        inputs: [
          arrayOf([batch, inPerGroup * groups, ...size], random),
          arrayOf([batch, outPerGroup * groups, ...out], random),
        ],
        attributes: { ...sizes, kernel },
      };
    }),
    reference: ([x, grad], sizes) => [reference.conv2dWeightGradient(x, grad, sizes)],
    tolerance,
  },
  maxPool2d: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { planes, size, attributes } = pooling(random);
      // Halves tie often, and a NaN wins.
      const value = (r: Random) => (r() < 0.02 ? Number.NaN : integer(r, -6, 6) / 2);
      return { inputs: [arrayOf([...planes, ...size], random, value)], attributes };
    }),
    reference: ([x], attributes) => reference.maxPool2d(x, attributes),
  },
  maxPool2dBackward: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { planes, size, out, attributes } = pooling(random);
      const [, indices] = reference.maxPool2d(arrayOf([...planes, ...size], random), attributes);
      return { inputs: [arrayOf([...planes, ...out], random), indices], attributes: { ...attributes, size } };
    }),
    reference: ([grad, indices], attributes) => [reference.maxPool2dBackward(grad, indices, attributes)],
  },
};

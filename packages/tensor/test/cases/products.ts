import { arrayOf, broadcastPart, drawn, integer, pick, type Random } from '../arbitraries.ts';
import * as reference from '../reference/products.ts';
import type { OpCases } from './case.ts';

const edges = [0, 1, 2, 3, 5, 7, 13, 17, 33, 65];

function convSizes(random: Random): reference.ConvSizes {
  return {
    stride: integer(random, 1, 3),
    padding: integer(random, 0, 4),
    dilation: integer(random, 1, 3),
    groups: pick(random, [1, 1, 2, 3]),
  };
}

interface Convolution {
  sizes: reference.ConvSizes;
  batch: number;
  kernel: number;
  length: number;
  outLength: number;
  /** A group's share. */
  inPerGroup: number;
  outPerGroup: number;
}

/** A convolution whose kernel fits its input. */
function convolution(random: Random): Convolution {
  const sizes = convSizes(random);
  const kernel = integer(random, 1, 5);
  const reach = sizes.dilation * (kernel - 1) + 1;
  const length = Math.max(1, reach - 2 * sizes.padding) + integer(random, 0, random() < 0.2 ? 150 : 20);
  return {
    sizes,
    batch: pick(random, [0, 1, 1, 2, 3]),
    kernel,
    length,
    outLength: reference.convOutputLength(length, kernel, sizes),
    inPerGroup: pick(random, [0, 1, 2, 3, 5]),
    outPerGroup: pick(random, [0, 1, 2, 3, 5, 6]),
  };
}

/** Rounding of a sum of products is relative to the sum of their magnitudes: stricter than to the largest output. */
const tolerance = { relative: 1e-6 };

export const productCases: OpCases<'matmul' | 'conv1d' | 'convTranspose1d' | 'conv1dWeightGradient'> = {
  matmul: {
    draws: drawn({ maxRank: 4, largest: 30 }, (batch, random) => {
      const largest = batch.length === 0 ? edges.length : 7;
      const [m, k, n] = [0, 0, 0].map(() => pick(random, edges.slice(0, largest)));
      return {
        inputs: [
          arrayOf([...broadcastPart(batch, random), m, k], random),
          arrayOf([...broadcastPart(batch, random), k, n], random),
        ],
        attributes: {},
      };
    }),
    reference: ([a, b]) => [reference.matmul(a, b)],
    tolerance,
  },
  conv1d: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { sizes, batch, kernel, length, inPerGroup, outPerGroup } = convolution(random);
      return {
        inputs: [
          arrayOf([batch, inPerGroup * sizes.groups, length], random),
          arrayOf([outPerGroup * sizes.groups, inPerGroup, kernel], random),
        ],
        attributes: sizes,
      };
    }),
    reference: ([x, weight], sizes) => [reference.conv1d(x, weight, sizes)],
    tolerance,
  },
  convTranspose1d: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { sizes, batch, kernel, length, outLength, inPerGroup, outPerGroup } = convolution(random);
      return {
        inputs: [
          arrayOf([batch, outPerGroup * sizes.groups, outLength], random),
          arrayOf([outPerGroup * sizes.groups, inPerGroup, kernel], random),
        ],
        attributes: { ...sizes, length },
      };
    }),
    reference: ([y, weight], sizes) => [reference.convTranspose1d(y, weight, sizes)],
    tolerance,
  },
  conv1dWeightGradient: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { sizes, batch, kernel, length, outLength, inPerGroup, outPerGroup } = convolution(random);
      return {
        inputs: [
          arrayOf([batch, inPerGroup * sizes.groups, length], random),
          arrayOf([batch, outPerGroup * sizes.groups, outLength], random),
        ],
        attributes: { ...sizes, kernel },
      };
    }),
    reference: ([x, grad], sizes) => [reference.conv1dWeightGradient(x, grad, sizes)],
    tolerance,
  },
};

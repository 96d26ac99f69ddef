import type { AttributesOf, DType } from '../../src/index.ts';
import { arrayOf, between, drawn, integer, pick, type Random } from '../arbitraries.ts';
import { argmax, argmin, max, mean, min, prod, sum, sumSquares } from '../reference/reduce.ts';
import type { OpCase, OpCases } from './case.ts';

type Reduction = 'sum' | 'mean' | 'sumSquares' | 'max' | 'min';

const references = { sum, mean, sumSquares, max, min };

/** Any axes, also none. */
export function someAxes(rank: number, random: Random): number[] {
  return Array.from({ length: rank }, (_, d) => d).filter(() => random() < 0.5);
}

function reduction(name: Reduction, dtypes: DType[]): OpCase<AttributesOf<Reduction>> {
  const ofNothing = name !== 'max' && name !== 'min';
  const make = (shape: number[], random: Random, dtype: DType) => ({
    inputs: [arrayOf(shape, random, between(-10, 10), dtype)],
    attributes: { axes: someAxes(shape.length, random), keepdim: random() < 0.5 },
  });
  return {
    draws: drawn({ empty: ofNothing }, (shape, random) => make(shape, random, 'f32')),
    dense:
      dtypes.length > 0
        ? drawn({ empty: ofNothing }, (shape, random) => make(shape, random, pick(random, dtypes)))
        : undefined,
    reference: ([x], attributes) => [references[name](x, attributes)],
    // Every addition of a sum rounds to half a unit in the last place of at most the sum of magnitudes.
    tolerance: { relative: 1e-6 },
  };
}

const whole: DType[] = ['i32', 'u32'];

/** Near 1, so that products of hundreds stay in range; now and then 0. */
const nearOne = (r: Random) => (r() < 0.02 ? 0 : Math.sign(r() - 0.3) * between(0.9, 1.1)(r));

function place(reference: typeof argmax): OpCase<AttributesOf<'argmax'>> {
  const attributes = (shape: readonly number[], random: Random) => ({
    axis: integer(random, 0, shape.length - 1),
    keepdim: random() < 0.5,
  });
  return {
    draws: drawn({ minRank: 1, empty: false }, (shape, random) => ({
      // Whole numbers from a small range tie often; some are NaN.
      inputs: [arrayOf(shape, random, (r) => (r() < 0.02 ? Number.NaN : integer(r, -3, 3)))],
      attributes: attributes(shape, random),
    })),
    dense: drawn({ minRank: 1, empty: false }, (shape, random) => ({
      inputs: [arrayOf(shape, random, (r) => integer(r, -9, 9), pick(random, whole))],
      attributes: attributes(shape, random),
    })),
    reference: ([x], attributes) => [reference(x, attributes)],
  };
}

export const reduceCases: OpCases<Reduction | 'prod' | 'argmax' | 'argmin'> = {
  sum: reduction('sum', whole),
  mean: reduction('mean', []),
  sumSquares: reduction('sumSquares', whole),
  max: reduction('max', whole),
  min: reduction('min', whole),
  prod: {
    draws: drawn({}, (shape, random) => ({
      inputs: [arrayOf(shape, random, nearOne)],
      attributes: { axes: someAxes(shape.length, random), keepdim: random() < 0.5 },
    })),
    dense: drawn({}, (shape, random) => ({
      inputs: [arrayOf(shape, random, (r) => pick(r, [1, 1, -1, 3, 2 ** 20]), pick(random, whole))],
      attributes: { axes: someAxes(shape.length, random), keepdim: random() < 0.5 },
    })),
    reference: ([x], attributes) => [prod(x, attributes)],
    tolerance: { relative: 1e-5 },
  },
  argmax: place(argmax),
  argmin: place(argmin),
};

import type { CrossEntropyAttributes } from '../../src/index.ts';
import { arrayOf, between, drawn, integer, pick, type Random } from '../arbitraries.ts';
import { build, type NDArray } from '../reference/array.ts';
import * as reference from '../reference/cross-entropy.ts';
import type { OpCases } from './case.ts';

/** Logits, classes, and weights or none. `wrong`: how often a target is no class. */
export function crossEntropyDraw(
  given: readonly number[],
  random: Random,
  { wrong, range = 5, means = [0, 0, 500] }: { wrong: number; range?: number; means?: readonly number[] },
): { x: NDArray; target: NDArray; weight: NDArray[]; attributes: CrossEntropyAttributes } {
  const shape = given.map((extent, d) => (d === given.length - 1 ? Math.max(1, extent) : extent));
  const classes = shape.at(-1) as number;
  const mean = pick(random, means);
  const ignoreIndex = pick(random, [-100, -1, 0, classes]);
  const target = build(shape.slice(0, -1), 'i32', () => {
    if (random() < 0.2) return ignoreIndex;
    return random() < wrong ? pick(random, [-3, classes + 1]) : integer(random, 0, classes - 1);
  });
  return {
    x: arrayOf(shape, random, (r) => mean + between(-range, range)(r)),
    target,
    weight: random() < 0.5 ? [arrayOf([classes], random, between(0.2, 2))] : [],
    attributes: { ignoreIndex, labelSmoothing: pick(random, [0, 0, 0.1, 1]) },
  };
}

const rows = { minRank: 1, maxRank: 4 };

export const crossEntropyCases: OpCases<'crossEntropy' | 'crossEntropyBackward'> = {
  crossEntropy: {
    draws: drawn(rows, (shape, random) => {
      const { x, target, weight, attributes } = crossEntropyDraw(shape, random, { wrong: 0.1 });
      return { inputs: [x, target, ...weight], attributes };
    }),
    reference: (inputs, attributes) => reference.crossEntropy(inputs, attributes),
    half: { keep: [2] },
  },
  crossEntropyBackward: {
    draws: drawn(rows, (shape, random) => {
      const { x, target, weight, attributes } = crossEntropyDraw(shape, random, { wrong: 0.1 });
      const [, statistics] = reference.crossEntropy([x, target, ...weight], attributes);
      const rounded = { ...statistics, data: statistics.data.map(Math.fround) };
      return { inputs: [x, target, rounded, arrayOf(target.shape, random), ...weight], attributes };
    }),
    reference: (inputs, attributes) => reference.crossEntropyBackward(inputs, attributes),
    half: { keep: [2, 3, 4] },
  },
};

import type { DType } from '../../src/index.ts';
import { arrayOf, between, drawn, integer, pick, type Random } from '../arbitraries.ts';
import * as scans from '../reference/scan.ts';
import * as sorts from '../reference/sort.ts';
import type { OpCases } from './case.ts';

const ranked = { minRank: 1, maxRank: 4, largest: 800 };

const alongAxis = (shape: readonly number[], random: Random) => ({
  axis: integer(random, 0, shape.length - 1),
  reverse: random() < 0.5,
});

/** Few values, so that many are equal; zeros of both signs, infinities and NaN. */
const ties = (random: Random) =>
  pick(random, [0, -0, 1, -1, 2.5, -2.5, 1e-30, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);

const sortDraw = (shape: readonly number[], random: Random, dtype: DType) => {
  const domain =
    dtype === 'f32' ? (random() < 0.5 ? ties : between(-5, 5)) : (r: Random) => pick(r, [-3, -1, 0, 2, 2 ** 31 - 1]);
  return {
    inputs: [arrayOf(shape, random, domain, dtype)],
    attributes: { axis: integer(random, 0, shape.length - 1), descending: random() < 0.5 },
  };
};

const searchDraw = (shape: readonly number[], random: Random, dtype: DType) => {
  const domain = dtype === 'f32' ? ties : (r: Random) => integer(r, -4, 4);
  const own = random() < 0.5 ? shape.slice(-1) : shape;
  const rows = arrayOf(own, random, domain, dtype);
  const length = own[own.length - 1];
  const order = sorts.argsort(rows, { axis: own.length - 1, descending: false }).data;
  const data = rows.data.map((_, i) => rows.data[i - (i % length) + order[i]]);
  const values = arrayOf([...shape.slice(0, -1), integer(random, 0, 9)], random, domain, dtype);
  return { inputs: [{ ...rows, data }, values], attributes: { right: random() < 0.5 } };
};

export const scanCases: OpCases<'cumsum' | 'linearRecurrence' | 'argsort' | 'searchSorted'> = {
  cumsum: {
    draws: drawn(ranked, (shape, random) => ({
      inputs: [arrayOf(shape, random, between(-10, 10))],
      attributes: alongAxis(shape, random),
    })),
    dense: drawn(ranked, (shape, random) => ({
      inputs: [arrayOf(shape, random, (r) => pick(r, [2 ** 31 - 1, -7, 12]), pick<DType>(random, ['i32', 'u32']))],
      attributes: alongAxis(shape, random),
    })),
    reference: (inputs, attributes) => [scans.cumsum(inputs, attributes)],
    tolerance: { relative: 1e-6 },
  },
  linearRecurrence: {
    draws: drawn(ranked, (shape, random) => ({
      inputs: [arrayOf(shape, random, between(-1.1, 1.1)), arrayOf(shape, random, between(-3, 3))],
      attributes: alongAxis(shape, random),
    })),
    reference: (inputs, attributes) => [scans.linearRecurrence(inputs, attributes)],
    tolerance: { relative: 2e-6 },
  },
  argsort: {
    draws: drawn(ranked, (shape, random) => sortDraw(shape, random, 'f32')),
    dense: drawn(ranked, (shape, random) => sortDraw(shape, random, pick<DType>(random, ['i32', 'u32', 'bool']))),
    reference: ([x], attributes) => [sorts.argsort(x, attributes)],
  },
  searchSorted: {
    draws: drawn({ ...ranked, largest: 300 }, (shape, random) => searchDraw(shape, random, 'f32')),
    dense: drawn({ ...ranked, largest: 300 }, (shape, random) =>
      searchDraw(shape, random, pick<DType>(random, ['i32', 'u32'])),
    ),
    reference: (inputs, attributes) => [sorts.searchSorted(inputs, attributes)],
    half: { together: 'all' },
  },
};

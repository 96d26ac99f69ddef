import { type DType, reshape } from '../../src/index.ts';
import { arrayOf, between, drawn, integer, pick, type Random } from '../arbitraries.ts';
import * as reference from '../reference/gather.ts';
import type { OpCases } from './case.ts';
import { someAxes } from './reduce.ts';

const ranked = { minRank: 1, maxRank: 4, largest: 600 };
const values = between(-10, 10);
const dtypes: DType[] = ['i32', 'u32', 'bool'];

/** Places along an axis; now and then one outside it. */
const places = (extent: number) => (random: Random) =>
  random() < 0.1 ? pick(random, [-1, extent, extent + 7]) : integer(random, 0, Math.max(0, extent - 1));

const indexOf = (shape: readonly number[], extent: number, random: Random) =>
  // toDtype moves fractions away from zero, and whole numbers not at all.
  arrayOf(shape, random, places(extent), 'i32');

const replaced = (shape: readonly number[], axis: number, extent: number) =>
  shape.map((own, d) => (d === axis ? extent : own));

const counts = [0, 1, 2, 5, 17];
const axisOf = (shape: readonly number[], random: Random) => integer(random, 0, shape.length - 1);

function selectDraw(shape: number[], random: Random, dtype: DType) {
  const axis = axisOf(shape, random);
  const index = indexOf([pick(random, counts)], shape[axis], random);
  return { inputs: [arrayOf(shape, random, values, dtype), index], attributes: { axis } };
}

function gatherDraw(shape: number[], random: Random, dtype: DType) {
  const axis = axisOf(shape, random);
  const index = indexOf(replaced(shape, axis, pick(random, counts)), shape[axis], random);
  return { inputs: [arrayOf(shape, random, values, dtype), index], attributes: { axis } };
}

function concatDraw(shape: number[], random: Random, dtype: DType) {
  const axis = axisOf(shape, random);
  const inputs = Array.from({ length: pick(random, [1, 2, 3, 4, 9]) }, () =>
    arrayOf(replaced(shape, axis, pick(random, counts)), random, values, dtype),
  );
  return { inputs, attributes: { axis } };
}

function sliceOf(shape: readonly number[], random: Random) {
  const axis = axisOf(shape, random);
  const start = integer(random, 0, shape[axis]);
  return { axis, start, end: integer(random, start, shape[axis]), step: integer(random, 1, 3) };
}

const one = (shape: readonly number[], random: Random, dtype: DType = 'f32') => [arrayOf(shape, random, values, dtype)];

/** Some factorisation of a size into extents. */
function otherShape(size: number, random: Random): number[] {
  const shape: number[] = [];
  let rest = size;
  for (const prime of [2, 3, 5, 7, 13]) {
    while (rest > 0 && rest % prime === 0 && shape.length < 5 && random() < 0.7) {
      shape.push(prime);
      rest /= prime;
    }
  }
  shape.push(rest, ...(random() < 0.3 ? [1] : []));
  return shape.sort(() => random() - 0.5);
}

export const gatherCases: OpCases<
  | 'indexSelect'
  | 'indexAdd'
  | 'gather'
  | 'scatterAdd'
  | 'concat'
  | 'unslice'
  | 'unfold'
  | 'overlapAdd'
  | 'flip'
  | 'detach'
  | 'slice'
  | 'permute'
  | 'expand'
  | 'reshape'
> = {
  indexSelect: {
    draws: drawn(ranked, (shape, random) => selectDraw(shape, random, 'f32')),
    dense: drawn(ranked, (shape, random) => selectDraw(shape, random, pick(random, dtypes))),
    reference: ([x, index], attributes) => [reference.indexSelect(x, index, attributes)],
  },
  gather: {
    draws: drawn(ranked, (shape, random) => gatherDraw(shape, random, 'f32')),
    dense: drawn(ranked, (shape, random) => gatherDraw(shape, random, pick(random, dtypes))),
    reference: ([x, index], attributes) => [reference.gather(x, index, attributes)],
  },
  indexAdd: {
    draws: drawn(ranked, (shape, random) => {
      const axis = axisOf(shape, random);
      const extent = pick(random, counts);
      const index = indexOf([shape[axis]], extent, random);
      return { inputs: [...one(shape, random), index], attributes: { axis, extent } };
    }),
    dense: drawn(ranked, (shape, random) => {
      const index = indexOf([shape[0]], 5, random);
      return {
        inputs: [...one(shape, random, pick(random, ['i32', 'u32'])), index],
        attributes: { axis: 0, extent: 5 },
      };
    }),
    reference: ([source, index], attributes) => [reference.indexAdd(source, index, attributes)],
    tolerance: { relative: 1e-6 },
  },
  scatterAdd: {
    draws: drawn(ranked, (shape, random) => {
      const axis = axisOf(shape, random);
      const extent = pick(random, counts);
      return { inputs: [...one(shape, random), indexOf(shape, extent, random)], attributes: { axis, extent } };
    }),
    reference: ([source, index], attributes) => [reference.scatterAdd(source, index, attributes)],
    tolerance: { relative: 1e-6 },
  },
  concat: {
    draws: drawn(ranked, (shape, random) => concatDraw(shape, random, 'f32')),
    dense: drawn(ranked, (shape, random) => concatDraw(shape, random, pick(random, dtypes))),
    reference: (inputs, attributes) => [reference.concat(inputs, attributes)],
    half: { together: 'all' },
  },
  unslice: {
    draws: drawn(ranked, (shape, random) => {
      const { axis, start, end, step } = sliceOf(shape, random);
      const source = replaced(shape, axis, Math.ceil((end - start) / step));
      return { inputs: one(source, random), attributes: { shape, axis, start, step } };
    }),
    reference: ([source], attributes) => [reference.unslice(source, attributes)],
  },
  unfold: {
    draws: drawn({ ...ranked, empty: false }, (shape, random) => {
      const axis = axisOf(shape, random);
      const [size, step] = [integer(random, 1, shape[axis]), integer(random, 1, 4)];
      return { inputs: one(shape, random), attributes: { axis, size, step } };
    }),
    reference: ([x], attributes) => [reference.unfold(x, attributes)],
  },
  overlapAdd: {
    draws: drawn({ ...ranked, maxRank: 3, largest: 80, empty: false }, (shape, random) => {
      const axis = axisOf(shape, random);
      const [size, step] = [integer(random, 1, 7), integer(random, 1, 4)];
      const length = (shape[axis] - 1) * step + size + integer(random, 0, 5);
      return { inputs: one([...shape, size], random), attributes: { axis, step, length } };
    }),
    reference: ([x], attributes) => [reference.overlapAdd(x, attributes)],
    tolerance: { relative: 1e-6 },
  },
  flip: {
    draws: drawn({}, (shape, random) => ({
      inputs: one(shape, random),
      attributes: { axes: someAxes(shape.length, random) },
    })),
    dense: drawn({}, (shape, random) => ({
      inputs: one(shape, random, pick(random, dtypes)),
      attributes: { axes: someAxes(shape.length, random) },
    })),
    reference: ([x], attributes) => [reference.flip(x, attributes)],
  },
  detach: {
    draws: drawn({}, (shape, random) => ({ inputs: one(shape, random), attributes: {} })),
    reference: ([x]) => [x],
  },
  slice: {
    draws: drawn(ranked, (shape, random) => ({ inputs: one(shape, random), attributes: sliceOf(shape, random) })),
    reference: ([x], attributes) => [reference.slice(x, attributes)],
  },
  permute: {
    draws: drawn({}, (shape, random) => {
      const axes = shape.map((_, d) => (random() < 0.3 ? d - shape.length : d)).sort(() => random() - 0.5);
      return { inputs: one(shape, random), attributes: { axes } };
    }),
    reference: ([x], attributes) => [reference.permute(x, attributes)],
  },
  expand: {
    draws: drawn({}, (shape, random) => {
      const from = shape.slice(integer(random, 0, shape.length)).map((extent) => (random() < 0.4 ? 1 : extent));
      return { inputs: one(from, random), attributes: { shape } };
    }),
    reference: ([x], attributes) => [reference.expand(x, attributes)],
  },
  reshape: {
    draws: drawn({}, (shape, random) => {
      const inputs = one(shape, random);
      return { inputs, attributes: { shape: otherShape(inputs[0].data.length, random) } };
    }),
    // The function copies first where no view exists.
    run: ([x], { shape }) => [reshape(x, shape)],
    reference: ([x], { shape }) => [{ ...x, shape }],
  },
};

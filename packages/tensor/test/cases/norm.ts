import { arrayOf, between, drawn, pick, type Random } from '../arbitraries.ts';
import type { NDArray } from '../reference/array.ts';
import * as stages from '../reference/conv-norm-gelu.ts';
import * as reference from '../reference/norm.ts';
import type { Draw, OpCases } from './case.ts';

const rows = { minRank: 1, maxRank: 4 };

/** A draw of x about a mean that would cost a one-pass variance everything. */
function aboutMean(shape: readonly number[], random: Random): NDArray {
  const mean = pick(random, [0, 30, 100, 1000]);
  return arrayOf(shape, random, (r) => mean + between(-2, 2)(r));
}

/** [batch, channels, ...] with the groups that divide the channels. */
function groupedShape(shape: readonly number[], random: Random): { shape: number[]; groups: number } {
  const [batch, perGroup, ...spatial] = shape;
  const groups = pick(random, [1, 2, 3]);
  return { shape: [batch, perGroup * groups, ...spatial], groups };
}

function affine(channels: number, random: Random): NDArray[] {
  return [arrayOf([channels], random), arrayOf([channels], random)];
}

function backwardDraw<A>(x: NDArray, layout: reference.NormLayout, random: Random, attributes: A): Draw<A> {
  const [weight, bias] = affine(layout.channels, random);
  const [, statistics] = reference.norm(x, weight, bias, layout, 1e-5);
  const rounded = { ...statistics, data: statistics.data.map(Math.fround) };
  return { inputs: [x, weight, rounded, arrayOf(x.shape, random)], attributes };
}

/** Rows in one chunk and in several, and a length for each column. */
const weights = { minRank: 1, maxRank: 3, largest: 1000 };
const lengthsOf = (shape: readonly number[]) => [...shape.slice(1).map(() => 1), shape.at(-1)!];

/** Taps and stride are constants of the kernels: few pairs, for each is compiled. */
const windows = [
  [10, 5],
  [3, 2],
  [16, 1],
  [1, 3],
] as const;

/** Windows that meet and that do not, channels on and off fours, steps on and off the threads of a row. */
export function firstStageDraw(
  random: Random,
  { largest = 130, leastTaps = 1 } = {},
): Draw<{ stride: number; eps: number }> {
  const [batch, channels] = [pick(random, [0, 1, 1, 2, 3]), pick(random, [1, 3, 4, 5, 8, 9])];
  const [kernel, stride] = pick(
    random,
    windows.filter(([taps]) => taps >= leastTaps),
  );
  const steps = pick(
    random,
    [5, 8, 9, 33, 64, 65, 130, 300].filter((own) => own <= largest),
  );
  const length = (steps - 1) * stride + kernel + Math.floor(random() * stride);
  const mean = pick(random, [0, 0, 3]);
  const signal = arrayOf([batch, 1, length], random, (r) => mean + between(-2, 2)(r));
  const weight = arrayOf([channels, 1, kernel], random, awayFromZero);
  return {
    inputs: [signal, weight, ...affine(channels, random)],
    attributes: { stride, eps: pick(random, [1e-5, 1e-3]) },
  };
}

const awayFromZero = (random: Random) => (random() < 0.5 ? -1 : 1) * between(0.5, 2)(random);

export const normCases: OpCases<
  | 'softmax'
  | 'logSoftmax'
  | 'softmaxBackward'
  | 'logSoftmaxBackward'
  | 'layerNorm'
  | 'groupNorm'
  | 'layerNormBackward'
  | 'groupNormBackward'
  | 'convNormGelu'
  | 'convNormGeluBackward'
  | 'weightNorm'
  | 'weightNormBackward'
> = {
  softmax: {
    draws: drawn(rows, (shape, random) => ({ inputs: [arrayOf(shape, random, between(-10, 10))], attributes: {} })),
    reference: ([x]) => [reference.softmax(x)],
  },
  logSoftmax: {
    draws: drawn(rows, (shape, random) => ({ inputs: [arrayOf(shape, random, between(-10, 10))], attributes: {} })),
    reference: ([x]) => [reference.logSoftmax(x)],
  },
  softmaxBackward: {
    draws: drawn(rows, (shape, random) => {
      const y = reference.softmax(arrayOf(shape, random, between(-5, 5)));
      return { inputs: [{ ...y, data: y.data.map(Math.fround) }, arrayOf(shape, random)], attributes: {} };
    }),
    reference: ([y, grad]) => [reference.softmaxBackward(y, grad)],
    half: { together: 'all' },
  },
  logSoftmaxBackward: {
    draws: drawn(rows, (shape, random) => {
      const y = reference.logSoftmax(arrayOf(shape, random, between(-5, 5)));
      return { inputs: [{ ...y, data: y.data.map(Math.fround) }, arrayOf(shape, random)], attributes: {} };
    }),
    reference: ([y, grad]) => [reference.logSoftmaxBackward(y, grad)],
    half: { together: 'all' },
  },
  layerNorm: {
    draws: drawn(rows, (shape, random) => ({
      inputs: [aboutMean(shape, random), ...affine(shape.at(-1)!, random)],
      attributes: { eps: pick(random, [1e-5, 1e-3]) },
    })),
    reference: ([x, weight, bias], { eps }) => reference.norm(x, weight, bias, reference.layerNormLayout(x), eps),
    half: { together: [[0], [1, 2]] },
  },
  groupNorm: {
    draws: drawn({ minRank: 2, maxRank: 4, largest: 500 }, (drawnShape, random) => {
      const { shape, groups } = groupedShape(drawnShape, random);
      return {
        inputs: [aboutMean(shape, random), ...affine(shape[1], random)],
        attributes: { groups, eps: pick(random, [1e-5, 1e-3]) },
      };
    }),
    reference: ([x, weight, bias], { groups, eps }) => {
      const outputs = reference.norm(x, weight, bias, reference.groupNormLayout(x, groups), eps);
      // Nothing is computed where x is empty, though the rows may be counted.
      return x.data.length > 0 ? outputs : [outputs[0], { ...outputs[1], unchecked: true }];
    },
    half: { together: [[0], [1, 2]] },
  },
  layerNormBackward: {
    draws: drawn(rows, (shape, random) => {
      const x = arrayOf(shape, random);
      return backwardDraw(x, reference.layerNormLayout(x), random, {});
    }),
    reference: ([x, weight, statistics, grad]) =>
      reference.normBackward(x, weight, statistics, grad, reference.layerNormLayout(x)),
    half: { keep: [2], together: [[0, 3], [1]] },
  },
  groupNormBackward: {
    draws: drawn({ minRank: 2, maxRank: 4, largest: 500 }, (drawnShape, random) => {
      const { shape, groups } = groupedShape(drawnShape, random);
      const x = arrayOf(shape, random);
      return backwardDraw(x, reference.groupNormLayout(x, groups), random, { groups });
    }),
    reference: ([x, weight, statistics, grad], { groups }) =>
      reference.normBackward(x, weight, statistics, grad, reference.groupNormLayout(x, groups)),
    half: { keep: [2], together: [[0, 3], [1]] },
  },
  convNormGelu: {
    draws: drawn({ maxRank: 0 }, (_, random) => firstStageDraw(random)),
    reference: (inputs, attributes) => stages.convNormGelu(inputs, attributes),
    half: { together: [[0], [1], [2, 3]] },
  },
  convNormGeluBackward: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { inputs, attributes } = firstStageDraw(random);
      const [y, statistics] = stages.convNormGelu(inputs, attributes);
      const rounded = { ...statistics, data: statistics.data.map(Math.fround) };
      return { inputs: [...inputs, rounded, arrayOf(y.shape, random)], attributes };
    }),
    reference: (inputs, attributes) => stages.convNormGeluBackward(inputs, attributes),
    half: { keep: [4], together: [[0], [1], [2, 3], [5]] },
  },
  weightNorm: {
    draws: drawn(weights, (shape, random) => ({
      inputs: [arrayOf(shape, random), arrayOf(lengthsOf(shape), random)],
      attributes: {},
    })),
    reference: ([v, g]) => [reference.weightNorm(v, g)],
  },
  weightNormBackward: {
    draws: drawn(weights, (shape, random) => ({
      inputs: [arrayOf(shape, random), arrayOf(lengthsOf(shape), random), arrayOf(shape, random)],
      attributes: {},
    })),
    reference: ([v, g, grad]) => reference.weightNormBackward(v, g, grad),
  },
};

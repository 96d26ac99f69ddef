import { type AdamWAttributes, apply, type DType } from '../../src/index.ts';
import { arrayOf, between, drawn, integer, pick, type Random } from '../arbitraries.ts';
import { device, floats } from '../device.ts';
import { build, isWhole, type NDArray, store } from '../reference/array.ts';
import * as random from '../reference/random.ts';
import * as training from '../reference/training.ts';
import type { OpCases } from './case.ts';

/** Seeds and streams over 32 bits as well. */
const key = (draw: Random) => ({
  seed: pick(draw, [0, 1, 12_345, 2 ** 32 - 1, 2 ** 40 + 3, Number.MAX_SAFE_INTEGER]),
  stream: pick(draw, [0, 7, 2 ** 32 + 5]),
});

/** Half of the draws take the number of a step from a tensor. */
const steps = (draw: Random) =>
  draw() < 0.5 ? [] : [build([], 'u32', () => pick(draw, [0, 1, 4095, 4096, 1_000_003, 2 ** 32 - 1]))];

const stepped = <A extends { stream: number }>(attributes: A, step: NDArray | undefined): A =>
  step ? { ...attributes, stream: attributes.stream + step.data[0] * 2 ** 20 } : attributes;

const shaped = { largest: 300 };

/** Steps, loss scale, good steps since it changed, and the reciprocal of the scale that a step under way began with. */
function optimizerState(draw: Random): NDArray {
  const scale = pick(draw, [1, 1, 0.5, 1024, 2 ** 24, 2 ** -24]);
  const values = [pick(draw, [1, 2, 20, 1000, 100_000]), scale, pick(draw, [0, 4]), pick(draw, [1, 1, 0.125])];
  return build([4], 'f32', (_, i) => values[i]);
}

export const otherCases: OpCases<
  | 'full'
  | 'arange'
  | 'uniform'
  | 'normal'
  | 'dropout'
  | 'gradientNorm'
  | 'adamw'
  | 'increment'
  | 'lerp'
  | 'nearestCode'
  | 'residualCodes'
  | 'codebookUpdate'
> = {
  full: {
    draws: drawn({}, (shape, draw) => {
      const dtype = pick<DType>(draw, [...floats, 'i32', 'u32', 'bool']);
      const value = pick(draw, !isWhole(dtype) ? [0, -1.5, Number.NaN, Number.NEGATIVE_INFINITY] : [0, -3, 1, 7]);
      return { inputs: [], attributes: { shape, value, dtype, device } };
    }),
    reference: (_, { shape, value, dtype }) => [build(shape, dtype, () => store(value, dtype))],
  },
  arange: {
    draws: drawn({ maxRank: 1, minRank: 1 }, ([count], draw) => {
      const dtype = pick<DType>(draw, ['f32', 'i32', 'u32']);
      const [start, step] =
        dtype === 'f32' ? [between(-5, 5)(draw), between(-2, 2)(draw)] : [integer(draw, -9, 9), integer(draw, -3, 3)];
      return { inputs: [], attributes: { start, step, count, dtype, device } };
    }),
    reference: (_, { start, step, count, dtype }) => {
      const values = build([count], dtype, (_index, i) =>
        dtype === 'f32' ? start + i * step : store(start + i * step, dtype),
      );
      // Start, step and their product round to f32 one by one.
      return [{ ...values, scale: values.data.map((_value, i) => Math.abs(start) + Math.abs(i * step)) }];
    },
    tolerance: { relative: 2e-7 },
    half: false,
  },
  uniform: {
    draws: drawn(shaped, (shape, draw) => {
      const low = between(-5, 5)(draw);
      return {
        inputs: steps(draw),
        attributes: { shape, low, high: low + between(0.1, 5)(draw), dtype: pick(draw, floats), device, ...key(draw) },
      };
    }),
    reference: ([step], attributes) => [random.uniform(stepped(attributes, step))],
    // Draw, product and sum round one after the other.
    tolerance: { relative: 1e-6, absolute: 1e-6 },
  },
  normal: {
    draws: drawn(shaped, (shape, draw) => ({
      inputs: steps(draw),
      attributes: {
        shape,
        mean: between(-5, 5)(draw),
        std: between(0, 3)(draw),
        dtype: pick(draw, floats),
        device,
        ...key(draw),
      },
    })),
    reference: ([step], attributes) => [random.normal(stepped(attributes, step))],
    // cos and sin are exact to 2^-11 at worst by WGSL's promise; the tail multiplies that by std and a radius below 6.
    tolerance: { relative: 1e-5, absolute: 3 * 6 * 2 ** -11 },
  },
  dropout: {
    draws: drawn({ largest: 500 }, (shape, draw) => ({
      inputs: [arrayOf(shape, draw), ...steps(draw)],
      attributes: { p: pick(draw, [0, 0.1, 0.5, 0.9]), ...key(draw) },
    })),
    reference: ([x, step], attributes) => [random.dropout(x, stepped(attributes, step))],
  },
  gradientNorm: {
    presented: false,
    half: false,
    draws: drawn({ minRank: 1, maxRank: 1 }, (shape, draw) => ({
      inputs: [arrayOf(shape, draw), optimizerState(draw)],
      attributes: { begins: draw() < 0.5 },
    })),
    // Sums of how many chunks is the kernel's affair.
    run: (inputs, attributes) => [apply('gradientNorm', inputs, attributes)[0].sum(), inputs[1]],
    reference: (inputs, { begins }) => {
      const [sum, state] = training.gradientNorm(inputs, begins);
      return [build([], 'f32', () => sum), { ...inputs[1], data: state }];
    },
  },
  adamw: {
    presented: false,
    half: false,
    draws: drawn({ minRank: 1, maxRank: 1 }, (shape, draw) => {
      const gradients = arrayOf(shape, draw);
      const norm = gradients.data.reduce((sum, g) => sum + g * g, 0);
      const wrong = pick(draw, [Number.NaN, Number.POSITIVE_INFINITY]);
      const sums = build([8], 'f32', (_, i) => (i === 5 && draw() < 0.2 ? wrong : Math.fround(norm / 8)));
      const attributes: AdamWAttributes = {
        beta1: pick(draw, [0, 0.9]),
        beta2: pick(draw, [0.98, 0.999]),
        eps: pick(draw, [1e-8, 1e-6]),
        weightDecay: pick(draw, [0, 0.01]),
        clipNorm: pick(draw, [0, 1, 1e6]),
        learningRate: Math.fround(pick(draw, [1e-3, 0.1])),
        growthInterval: pick(draw, [0, 1, 5]),
        ends: draw() < 0.7,
      };
      const moments = [arrayOf(shape, draw, between(-1, 1)), arrayOf(shape, draw, between(0, 2))];
      const rate = build([], 'f32', () => Math.fround(pick(draw, [1e-3, 0.1])));
      const state = [gradients, sums, optimizerState(draw), arrayOf(shape, draw), ...moments];
      return { inputs: draw() < 0.5 ? state : [...state, rate], attributes };
    }),
    // The norm, and in place: state, parameters and moments.
    run: (inputs, attributes) => [...apply('adamw', inputs, attributes), ...inputs.slice(2, 6)],
    reference: (inputs, attributes) => {
      const [norm, ...changed] = training.adamw(inputs, attributes);
      return [
        build([], 'f32', () => norm[0]),
        ...changed.map((data, i) => ({
          ...inputs[2 + i],
          data,
          // Differences of terms of the size of the old values; 1 - beta is rounded in f32, at 0.999 to 3e-5 of itself.
          scale: data.map((_, j) => Math.abs(inputs[2 + i].data[j]) + 1),
        })),
      ];
    },
  },
  increment: {
    presented: false,
    half: false,
    draws: drawn({}, (_, draw) => ({
      inputs: [build([], pick<DType>(draw, ['f32', 'i32']), () => integer(draw, 0, 1000))],
      attributes: {},
    })),
    run: (inputs) => {
      apply('increment', inputs, {});
      return [...inputs];
    },
    reference: ([x]) => [{ ...x, data: x.data.map((value) => value + 1) }],
  },
  lerp: {
    presented: false,
    half: false,
    draws: drawn({}, (shape, draw) => ({
      inputs: [
        arrayOf(shape, draw),
        arrayOf(shape, draw),
        build([], 'f32', () => Math.fround(pick(draw, [0, 0.1, 0.999, 1]))),
      ],
      attributes: {},
    })),
    // In place: what comes back is the average.
    run: ([average, value, weight]) => {
      apply('lerp', [average, value, weight], {});
      return [average];
    },
    reference: ([average, value, weight]) => [
      {
        ...average,
        data: average.data.map((old, i) => old + weight.data[0] * (value.data[i] - old)),
        // A difference of the two.
        scale: average.data.map((old, i) => Math.abs(old) + Math.abs(value.data[i])),
      },
    ],
  },
  nearestCode: {
    draws: drawn({ minRank: 2, maxRank: 2 }, ([rows, dimension], draw) => {
      // Small whole numbers: distances are exact in f32, and ties are frequent.
      const whole = (r: Random) => integer(r, -3, 3);
      const codes = pick(draw, [1, 2, 7, 63, 65, 130]);
      return {
        inputs: [arrayOf([rows, dimension], draw, whole), arrayOf([codes, dimension], draw, whole)],
        attributes: {},
      };
    }),
    reference: ([x, codebook]) => training.nearestCode(x, codebook),
    half: false,
  },
  codebookUpdate: {
    draws: drawn({ minRank: 2, maxRank: 2 }, ([rows, dimension], draw) => {
      const codes = pick(draw, [1, 2, 7, 65]);
      const whole = (most: number) => (r: Random) => integer(r, 0, most);
      return {
        inputs: [
          arrayOf([rows, dimension], draw),
          // Codes that no entry has count for none.
          { ...arrayOf([rows], draw, whole(codes)), dtype: 'i32' },
          arrayOf([codes, dimension], draw),
          arrayOf([codes], draw, between(0.5, 5)),
          { ...arrayOf([codes], draw, whole(Math.max(0, rows - 1))), dtype: 'i32' },
        ],
        attributes: { decay: pick(draw, [0.1, 0.5, 0.99]), epsilon: 1e-3, threshold: pick(draw, [0, 2]) },
      };
    }),
    reference: training.codebookUpdate,
    tolerance: { relative: 1e-5 },
    half: false,
  },
  residualCodes: {
    draws: drawn({ minRank: 2, maxRank: 2 }, ([rows, dimension], draw) => {
      const whole = (r: Random) => integer(r, -3, 3);
      const codes = pick(draw, [1, 2, 7, 63, 65, 130]);
      const books = Array.from({ length: integer(draw, 1, 9) }, () => arrayOf([codes, dimension], draw, whole));
      return { inputs: [arrayOf([rows, dimension], draw, whole), ...books], attributes: { keep: draw() < 0.5 } };
    }),
    reference: ([x, ...books], { keep }) => training.residualCodes(x, books, keep),
    half: false,
  },
};

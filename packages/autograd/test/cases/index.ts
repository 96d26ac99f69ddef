import { type AttributesOf, apply, concat, type DifferentiableOpName } from '@dawnchorus/tensor';
import { arrayOf, between, drawn, integer, pick, type Random } from '../../../tensor/test/arbitraries.ts';
import { attentionDraw } from '../../../tensor/test/cases/attention.ts';
import { crossEntropyDraw } from '../../../tensor/test/cases/cross-entropy.ts';
import { fourierDraws } from '../../../tensor/test/cases/fourier.ts';
import { pooling } from '../../../tensor/test/cases/images.ts';
import { firstStageDraw } from '../../../tensor/test/cases/norm.ts';
import { someAxes } from '../../../tensor/test/cases/reduce.ts';
import type { NDArray } from '../../../tensor/test/reference/array.ts';
import * as attentions from '../../../tensor/test/reference/attention.ts';
import * as stages from '../../../tensor/test/reference/conv-norm-gelu.ts';
import * as losses from '../../../tensor/test/reference/cross-entropy.ts';
import * as images from '../../../tensor/test/reference/images.ts';
import * as norms from '../../../tensor/test/reference/norm.ts';
import * as reductions from '../../../tensor/test/reference/reduce.ts';
import * as scans from '../../../tensor/test/reference/scan.ts';
import { asTested, type RuleCase, type RuleCases } from './case.ts';
import { elementwiseRuleCases } from './elementwise.ts';

type ReduceAttributes = { axes: readonly number[]; keepdim: boolean };

/** Every multiple of 0.01 once, shuffled: nothing ties, and the order survives a step. */
function distinct(shape: readonly number[], random: Random): NDArray {
  const x = arrayOf(shape, random);
  const order = [...x.data.keys()].sort((a, b) => x.data[a] - x.data[b]);
  order.forEach((place, rank) => {
    x.data[place] = Math.fround((rank - order.length / 2) / 100);
  });
  return x;
}

const extreme = (reference: typeof reductions.max): RuleCase<ReduceAttributes> => ({
  draws: drawn({ empty: false, largest: 300 }, (shape, random) => ({
    inputs: [distinct(shape, random)],
    attributes: { axes: someAxes(shape.length, random), keepdim: random() < 0.5 },
  })),
  reference: ([x], attributes) => reference(x, attributes),
  // Not expanded: repeated elements tie.
  presentations: ['dense', 'transposed', 'sliced', 'strided'],
});

/** Far from saturation, where the differences of softmax's gradient have few digits left in f32. */
const rows = (reference: (x: NDArray) => NDArray): RuleCase<Record<never, never>> => ({
  draws: drawn({ minRank: 1, maxRank: 4, largest: 300 }, (shape, random) => ({
    inputs: [arrayOf(shape, random, between(-3, 3))],
    attributes: {},
  })),
  reference: ([x]) => reference(x),
});

/**
 * A row of two has no gradient but for eps, and one of three or four little: rounding would be all there is to see, so
 * short rows get a large eps.
 */
const epsFor = (length: number, random: Random) => (length < 5 ? 0.1 : pick(random, [1e-5, 1e-3]));

const aboutMean = (shape: readonly number[], random: Random): NDArray => {
  const mean = pick(random, [0, 0, 30]);
  return arrayOf(shape, random, (r) => mean + between(-2, 2)(r));
};

/** Central differences repeat rows that stand still: no expanded ones, whose variance may be nothing. */
const normPresentations = ['dense', 'transposed', 'sliced', 'strided'] as const;

/** Gradients are functions of what they were made from and of the gradient of the output. */
const pairs = (reference: (y: NDArray, grad: NDArray) => NDArray): RuleCase<Record<never, never>> => ({
  draws: drawn({ minRank: 1, maxRank: 4, largest: 300 }, (shape, random) => ({
    inputs: [arrayOf(shape, random), arrayOf(shape, random)],
    attributes: {},
  })),
  reference: ([y, grad]) => reference(y, grad),
});

/** Both outputs in one, and statistics that belong to no input: they are inputs like any other. */
function normBackward<N extends 'layerNormBackward' | 'groupNormBackward'>(
  name: N,
  shapes: Parameters<typeof drawn>[0],
  sizes: (shape: number[], random: Random) => { shape: number[]; attributes: AttributesOf<N> },
  layoutOf: (x: NDArray, attributes: AttributesOf<N>) => norms.NormLayout,
): RuleCase<AttributesOf<N>> {
  return {
    draws: drawn(shapes, (drawnShape, random) => {
      const { shape, attributes } = sizes(drawnShape, random);
      const x = arrayOf(shape, random);
      const { rows, channels } = layoutOf(x, attributes);
      const statistics = arrayOf([rows, 2], random, between(0.5, 2));
      return { inputs: [x, arrayOf([channels], random), statistics, arrayOf(shape, random)], attributes };
    }),
    run: (inputs, attributes) => {
      const [dx, affine] = apply(name, inputs, attributes as never);
      return concat([dx.reshape([-1]), affine.reshape([-1])]);
    },
    reference: ([x, weight, statistics, grad], attributes) => {
      const [dx, affine] = norms.normBackward(x, weight, statistics, grad, layoutOf(x, attributes));
      const data = Float64Array.of(...dx.data, ...affine.data);
      return { dtype: 'f32', shape: [data.length], data };
    },
  };
}

/** A tap alone has no gradient but by eps: a factor goes with the norm, and what is left has no digits in f32. */
const severalTaps = { largest: 20, leastTaps: 2 };

/** Few elements, for central differences; and two keys that are seen, for one alone has no gradient but that of its value. */
function smallAttention(random: Random) {
  for (;;) {
    const draw = attentionDraw(random, { largest: 600 });
    const { inputs } = draw;
    const [first, second] = inputs.find(({ dtype }) => dtype === 'bool')?.data ?? [1, 1];
    const small = inputs.every(({ data }) => data.length > 0 && data.length < 400);
    if (small && inputs[0].shape[2] > 1 && inputs[1].shape[2] > 1 && first && second) return draw;
  }
}
/** Few logits, close to each other: where one is all of the softmax, gradients have no digits left in f32. */
const crossEntropyDraws = (more: (target: NDArray, random: Random) => NDArray[]) =>
  drawn({ minRank: 1, maxRank: 4, largest: 150 }, (shape, random) => {
    const { x, target, weight, attributes } = crossEntropyDraw(shape, random, { wrong: 0, range: 2, means: [0, 30] });
    return { inputs: [x, target, ...more(target, random), ...weight], attributes };
  });
const lengthsOf = (shape: readonly number[]) => [...shape.slice(1).map(() => 1), shape.at(-1)!];
const awayFromZero = (random: Random) => (random() < 0.5 ? -1 : 1) * between(0.5, 2)(random);

/** Short enough for sums that take the square of the length. */
const fourier = fourierDraws([1, 2, 3, 8, 16, 20, 67]);

/** One case for every operation with a gradient: a missing one does not compile. */
export const ruleCases: RuleCases<DifferentiableOpName> = {
  ...elementwiseRuleCases,
  sum: asTested('sum'),
  mean: asTested('mean'),
  sumSquares: asTested('sumSquares'),
  prod: {
    // So few that each is moved by itself: together, zeros make differences of their powers.
    draws: drawn({ largest: 40 }, (shape, random) => ({
      // Every zero is a case of its own: one, or several, in a row.
      inputs: [arrayOf(shape, random, (r) => (r() < 0.1 ? 0 : Math.sign(r() - 0.3) * between(0.8, 1.2)(r)))],
      attributes: { axes: someAxes(shape.length, random), keepdim: random() < 0.5 },
    })),
    reference: ([x], attributes) => reductions.prod(x, attributes),
  },
  cumsum: asTested('cumsum'),
  linearRecurrence: {
    draws: drawn({ minRank: 1, maxRank: 4, largest: 300 }, (shape, random) => ({
      inputs: [arrayOf(shape, random, between(-1, 1)), arrayOf(shape, random)],
      attributes: { axis: integer(random, 0, shape.length - 1), reverse: random() < 0.5 },
    })),
    reference: (inputs, attributes) => scans.linearRecurrence(inputs, attributes),
  },
  max: extreme(reductions.max),
  min: extreme(reductions.min),
  softmax: rows(norms.softmax),
  logSoftmax: rows(norms.logSoftmax),
  softmaxBackward: pairs(norms.softmaxBackward),
  logSoftmaxBackward: pairs(norms.logSoftmaxBackward),
  crossEntropy: {
    draws: crossEntropyDraws(() => []),
    run: ([x, target, ...weight], attributes) =>
      apply('crossEntropy', [x, target, ...weight.map((own) => own.cast('f32'))], attributes)[0],
    reference: (inputs, attributes) => losses.crossEntropy(inputs, attributes)[0],
  },
  crossEntropyBackward: {
    draws: crossEntropyDraws((target, random) => [arrayOf(target.shape, random)]),
    // The statistics are no inputs of their own: they follow from the logits.
    run: ([x, target, ...wide], attributes) => {
      const [g, ...weight] = wide.map((own) => own.cast('f32'));
      const [, statistics] = apply('crossEntropy', [x, target, ...weight], attributes);
      return apply('crossEntropyBackward', [x, target, statistics, g, ...weight], attributes)[0];
    },
    reference: ([x, target, g, ...weight], attributes) => {
      const [, statistics] = losses.crossEntropy([x, target, ...weight], attributes);
      return losses.crossEntropyBackward([x, target, statistics, g, ...weight], attributes)[0];
    },
  },
  layerNormBackward: normBackward(
    'layerNormBackward',
    { minRank: 1, maxRank: 4, largest: 150 },
    (shape) => ({ shape, attributes: {} }),
    (x) => norms.layerNormLayout(x),
  ),
  groupNormBackward: normBackward(
    'groupNormBackward',
    { minRank: 2, maxRank: 4, largest: 150 },
    ([batch, perGroup, ...spatial], random) => {
      const groups = pick(random, [1, 2, 3]);
      return { shape: [batch, perGroup * groups, ...spatial], attributes: { groups } };
    },
    (x, { groups }) => norms.groupNormLayout(x, groups),
  ),
  convNormGelu: {
    draws: drawn({ maxRank: 0 }, (_, random) => firstStageDraw(random, severalTaps)),
    reference: (inputs, attributes) => stages.convNormGelu(inputs, attributes)[0],
    presentations: normPresentations,
  },
  convNormGeluBackward: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { inputs, attributes } = firstStageDraw(random, severalTaps);
      return { inputs: [...inputs, arrayOf(stages.convNormGelu(inputs, attributes)[0].shape, random)], attributes };
    }),
    // The statistics are no inputs of their own: they follow from the signal and the weight.
    run: ([x, weight, scale, shift, g], attributes) => {
      const inputs = [x, weight, scale, shift];
      const [, statistics] = apply('convNormGelu', inputs, attributes);
      const gradients = apply('convNormGeluBackward', [...inputs, statistics, g], attributes);
      return concat(gradients.map((own) => own.reshape([-1])));
    },
    reference: ([x, weight, scale, shift, g], attributes) => {
      const inputs = [x, weight, scale, shift];
      const [, statistics] = stages.convNormGelu(inputs, attributes);
      const parts = stages.convNormGeluBackward([...inputs, statistics, g], attributes);
      const data = Float64Array.from(parts.flatMap((part) => [...part.data]));
      return { dtype: 'f32', shape: [data.length], data };
    },
    presentations: normPresentations,
  },
  // Columns of two at least: one of a single element has no direction to turn to.
  weightNorm: {
    draws: drawn({ minRank: 1, maxRank: 2, largest: 100 }, (rest, random) => {
      const shape = [integer(random, 2, 5), ...rest];
      return { inputs: [arrayOf(shape, random, awayFromZero), arrayOf(lengthsOf(shape), random)], attributes: {} };
    }),
    reference: ([v, g]) => norms.weightNorm(v, g),
  },
  weightNormBackward: {
    draws: drawn({ minRank: 1, maxRank: 2, largest: 50 }, (rest, random) => {
      const shape = [integer(random, 2, 5), ...rest];
      const inputs = [arrayOf(shape, random, awayFromZero), arrayOf(lengthsOf(shape), random), arrayOf(shape, random)];
      return { inputs, attributes: {} };
    }),
    run: (inputs) => concat(apply('weightNormBackward', inputs, {}).map((part) => part.reshape([-1]))),
    reference: ([v, g, grad]) => {
      const data = norms.weightNormBackward(v, g, grad).flatMap((part) => [...part.data]);
      return { dtype: 'f32', shape: [data.length], data: Float64Array.from(data) };
    },
  },
  layerNorm: {
    draws: drawn({ minRank: 1, maxRank: 4, largest: 300 }, (shape, random) => {
      const features = shape.at(-1)!;
      return {
        inputs: [aboutMean(shape, random), arrayOf([features], random), arrayOf([features], random)],
        attributes: { eps: epsFor(features, random) },
      };
    }),
    reference: ([x, weight, bias], { eps }) => norms.norm(x, weight, bias, norms.layerNormLayout(x), eps)[0],
    presentations: normPresentations,
  },
  groupNorm: {
    draws: drawn({ minRank: 2, maxRank: 4, largest: 150 }, ([batch, perGroup, ...spatial], random) => {
      const groups = pick(random, [1, 2, 3]);
      const channels = perGroup * groups;
      const length = spatial.reduce((product, extent) => product * extent, perGroup);
      return {
        inputs: [
          aboutMean([batch, channels, ...spatial], random),
          arrayOf([channels], random),
          arrayOf([channels], random),
        ],
        attributes: { groups, eps: epsFor(length, random) },
      };
    }),
    reference: ([x, weight, bias], { groups, eps }) =>
      norms.norm(x, weight, bias, norms.groupNormLayout(x, groups), eps)[0],
    presentations: normPresentations,
  },
  attention: {
    draws: drawn({ maxRank: 0 }, (_, random) => smallAttention(random)),
    reference: (inputs, attributes) => attentions.attention(inputs, attributes)[0],
    // Not expanded: among equal keys or values there is nothing to choose.
    presentations: normPresentations,
  },
  attentionBackward: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { inputs, attributes } = smallAttention(random);
      const [batch, heads, queries, size] = inputs[0].shape;
      return { inputs: [...inputs, arrayOf([batch, queries, heads, size], random)], attributes };
    }),
    // A gradient of a gradient: of what attention itself gives.
    run: (inputs, attributes) => {
      const [q, k, v, ...others] = inputs.slice(0, -1);
      const outputs = apply('attention', [q, k, v, ...others], attributes);
      const given = [q, k, v, ...outputs, inputs.at(-1)!, ...others];
      return concat(apply('attentionBackward', given, attributes).map((x) => x.reshape([-1])));
    },
    reference: (inputs, attributes) => {
      const [q, k, v, ...others] = inputs.slice(0, -1);
      const outputs = attentions.attention([q, k, v, ...others], attributes);
      const gradients = attentions.attentionBackward([q, k, v, ...outputs, inputs.at(-1)!, ...others], attributes);
      const data = Float64Array.from(gradients.flatMap((x) => [...x.data]));
      return { dtype: 'f32', shape: [data.length], data };
    },
    presentations: normPresentations,
  },
  matmul: asTested('matmul'),
  conv1d: asTested('conv1d'),
  convTranspose1d: asTested('convTranspose1d'),
  conv1dWeightGradient: asTested('conv1dWeightGradient'),
  conv2d: asTested('conv2d'),
  convTranspose2d: asTested('convTranspose2d'),
  conv2dWeightGradient: asTested('conv2dWeightGradient'),
  maxPool2d: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { planes, size, attributes } = pooling(random);
      return { inputs: [distinct([...planes, ...size], random)], attributes };
    }),
    reference: ([x], attributes) => {
      const [out] = images.maxPool2d(x, attributes);
      // A window that lies in the padding gives minus infinity, whatever x holds: a constant.
      return { ...out, data: out.data.map((value) => (Number.isFinite(value) ? value : 0)) };
    },
    presentations: ['dense', 'transposed', 'sliced', 'strided'],
  },
  // Not expanded: repeated indices lie outside of their windows.
  maxPool2dBackward: { ...asTested('maxPool2dBackward'), presentations: ['dense', 'transposed', 'sliced', 'strided'] },
  fft: { ...asTested('fft'), draws: fourier.fft },
  rfft: { ...asTested('rfft'), draws: fourier.rfft },
  irfft: { ...asTested('irfft'), draws: fourier.irfft },
  complexMul: asTested('complexMul'),
  dropout: asTested('dropout'),
  indexSelect: asTested('indexSelect'),
  indexAdd: asTested('indexAdd'),
  gather: asTested('gather'),
  scatterAdd: asTested('scatterAdd'),
  concat: asTested('concat'),
  unslice: asTested('unslice'),
  unfold: asTested('unfold'),
  overlapAdd: asTested('overlapAdd'),
  flip: asTested('flip'),
  reshape: asTested('reshape'),
  permute: asTested('permute'),
  slice: asTested('slice'),
  expand: asTested('expand'),
};

/**
 * Not checked in f16: some derivatives cancel, of values that are halves already (1 - y² of tanh, dy - sum(dy y) of
 * attention); and these norms take statistics in f32, which the check would round.
 */
export const onlyInFull = new Set<DifferentiableOpName>([
  'tanh',
  'sigmoid',
  'geluBackward',
  'attention',
  'attentionBackward',
  'layerNormBackward',
  'groupNormBackward',
]);

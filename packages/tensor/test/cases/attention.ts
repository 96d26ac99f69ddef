import { arrayOf, between, drawn, pick, type Random } from '../arbitraries.ts';
import { device } from '../device.ts';
import { build, type NDArray } from '../reference/array.ts';
import * as reference from '../reference/attention.ts';
import type { Draw, OpCases } from './case.ts';

const times = [1, 2, 3, 5, 7, 13, 17, 33, 65, 70];
/** Few, since each of them compiles kernels of its own. */
const kinds = [
  { size: 1, masked: false, causal: false, dropped: false, stepped: false },
  { size: 3, masked: true, causal: true, dropped: false, stepped: false },
  { size: 8, masked: false, causal: false, dropped: true, stepped: true },
  { size: 13, masked: true, causal: false, dropped: true, stepped: false },
  { size: 32, masked: true, causal: false, dropped: false, stepped: false },
  { size: 64, masked: true, causal: true, dropped: true, stepped: true },
  { size: 128, masked: false, causal: false, dropped: false, stepped: false },
];

/** A mask of keys: of one clip everything is hidden now and then. */
function mask(batch: number, keys: number, random: Random): NDArray {
  const none = random() < 0.3 ? 0 : -1;
  return build([batch, keys], 'bool', ([b]) => Number(b !== none && random() < 0.7));
}

/** q, k and v, what follows them, and attributes. */
export function attentionDraw(random: Random, { largest = 40_000 } = {}): Draw<reference.Settings> {
  const [batch, heads] = [pick(random, [1, 1, 2, 0]), pick(random, [1, 2, 3])];
  const { size, masked, causal, dropped, stepped } = pick(random, kinds);
  const [queries, longest] = [pick(random, times), pick(random, [...times, 0])];
  const keys = Math.min(longest, Math.floor(largest / (Math.max(1, batch) * heads * queries * size)) + 1);
  const spread = between(-1, 1);
  return {
    inputs: [
      arrayOf([batch, heads, queries, size], random, spread),
      arrayOf([batch, heads, keys, size], random, spread),
      arrayOf([batch, heads, keys, size], random),
      ...(masked ? [mask(batch, keys, random)] : []),
      ...(stepped ? [build([], 'u32', () => pick(random, [1, 4096, 2 ** 32 - 1]))] : []),
    ],
    attributes: {
      scale: between(0.1, 1)(random),
      causal,
      dropout: dropped ? pick(random, [0.1, 0.5]) : 0,
      seed: pick(random, [1, 2 ** 40 + 3]),
      stream: pick(random, [0, 2 ** 32 + 5]),
    },
  };
}

const tolerance = { relative: 2e-6 };
/** Where matrix units may be at work on halves, weights and gradients of scores are halves before they are summed with. */
const half = { tolerance: device.adapter.matrixUnits.length > 0 ? { relative: 6e-4, absolute: 2e-6 } : tolerance };

export const attentionCases: OpCases<'attention' | 'attentionBackward'> = {
  attention: {
    draws: drawn({ maxRank: 0 }, (_, random) => attentionDraw(random)),
    reference: (inputs, attributes) => reference.attention(inputs, attributes),
    tolerance,
    half: { ...half, together: 'all' },
  },
  attentionBackward: {
    draws: drawn({ maxRank: 0 }, (_, random) => {
      const { inputs, attributes } = attentionDraw(random);
      const [q, k, v, ...others] = inputs;
      const outputs = reference.attention(inputs, attributes).map(({ dtype, shape, data }) => ({
        dtype,
        shape,
        data: data.map(Math.fround),
      }));
      return { inputs: [q, k, v, ...outputs, arrayOf(outputs[0].shape, random), ...others], attributes };
    }),
    reference: (inputs, attributes) => reference.attentionBackward(inputs, attributes),
    tolerance,
    half: { ...half, keep: [4], together: 'all' },
  },
};

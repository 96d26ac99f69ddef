import { attention as kernels, matmul as products } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { linearGrid } from '../kernel/grid.ts';
import type { Variant } from '../kernel/variants.ts';
import type { Tensor } from '../tensor.ts';
import { scalar } from './arguments.ts';
import type { AttentionAttributes } from './attention.ts';
import {
  type AttentionOperands,
  byHeads,
  constantsOf,
  type Layout,
  liesInFours,
  operandsOf,
  optionalBuffers,
  pairsOf,
  parametersOf,
} from './attention-operands.ts';
import { withDense, withScratch } from './dense.ts';
import { type BroadcastVariant, broadcastLayout, canBroadcast } from './matmul-tiles.ts';

/**
 * Weights that are held at a time, in bytes: those of some heads, one at least. What fits into a cache of the CPU is read
 * back from there.
 */
const HELD_BYTES = 4 * 2 ** 20;

/** Calls `body` for some pairs of batch and head at a time, with memory for their weights that is used again and again. */
function headByHead(
  device: Device,
  q: Tensor,
  keys: number,
  names: readonly string[],
  body: (first: number, count: number, ...scratch: Tensor[]) => void,
): void {
  const [queries, pairs] = [q.shape[2], pairsOf(q)];
  const count = Math.min(pairs, Math.max(1, Math.floor(HELD_BYTES / (4 * Math.max(1, queries * keys)))));
  const wanted = names.map((name) => ({ name, shape: [count, queries, keys] }));
  withScratch(device, wanted, (...scratch) => {
    for (let first = 0; first < pairs; first += count) body(first, Math.min(count, pairs - first), ...scratch);
  });
}

const tiles = (extent: number) => Math.ceil(extent / 64);

/** How columns are layout round: 32 at most, since whether a key is seen is a bit of 32. */
const layoutOf = (device: Device, variant: BroadcastVariant, columns: number) =>
  broadcastLayout(device, variant, Math.min(32, columns));

/** Which kernel makes the scores of `count` heads, or weights and slopes, with its constants and its grid. */
function scoresBy(
  device: Device,
  { q, k }: AttentionOperands,
  { count, gradient, variant }: { count: number; gradient: boolean; variant?: BroadcastVariant },
) {
  const [queries, keys] = [q.shape[2], k.shape[2]];
  const own = { GRADIENT: `const GRADIENT = ${gradient};` };
  const kept = gradient ? 2 : 1;
  if (variant !== undefined) {
    const layout = layoutOf(device, variant, keys);
    const { columns, subgroup } = layout;
    // A thread's sums leave through workgroup memory.
    if (4 * 8 * columns * kept * subgroup <= device.limits.maxComputeWorkgroupStorageSize) {
      return {
        kernel: kernels.scoresBroadcast,
        own: { ...own, ...products.broadcastConstants(layout, { length: q.shape[3], products: kept }) },
        grid: [Math.ceil(keys / columns), Math.ceil(queries / (8 * subgroup)), count] as const,
      };
    }
  }
  return { kernel: kernels.scores, own, grid: [tiles(keys), tiles(queries), count] as const };
}

/** Records out = w b, or w^T b. `b` and `layout` say what is summed, [batch, heads, terms, size]. */
function sum(
  device: Device,
  operands: AttentionOperands,
  attributes: AttentionAttributes,
  {
    first,
    count,
    weights,
    b,
    layout = b,
    out,
    transposed = false,
    reciprocals,
    variant,
  }: {
    first: number;
    count: number;
    weights: Tensor;
    b: Tensor;
    layout?: Layout;
    out: Tensor;
    transposed?: boolean;
    reciprocals?: Tensor;
    variant?: BroadcastVariant;
  },
): void {
  const constants = {
    ...constantsOf(operands, attributes),
    FORWARD: `const FORWARD = ${reciprocals !== undefined};`,
    TRANSPOSED: `const TRANSPOSED = ${transposed};`,
  };
  const buffers = [weights, b, reciprocals ?? scalar(device, 0, 'f32'), out].map(({ storage }) => storage.buffer);
  const parameters = parametersOf(device, operands, attributes, { v: layout, first });
  const [size, rows] = [operands.q.shape[3], out.shape[1]];
  if (variant === undefined) {
    const grid = [tiles(size), tiles(rows), count] as const;
    device.recorder.dispatch({ kernel: kernels.sums, constants, buffers, parameters, grid });
    return;
  }
  const shared = layoutOf(device, variant, size);
  const length = operands[transposed ? 'q' : 'k'].shape[2];
  device.recorder.dispatch({
    kernel: kernels.sumsBroadcast,
    constants: { ...constants, ...products.broadcastConstants(shared, { length }) },
    buffers,
    parameters,
    grid: [Math.ceil(size / shared.columns), Math.ceil(rows / (8 * shared.subgroup)), count],
  });
}

/** Whether threads work by themselves, which is `composed`, or subgroups hand columns round. */
const canBy = (variant?: BroadcastVariant) => (device: Device) =>
  variant === undefined || canBroadcast(device, variant);

/**
 * For adapters that run shaders on the CPU, where barriers and workgroup memory are dear and threads with many sums in
 * registers are the fastest there are, as in matmul: the weights of a few heads are made in memory, used and overwritten by
 * those of the next.
 */
const forward = (variant?: BroadcastVariant): Variant<AttentionAttributes> => ({
  name: variant ?? 'composed',
  legal: canBy(variant),
  run(device, inputs, [out, logSums], attributes) {
    const operands = operandsOf(inputs);
    const { q, k, v } = operands;
    const [queries, keys] = [q.shape[2], k.shape[2]];
    const constants = constantsOf(operands, attributes);
    const { visible, steps } = optionalBuffers(device, operands);
    headByHead(device, q, keys, ['attention weights'], (first, count, weights) => {
      withScratch(device, [{ name: 'reciprocals of sums', shape: [count, queries] }], (reciprocals) => {
        const parameters = parametersOf(device, operands, attributes, { first });
        const [qs, ks, vs, held, factors] = [q, k, v, weights, reciprocals].map(({ storage }) => storage.buffer);
        const { kernel, own, grid } = scoresBy(device, operands, { count, gradient: false, variant });
        device.recorder.dispatch({
          kernel,
          constants: { ...constants, ...own },
          buffers: [qs, ks, vs, qs, visible, visible, held, factors],
          parameters,
          grid,
        });
        device.recorder.dispatch({
          kernel: kernels.softmaxOfScores,
          constants,
          buffers: [steps, held, logSums.storage.buffer, factors],
          parameters,
          grid: [Math.ceil(queries / 8), 1, count],
        });
        sum(device, operands, attributes, { first, count, weights, b: v, out, reciprocals, variant });
      });
    });
  },
});

/** Records what the backward passes need of each query, and calls `body` with it. `grad` is seen as [batch, heads, …]. */
export function withStatistics(
  device: Device,
  inputs: readonly Tensor[],
  attributes: AttentionAttributes,
  body: (statistics: Tensor, operands: AttentionOperands) => void,
): void {
  const operands = operandsOf(inputs);
  const { q } = operands;
  const [, , , out, logSums, grad] = inputs;
  const [seenOut, seenGrad] = [byHeads(out), byHeads(grad)];
  const wide = liesInFours(q.shape[3], [seenOut, seenGrad]);
  const rows = pairsOf(q) * q.shape[2];
  const wanted = [{ name: 'statistics of attention', shape: [2 * rows + 1] }];
  withScratch(device, wanted, (statistics) => {
    withDense(device, [logSums], ([dense]) => {
      const { steps } = optionalBuffers(device, operands);
      device.recorder.dispatch({
        kernel: kernels.statistics,
        constants: { ...constantsOf(operands, attributes), read: kernels.readers('yg', wide) },
        buffers: [...[out, grad, dense].map(({ storage }) => storage.buffer), steps, statistics.storage.buffer],
        parameters: {
          ...parametersOf(device, operands, attributes, { q: seenOut, g: seenGrad, unit: wide ? 4 : 1 }),
          kOffset: dense.offset,
        },
        grid: linearGrid(Math.ceil(rows / 64)),
      });
    });
    body(statistics, operands);
  });
}

/** As `forward`. The scores are computed once more from q and k, which takes less memory than keeping the weights. */
const backward = (variant?: BroadcastVariant): Variant<AttentionAttributes> => ({
  name: variant ?? 'composed',
  legal: canBy(variant),
  run(device, inputs, [dq, dk, dv], attributes) {
    const [, , , , , grad] = inputs;
    const g = byHeads(grad);
    withStatistics(device, inputs, attributes, (statistics, operands) => {
      const { q, k, v } = operands;
      const keys = k.shape[2];
      const { visible } = optionalBuffers(device, operands);
      headByHead(device, q, keys, ['attention weights', 'their slopes'], (first, count, weights, slopes) => {
        const { kernel, own, grid } = scoresBy(device, operands, { count, gradient: true, variant });
        device.recorder.dispatch({
          kernel,
          constants: { ...constantsOf(operands, attributes), ...own },
          buffers: [q, k, v, grad]
            .map(({ storage }) => storage.buffer)
            .concat([visible, statistics.storage.buffer, weights.storage.buffer, slopes.storage.buffer]),
          parameters: parametersOf(device, operands, attributes, { g, first }),
          grid,
        });
        const part = { first, count, variant };
        sum(device, operands, attributes, { ...part, weights, b: grad, layout: g, out: dv, transposed: true });
        sum(device, operands, attributes, { ...part, weights: slopes, b: k, out: dq });
        sum(device, operands, attributes, { ...part, weights: slopes, b: q, out: dk, transposed: true });
      });
    });
  },
});

/** The ways of CPU drivers, those that compile sooner first. */
export const composed = [forward(), forward('broadcast16'), forward('broadcast')];
export const composedBackward = [backward(), backward('broadcast16'), backward('broadcast')];

import { cast, concat, div, indexSelect, maximum, scope, type Tensor, tensor, zeros } from '@dawnchorus/tensor';
import type { HostRandom } from '../random.ts';
import { assign, checkRows, sumByCluster } from './assign.ts';
import { moveEmpty } from './lloyd.ts';
import { kMeansPlusPlus } from './plus-plus.ts';

/** Centres, and how many rows each has taken so far. */
export interface MiniBatchState {
  /** f32 [clusters, dimension] */
  centres: Tensor;
  /** f32 [clusters] */
  counts: Tensor;
}

/** What a minibatch did. */
export interface MiniBatchStep extends MiniBatchState {
  /** Mean squared distance of the batch's rows to the centres before the step. */
  inertia: number;
  /** Clusters that had taken no row so far, and were moved. */
  moved: number;
}

/**
 * One step of minibatch k-means (Sculley, 2010): each centre becomes the mean of all rows that it has ever taken. A centre
 * that never took one is moved to the row furthest from its own. The given state stays the caller's.
 *
 * @param batch - f32 [rows, dimension].
 */
export async function miniBatchStep({ centres, counts }: MiniBatchState, batch: Tensor): Promise<MiniBatchStep> {
  const clusters = centres.shape[0];
  const found = assign(batch, centres);
  const next = scope(() => {
    const { counts: own, sums } = sumByCluster(found, clusters);
    const total = counts.add(own);
    return {
      centres: centres.add(div(sums, maximum(total, 1).unsqueeze(1))),
      counts: total,
      measured: concat([found.distances.mean().reshape([1]), cast(total.eq(0), 'f32').sum().reshape([1])]),
    };
  });
  const [inertia, moved] = await next.measured.data();
  next.measured.dispose();
  let after = next.centres;
  if (moved > 0) {
    after = moveEmpty(batch, next.centres, next.counts, found.distances);
    next.centres.dispose();
  }
  for (const each of [found.labels, found.residuals, found.distances]) each.dispose();
  return { centres: after, counts: next.counts, inertia, moved };
}

/** Settings of `miniBatchKMeans`. */
export interface MiniBatchOptions {
  clusters: number;
  random: HostRandom;
  /** Rows of a step; default 10,000, or all. */
  batchSize?: number;
  /** Passes over the rows at most; default 100. */
  maxEpochs?: number;
  /** Steps at most, whatever the epochs. */
  maxSteps?: number;
  /** Ends after as many steps without a better running mean of the inertia; default 100. */
  maxNoImprovement?: number;
  /** k-means++ starts on samples of `startRows` rows, of which the best is taken; default 3. */
  starts?: number;
  /** Default three batches, or all rows; at least three for each cluster where there are as many. */
  startRows?: number;
  /** Told of each step. */
  onStep?(step: number, inertia: number): void;
}

/** What minibatch k-means found. */
export interface MiniBatchResult extends MiniBatchState {
  /** Running mean of the batches' mean squared distances at the end. */
  inertia: number;
  steps: number;
}

/** `count` different rows of x, in an order that is drawn. */
function drawRows(x: Tensor, count: number, random: HostRandom): Tensor {
  // Floyd's sample: work and memory by what is drawn, not by what there is.
  const rows = x.shape[0];
  const drawn = new Set<number>();
  for (let i = rows - count; i < rows; i++) {
    const row = random.integer(0, i);
    drawn.add(drawn.has(row) ? i : row);
  }
  return scope(() => indexSelect(x, 0, tensor(Int32Array.from(drawn), { device: x.device })));
}

async function bestStart(
  x: Tensor,
  options: Required<Pick<MiniBatchOptions, 'clusters' | 'starts' | 'random'>>,
  rows: number,
) {
  const { clusters, starts, random } = options;
  const held = drawRows(x, rows, random);
  let best: { centres: Tensor; inertia: number } | undefined;
  for (let i = 0; i < starts; i++) {
    const { centres, inertia } = scope(() => {
      const sample = drawRows(x, rows, random);
      const start = kMeansPlusPlus(sample, clusters, random);
      // A few whole iterations tell more of a start than its centres, which are single rows.
      let own = { centres: start.centres, counts: zeros([clusters], { device: x.device }) };
      for (let j = 0; j < 3; j++) {
        const { counts, sums } = sumByCluster(assign(sample, own.centres), clusters);
        own = { centres: own.centres.add(div(sums, maximum(counts, 1).unsqueeze(1))), counts };
      }
      return { centres: own.centres, inertia: assign(held, own.centres).distances.mean() };
    });
    const value = await inertia.item();
    inertia.dispose();
    if (best && !(value < best.inertia)) centres.dispose();
    else {
      best?.centres.dispose();
      best = { centres, inertia: value };
    }
  }
  held.dispose();
  if (!best) throw new RangeError(`miniBatchKMeans: ${starts} starts; expected a whole number from 1`);
  return best;
}

/**
 * Minibatch k-means with greedy k-means++ starts, as scikit-learn's MiniBatchKMeans and HuBERT's recipe, over rows that
 * lie on the device. The draws depend on `random` alone: the same seed and rows give the same bits on one adapter.
 *
 * @param x - f32 [rows, dimension].
 * @throws RangeError when there are fewer rows than clusters, a setting is out of range, or values are not finite.
 */
export async function miniBatchKMeans(x: Tensor, options: MiniBatchOptions): Promise<MiniBatchResult> {
  const { clusters, random, maxEpochs = 100, maxNoImprovement = 100, starts = 3, onStep } = options;
  checkRows('miniBatchKMeans', x, clusters);
  const rows = x.shape[0];
  const batchSize = Math.min(rows, options.batchSize ?? 10_000);
  const startRows = Math.min(rows, Math.max(options.startRows ?? 3 * batchSize, 3 * clusters));
  for (const [name, value] of Object.entries({ batchSize, maxEpochs, maxNoImprovement, starts })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`miniBatchKMeans: ${name} is ${value}; expected a whole number from 1`);
    }
  }
  const steps = Math.min(options.maxSteps ?? Number.POSITIVE_INFINITY, Math.ceil((maxEpochs * rows) / batchSize));
  const started = await bestStart(x, { clusters, starts, random }, startRows);
  let state: MiniBatchState = { centres: started.centres, counts: zeros([clusters], { device: x.device }) };
  if (!Number.isFinite(started.inertia)) {
    throw new RangeError('miniBatchKMeans: x has values that are not finite (NaN or infinite)');
  }
  // The weight of a batch in the running mean is scikit-learn's.
  const weight = Math.min(1, (2 * batchSize) / (rows + 1));
  let running: number | undefined;
  let lowest = Number.POSITIVE_INFINITY;
  let worse = 0;
  let step = 0;
  while (step < steps && worse < maxNoImprovement) {
    const batch = drawRows(x, batchSize, random);
    const { inertia, moved, ...next } = await miniBatchStep(state, batch);
    batch.dispose();
    state.centres.dispose();
    state.counts.dispose();
    state = next;
    step++;
    onStep?.(step, inertia);
    running = running === undefined || moved > 0 ? inertia : running * (1 - weight) + inertia * weight;
    if (running < lowest) {
      lowest = running;
      worse = 0;
    } else worse++;
  }
  return { ...state, inertia: running ?? started.inertia, steps: step };
}

import {
  arange,
  cast,
  cumsum,
  div,
  indexSelect,
  maximum,
  scope,
  segmentSum,
  type Tensor,
  topk,
  where,
} from '@dawnchorus/tensor';
import { type Assignment, assign, checkRows, sumByCluster } from './assign.ts';

/** When Lloyd's iterations end. */
export interface LloydOptions {
  /** Default 300. */
  maxIterations?: number;
  /** Ends when the centres' squared movements sum up to this times the mean variance of a column, or less; default 0. */
  tolerance?: number;
}

/** What Lloyd's algorithm found. */
export interface LloydResult {
  /** f32 [clusters, dimension] */
  centres: Tensor;
  /** i32 [rows]: the nearest of these centres. */
  labels: Tensor;
  /** Sum of the squared distances to them. */
  inertia: number;
  iterations: number;
  /** How many times a cluster without rows was moved. */
  moved: number;
}

/** i32: the rows furthest from their centres, the furthest first, one for each cluster (or as many as there are). */
function furthestRows(distances: Tensor, clusters: number): Tensor {
  return topk(distances, Math.min(distances.shape[0], clusters)).indices;
}

/** Centres of empty clusters replaced by the rows that lie furthest from their own: the i-th empty one takes the i-th row. */
export function moveEmpty(x: Tensor, centres: Tensor, counts: Tensor, distances: Tensor): Tensor {
  return scope(() => {
    const empty = counts.eq(0);
    const rows = furthestRows(distances, centres.shape[0]);
    const place = cumsum(cast(empty, 'i32'), { dim: 0 })
      .sub(1)
      .clamp({ min: 0, max: rows.shape[0] - 1 });
    return where(empty.unsqueeze(1), indexSelect(x, 0, indexSelect(rows, 0, place)), centres);
  });
}

/** New centres where some clusters are empty: the rows that these take leave the means of their former clusters. */
function relocate(x: Tensor, centres: Tensor, { labels, residuals, distances }: Assignment, counts: Tensor): Tensor {
  return scope(() => {
    const count = centres.shape[0];
    const rows = furthestRows(distances, count);
    const taken = cast(arange(rows.shape[0], { device: x.device }).lt(cast(counts.eq(0), 'i32').sum()), 'f32');
    const from = indexSelect(labels, 0, rows);
    const gone = segmentSum(indexSelect(residuals, 0, rows).mul(taken.unsqueeze(1)), from, { count });
    const left = maximum(counts.sub(segmentSum(taken, from, { count })), 1);
    const sums = segmentSum(residuals, labels, { count }).sub(gone);
    return moveEmpty(x, centres.add(div(sums, left.unsqueeze(1))), counts, distances);
  });
}

/**
 * Lloyd's algorithm from given centres, until no centre moves. Clusters that lose all their rows take the rows furthest
 * from their centres, as in scikit-learn, so that none stays empty while there are distinct rows enough.
 *
 * Sums go over what centres leave of the rows, in a fixed order: the same input gives the same bits on one adapter. (The
 * codebooks of an RVQ start from a plainer `kMeans`, which says why.)
 *
 * @param x - f32 [rows, dimension].
 * @param start - f32 [clusters, dimension]; stays the caller's.
 * @throws RangeError when there are fewer rows than clusters, or the shapes do not agree.
 */
export async function lloyd(x: Tensor, start: Tensor, options: LloydOptions = {}): Promise<LloydResult> {
  const { maxIterations = 300, tolerance = 0 } = options;
  const clusters = start.shape[0];
  checkRows('lloyd', x, clusters);
  if (start.rank !== 2 || start.shape[1] !== x.shape[1]) {
    throw new RangeError(`lloyd: the start is [${start.shape}]; expected [clusters, ${x.shape[1]}], as x has columns`);
  }
  const limit = tolerance > 0 ? tolerance * (await scopedNumber(() => x.var({ dim: 0, correction: 0 }).mean())) : 0;
  let centres = start.retain();
  let previous: Int32Array | undefined;
  let moved = 0;
  for (let iterations = 1; ; iterations++) {
    const found = assign(x, centres);
    const { counts, next, shift, empty, inertia } = scope(() => {
      const { counts, sums } = sumByCluster(found, clusters);
      const step = div(sums, maximum(counts, 1).unsqueeze(1));
      return {
        counts,
        next: centres.add(step),
        shift: step.square().sum(),
        empty: cast(counts.eq(0), 'f32').sum(),
        inertia: found.distances.sum(),
      };
    });
    const [labels, emptyNow, shiftNow, inertiaNow] = await Promise.all([
      found.labels.data() as Promise<Int32Array>,
      empty.item(),
      shift.item(),
      inertia.item(),
    ]);
    for (const scalar of [shift, empty, inertia]) scalar.dispose();
    if (!Number.isFinite(inertiaNow)) {
      throw new RangeError('lloyd: x or the start has values that are not finite (NaN or infinite)');
    }
    const settled = previous !== undefined && labels.every((label, i) => label === previous?.[i]);
    const ends = settled || iterations >= maxIterations || (emptyNow === 0 && shiftNow <= limit);
    const release = (...others: Tensor[]) => {
      for (const each of [found.residuals, found.distances, counts, ...others]) each.dispose();
    };
    if (ends) {
      release(next);
      return { centres, labels: found.labels, inertia: inertiaNow, iterations, moved };
    }
    previous = labels;
    let after = next;
    if (emptyNow > 0) {
      after = relocate(x, centres, found, counts);
      next.dispose();
      moved += emptyNow;
    }
    release(found.labels, centres);
    centres = after;
  }
}

async function scopedNumber(body: () => Tensor): Promise<number> {
  const value = scope(body);
  const number = await value.item();
  value.dispose();
  return number;
}

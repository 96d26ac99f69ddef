import {
  argmin,
  concat,
  cumsum,
  indexSelect,
  minimum,
  mul,
  scope,
  searchSorted,
  sum,
  type Tensor,
  tensor,
} from '@dawnchorus/tensor';
import type { HostRandom } from '../random.ts';
import { checkRows, squaredDistances } from './assign.ts';

/**
 * Starting centres by greedy k-means++ (Arthur and Vassilvitskii, 2007), as scikit-learn does it: the first row is drawn
 * uniformly; each further centre is the best of 2 + floor(ln clusters) rows, drawn in proportion to their squared distance
 * to the centres so far. All choices are made on the device; the draws depend on `random` alone.
 *
 * @param x - f32 [rows, dimension].
 * @returns the centres, f32 [clusters, dimension], and which rows they are, i32 [clusters]. Where x has fewer distinct
 *   rows than clusters, some centres are equal.
 * @throws RangeError when there are fewer rows than clusters.
 */
export function kMeansPlusPlus(x: Tensor, clusters: number, random: HostRandom): { centres: Tensor; rows: Tensor } {
  checkRows('kMeansPlusPlus', x, clusters);
  const { device } = x;
  const count = x.shape[0];
  const trials = 2 + Math.floor(Math.log(clusters));
  const first = random.integer(0, count - 1);
  const draws = Float32Array.from({ length: (clusters - 1) * trials }, () => random.uniform());
  return scope(() => {
    const all = tensor(draws, { shape: [clusters - 1, trials], device });
    const chosen = [tensor(Int32Array.of(first), { device })];
    // [rows, 1]: to the nearest centre so far.
    let closest = squaredDistances(x, indexSelect(x, 0, chosen[0]));
    for (let i = 1; i < clusters; i++) {
      const next = scope(() => {
        const cumulative = cumsum(closest.reshape([count]), { dim: 0 });
        const thresholds = mul(all.select(0, i - 1), cumulative.sliceAxis(0, count - 1, count));
        // Strictly above the threshold, so that a row at distance 0 is drawn only where there is no other.
        const candidates = minimum(searchSorted(cumulative, thresholds, { right: true }), count - 1);
        const distances = minimum(squaredDistances(x, indexSelect(x, 0, candidates)), closest);
        const best = argmin(sum(distances, { dim: 0 }), { dim: 0 }).reshape([1]);
        return { row: indexSelect(candidates, 0, best), closest: indexSelect(distances, 1, best) };
      });
      closest.dispose();
      closest = next.closest;
      chosen.push(next.row);
    }
    const rows = concat(chosen);
    return { centres: indexSelect(x, 0, rows), rows };
  });
}

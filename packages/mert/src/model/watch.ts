/** What each layer does while it trains: numbers for whoever watches a run. */
import { stopGradient } from '@dawnchorus/autograd';
import { cast, matmul, type Tensor, transpose } from '@dawnchorus/tensor';

/** Scalars of each layer, f32. */
export interface Watch {
  /** The largest attention logit of the first clips; left out where there is no list. */
  attention?: Tensor[];
  /** How many clips those are. */
  clips: number;
  /** The mean square of what goes on to the next layer. */
  activations: Tensor[];
}

/**
 * The largest of the scores of [batch, heads, time, size] queries and keys, of the batch's first `clips`: one tells much, for crops
 * are drawn anew in each step, and all of them cost a step a fortieth of its time and a matrix [clips, heads, time, time].
 */
export function largestLogit(query: Tensor, key: Tensor, scale: number, clips: number): Tensor {
  const [q, k] = [query, key].map((x) => stopGradient(x).sliceAxis(0, 0, Math.min(clips, x.shape[0])));
  return cast(matmul(q.mul(scale), transpose(k)).max(), 'f32');
}

/** The mean of the squares, which halves could not hold. */
export const meanSquare = (x: Tensor): Tensor => cast(stopGradient(x), 'f32').square().mean();

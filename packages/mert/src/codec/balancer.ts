import { add, concat, div, mul, norm, scope, type Tensor, zeros } from '@dawnchorus/tensor';

/** How gradients of losses are weighed against each other. */
export interface BalancerOptions {
  /** Of each loss, relative to the others. */
  weights: readonly number[];
  /** Of the running means of the gradients' norms; encodec's is 0.999. */
  decay?: number;
  /** The norm that all gradients together would have if they pointed the same way. */
  totalNorm?: number;
}

/** Running sums of the norms, and of the weights of what they sum up: [losses] both. */
export interface BalancerState {
  sums: Tensor;
  counts: Tensor;
}

/** The state before the first step. */
export const startBalancer = (losses: number): BalancerState =>
  scope(() => ({ sums: zeros([losses]).retain(), counts: zeros([losses]).retain() }));

/**
 * encodec's loss balancer (Défossez et al., 2022): gradients of several losses with respect to the same output [batch,
 * samples] become one, each divided by the running mean of its norm, so that weights mean shares of the gradient whatever
 * the losses' scales. Changes nothing in place.
 *
 * @returns the joined gradient, the share of each loss in the norms [losses], and the next state.
 */
export function balance(
  gradients: readonly Tensor[],
  { sums, counts }: BalancerState,
  { weights, decay = 0.999, totalNorm = 1 }: BalancerOptions,
): { gradient: Tensor; ratios: Tensor; state: BalancerState } {
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const nextCounts = add(mul(counts, decay), 1);
  const norms = gradients.map((gradient) => norm(gradient, { dim: 1 }).mean());
  const next = norms.map((own, i) => add(mul(sums.sliceAxis(0, i, i + 1), decay), own.reshape([1])));
  const means = next.map((sum, i) => div(sum, nextCounts.sliceAxis(0, i, i + 1)));
  const parts = gradients.map((gradient, i) =>
    mul(gradient, div((weights[i] / total) * totalNorm, add(means[i], 1e-12))),
  );
  const all = means.reduce((sum, mean) => add(sum, mean));
  return {
    gradient: parts.reduce((sum, part) => add(sum, part)),
    ratios: concat(means.map((mean) => div(mean, all))),
    state: { sums: concat(next), counts: nextCounts },
  };
}

/** What trivial guesses would score: the yardsticks beside every loss. */
export interface Baselines {
  /** Mean cross-entropy of always predicting the training labels' frequencies, nats, over codebooks. */
  labelFrequencyLoss: number;
  /** Mean accuracy of always predicting each codebook's most frequent training label. */
  majorityAccuracy: number;
  /** Mean squared error of always predicting the training mean of each CQT bin. */
  cqtMeanLoss: number;
  /** Mean squared error of always predicting silence. */
  cqtZeroLoss: number;
  /** Mean squared error of always predicting the mean spectrum of the very clip: what no guess without hearing it could do. */
  cqtClipLoss?: number;
}

/** Sums over the training targets. */
export interface TargetSums {
  /** Occurrences of each code, one array a codebook. */
  labelCounts: Float64Array[];
  /** Of each CQT bin, over frames. */
  cqtSum: Float64Array;
  cqtSumOfSquares: Float64Array;
  frames: number;
}

const average = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
const total = (values: Float64Array) => values.reduce((sum, value) => sum + value, 0);

/** Scored on the training targets themselves. */
export function trainingBaselines({ labelCounts, cqtSum, cqtSumOfSquares, frames }: TargetSums): Baselines {
  const entropies = labelCounts.map((counts) => {
    const all = total(counts);
    return counts.reduce((sum, count) => (count > 0 ? sum - (count / all) * Math.log(count / all) : sum), 0);
  });
  const majorities = labelCounts.map((counts) => Math.max(...counts) / total(counts));
  const variances = cqtSum.map((sum, bin) => cqtSumOfSquares[bin] / frames - (sum / frames) ** 2);
  return {
    labelFrequencyLoss: average(entropies),
    majorityAccuracy: average(majorities),
    cqtMeanLoss: average([...variances]),
    cqtZeroLoss: average([...cqtSumOfSquares]) / frames,
  };
}

/** Guesses learnt from the training targets, scored on others: labels [codebooks * rows], cqt [rows * bins]. */
export function heldOutBaselines(
  { labelCounts, cqtSum, frames }: TargetSums,
  labels: ArrayLike<number>,
  cqt: ArrayLike<number>,
): Baselines {
  const rows = labels.length / labelCounts.length;
  const losses = labelCounts.map((counts, book) => {
    // One more occurrence of each code keeps an unseen one from costing infinity.
    const all = total(counts) + counts.length;
    let loss = 0;
    for (let i = 0; i < rows; i++) loss -= Math.log((counts[labels[book * rows + i]] + 1) / all);
    return loss / rows;
  });
  const hits = labelCounts.map((counts, book) => {
    const guess = counts.indexOf(Math.max(...counts));
    let count = 0;
    for (let i = 0; i < rows; i++) if (labels[book * rows + i] === guess) count++;
    return count / rows;
  });
  const bins = cqtSum.length;
  let fromMean = 0;
  let fromZero = 0;
  for (let i = 0; i < cqt.length; i++) {
    fromMean += (cqt[i] - cqtSum[i % bins] / frames) ** 2;
    fromZero += cqt[i] ** 2;
  }
  return {
    labelFrequencyLoss: average(losses),
    majorityAccuracy: average(hits),
    cqtMeanLoss: fromMean / cqt.length,
    cqtZeroLoss: fromZero / cqt.length,
  };
}

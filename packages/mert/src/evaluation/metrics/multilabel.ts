/** Ranking metrics of tags, as scikit-learn's `roc_auc_score` and `average_precision_score`, ties included. */

/** Scores of tags. */
export interface MultilabelScores {
  /** Means over the classes that have both examples and counter-examples; NaN when none has. */
  roc_auc_macro: number;
  ap_macro: number;
  /** [classes]; NaN where a class has no example, or nothing but examples. */
  roc_auc_per_class: number[];
  ap_per_class: number[];
}

/** Places of scores in falling order, and where each run of equal scores ends. */
function ranked(truth: ArrayLike<number>, scores: ArrayLike<number>): { order: number[]; positives: number } {
  if (truth.length !== scores.length) {
    throw new RangeError(`multilabel: ${truth.length} labels and ${scores.length} scores; expected as many`);
  }
  let positives = 0;
  for (let i = 0; i < truth.length; i++) {
    if (truth[i] !== 0 && truth[i] !== 1)
      throw new RangeError(`multilabel: label ${i} is ${truth[i]}; expected 0 or 1`);
    if (Number.isNaN(scores[i])) throw new RangeError(`multilabel: score ${i} is not a number`);
    positives += truth[i];
  }
  const order = Array.from({ length: truth.length }, (_, i) => i).sort((a, b) => scores[b] - scores[a]);
  return { order, positives };
}

/** Runs of equal scores, the highest first: how many examples and counter-examples each holds. */
function* runs(truth: ArrayLike<number>, scores: ArrayLike<number>, order: readonly number[]) {
  for (let start = 0; start < order.length; ) {
    let [end, hits] = [start, 0];
    while (end < order.length && scores[order[end]] === scores[order[start]]) hits += truth[order[end++]];
    yield { hits, misses: end - start - hits };
    start = end;
  }
}

/**
 * The probability that an example scores higher than a counter-example, ties counting half (Mann and Whitney).
 *
 * @returns NaN when there are no examples or nothing else.
 */
export function rocAuc(truth: ArrayLike<number>, scores: ArrayLike<number>): number {
  const { order, positives } = ranked(truth, scores);
  const negatives = order.length - positives;
  if (positives === 0 || negatives === 0) return Number.NaN;
  let [above, area] = [0, 0];
  for (const { hits, misses } of runs(truth, scores, order)) {
    area += misses * (above + hits / 2);
    above += hits;
  }
  return area / (positives * negatives);
}

/** The sum of precision times gained recall over distinct thresholds. @returns NaN when there are no examples. */
export function averagePrecision(truth: ArrayLike<number>, scores: ArrayLike<number>): number {
  const { order, positives } = ranked(truth, scores);
  if (positives === 0) return Number.NaN;
  let [hit, seen, sum] = [0, 0, 0];
  for (const { hits, misses } of runs(truth, scores, order)) {
    hit += hits;
    seen += hits + misses;
    sum += (hits / positives) * (hit / seen);
  }
  return sum;
}

const meanOf = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * ROC-AUC and average precision of each class and their means.
 *
 * @param y labels, 0 or 1, [clips][classes].
 * @param s scores, [clips][classes].
 * @throws RangeError when the shapes differ, or labels are neither 0 nor 1.
 */
export function multilabel(y: readonly ArrayLike<number>[], s: readonly ArrayLike<number>[]): MultilabelScores {
  if (y.length !== s.length || y.length === 0 || y.some((row, i) => row.length !== s[i].length)) {
    throw new RangeError(
      `multilabel: labels of ${y.length} clips and scores of ${s.length}; expected the same shape, [clips][classes]`,
    );
  }
  const classes = Array.from({ length: y[0].length }, (_, k) => {
    const [truth, scores] = [y.map((row) => row[k]), s.map((row) => row[k])];
    const roc = rocAuc(truth, scores);
    return { roc, ap: Number.isNaN(roc) ? Number.NaN : averagePrecision(truth, scores) };
  });
  const usable = classes.filter(({ roc }) => !Number.isNaN(roc));
  return {
    roc_auc_macro: meanOf(usable.map(({ roc }) => roc)),
    ap_macro: meanOf(usable.map(({ ap }) => ap)),
    roc_auc_per_class: classes.map(({ roc }) => roc),
    ap_per_class: classes.map(({ ap }) => ap),
  };
}

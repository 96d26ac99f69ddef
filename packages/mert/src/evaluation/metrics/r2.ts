/** The coefficient of determination, as scikit-learn's `r2_score`. */

/** R2 of regressions. */
export interface R2Scores {
  per_output: number[];
  /** Their mean. */
  uniform_average: number;
}

/**
 * 1 - residual / total sum of squares of each output; of a constant target 1 if it was met exactly, else 0.
 *
 * @param t targets [clips][outputs].
 * @param p predictions [clips][outputs].
 * @throws RangeError when the shapes differ or there are fewer than two clips.
 */
export function r2(t: readonly ArrayLike<number>[], p: readonly ArrayLike<number>[]): R2Scores {
  if (t.length !== p.length || t.length < 2 || t.some((row, i) => row.length !== p[i].length)) {
    throw new RangeError(
      `r2: targets of ${t.length} clips and predictions of ${p.length}; expected the same shape [clips][outputs], and two clips at least`,
    );
  }
  const per_output = Array.from({ length: t[0].length }, (_, k) => {
    const mean = t.reduce((sum, row) => sum + row[k], 0) / t.length;
    let [residual, total] = [0, 0];
    for (const [i, row] of t.entries()) {
      residual += (row[k] - p[i][k]) ** 2;
      total += (row[k] - mean) ** 2;
    }
    // The mean of equal numbers need not be that number.
    if (t.every((row) => row[k] === t[0][k])) return residual === 0 ? 1 : 0;
    return 1 - residual / total;
  });
  return { per_output, uniform_average: per_output.reduce((sum, value) => sum + value, 0) / per_output.length };
}

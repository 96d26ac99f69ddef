/** Metrics of one class out of several. */

/** Scores of classes. */
export interface ClassificationScores {
  accuracy: number;
  /** Mean of the classes' F1, as scikit-learn's `f1_score(average='macro')`: of those that occur or were guessed. */
  f1_macro: number;
  /** Recall of each class; NaN for one that does not occur. */
  recall_per_class: number[];
  /** How many of each true class were taken for each: [true][guessed], a last column for none where that was guessed. */
  confusion: number[][];
}

/**
 * Accuracy, macro F1 and the confusion matrix.
 *
 * @param ref true classes, whole numbers below `classes`.
 * @param est guessed ones; `classes` itself stands for none of them, which is wrong for every clip.
 * @throws RangeError when the lists differ in length, are empty, or hold other numbers.
 */
export function classification(ref: ArrayLike<number>, est: ArrayLike<number>, classes: number): ClassificationScores {
  if (ref.length !== est.length || ref.length === 0) {
    throw new RangeError(
      `classification: ${ref.length} true classes and ${est.length} guesses; expected as many, and one at least`,
    );
  }
  const columns = Array.from(est).includes(classes) ? classes + 1 : classes;
  const confusion = Array.from({ length: classes }, () => new Array<number>(columns).fill(0));
  for (let i = 0; i < ref.length; i++) {
    const row = confusion[ref[i]];
    if (row?.[est[i]] === undefined)
      throw new RangeError(
        `classification: ${ref[i]} taken for ${est[i]}; expected whole numbers below ${classes}, or a guess of ${classes} for none of them`,
      );
    row[est[i]]++;
  }
  const own = confusion.map((row, k) => {
    const truth = row.reduce((sum, count) => sum + count, 0);
    const guessed = confusion.reduce((sum, other) => sum + other[k], 0);
    return { hits: row[k], truth, guessed };
  });
  const present = own.filter(({ truth, guessed }) => truth + guessed > 0);
  return {
    accuracy: own.reduce((sum, { hits }) => sum + hits, 0) / ref.length,
    f1_macro:
      present.reduce((sum, { hits, truth, guessed }) => sum + (2 * hits) / (truth + guessed), 0) / present.length,
    recall_per_class: own.map(({ hits, truth }) => hits / truth),
    confusion,
  };
}

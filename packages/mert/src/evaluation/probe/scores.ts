/** From predictions to the numbers of a table. */

import type { TaskData } from '../data.ts';
import { classification, keyIndex, multilabel, r2, weightedKeyScore } from '../metrics/index.ts';

/** What predictions of a split scored. Undefined values, such as the ROC-AUC of a tag without an example, are null. */
export interface Scores {
  /** By the names of the task's metrics, and more where they are to be had. */
  metrics: Record<string, number>;
  perClass: { name: string; values: Record<string, number | null>; examples: number }[];
  /** [true][guessed], of a choice among classes; a last column of guesses that are none of them, where there are any. */
  confusion?: number[][];
}

/**
 * Of a song: what the head said, and what is true: 0 and 1 by class, or numbers. A logit more than there are classes says
 * that it is none of them.
 */
export interface Prediction {
  song: string;
  logits: Float64Array;
  truth: readonly number[];
}

const finite = (value: number): number | null => (Number.isFinite(value) ? value : null);

/** The place of the largest number. */
export function argmax(values: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i] > values[best]) best = i;
  return best;
}

/** Whether the classes are keys, in whatever spelling. @throws Error for one that is none, where the score of keys decides. */
function areKeys({ name, metrics, classes }: TaskData): boolean {
  if (!metrics.includes('weighted_score')) return false;
  try {
    for (const own of classes) keyIndex(own);
    return true;
  } catch (cause) {
    if (metrics[0] !== 'weighted_score') return false;
    const how = 'rename the class, or let another metric come first';
    throw new Error(`${name}: its first metric is weighted_score, but ${(cause as Error).message}; ${how}`, { cause });
  }
}

function scoreClasses(data: TaskData, predictions: readonly Prediction[]): Scores {
  const [ref, est] = [predictions.map(({ truth }) => argmax(truth)), predictions.map(({ logits }) => argmax(logits))];
  const own = classification(ref, est, data.classes.length);
  return {
    metrics: {
      accuracy: own.accuracy,
      f1_macro: own.f1_macro,
      ...(areKeys(data) && {
        // A guess of none has no name, and scores 0.
        weighted_score: weightedKeyScore(
          ref.map((k) => data.classes[k]),
          est.map((k) => data.classes[k]),
        ),
      }),
    },
    perClass: data.classes.map((name, k) => ({
      name,
      values: { recall: finite(own.recall_per_class[k]) },
      examples: own.confusion[k].reduce((sum, count) => sum + count, 0),
    })),
    confusion: own.confusion,
  };
}

function scoreTags(data: TaskData, predictions: readonly Prediction[]): Scores {
  const own = multilabel(
    predictions.map(({ truth }) => truth),
    predictions.map(({ logits }) => logits),
  );
  return {
    metrics: { roc_auc_macro: own.roc_auc_macro, ap_macro: own.ap_macro },
    perClass: data.classes.map((name, k) => ({
      name,
      values: { roc_auc: finite(own.roc_auc_per_class[k]), ap: finite(own.ap_per_class[k]) },
      examples: predictions.reduce((sum, { truth }) => sum + truth[k], 0),
    })),
  };
}

function scoreNumbers(data: TaskData, predictions: readonly Prediction[]): Scores {
  const own = r2(
    predictions.map(({ truth }) => truth),
    predictions.map(({ logits }) => logits),
  );
  return {
    metrics: {
      r2: own.uniform_average,
      ...Object.fromEntries(data.classes.map((name, k) => [`r2_${name}`, own.per_output[k]])),
    },
    perClass: data.classes.map((name, k) => ({
      name,
      values: { r2: own.per_output[k] },
      examples: predictions.length,
    })),
  };
}

/** The scores of songs in one of the tasks whose windows are heard as a whole. */
export function scoreSongs(data: TaskData, predictions: readonly Prediction[]): Scores {
  if (predictions.length === 0) throw new Error(`${data.name}: there is nothing to score`);
  if (data.task.kind === 'multiclass') return scoreClasses(data, predictions);
  return data.task.kind === 'multilabel' ? scoreTags(data, predictions) : scoreNumbers(data, predictions);
}

/** What no features at all would score: the most frequent class, or the mean, of training. */
export function chanceScores(
  data: TaskData,
  train: readonly Prediction[],
  test: readonly Prediction[],
): Record<string, number> {
  const mean = new Float64Array(data.classes.length);
  for (const { truth } of train) for (const [k, value] of truth.entries()) mean[k] += value / train.length;
  const guesses = test.map((own) => ({ ...own, logits: mean }));
  return scoreSongs(data, guesses).metrics;
}

/** What each kind of task gives to the sweep over layers, rates and seeds. */
import type { Scores } from './scores.ts';

/** Test scores of a head, with the validation scores that it was chosen by. */
export interface Judgement {
  valid: Record<string, number>;
  test: Scores;
  /** What else was chosen on validation. */
  details: Record<string, string>;
}

/** A head that has learned. */
export interface Trained {
  /** The best score on validation: more is better. */
  valid: number;
  /** The pass over the training data that it is of, and how many there were. */
  pass: number;
  passes: number;
  /** Scores it. */
  judge(): Promise<Judgement>;
  dispose(): void;
}

/** A task with the features of some layers. */
export interface Opened {
  /** @param checkStopped asked after each pass; it throws to stop. */
  train(rate: number, seed: number, checkStopped?: () => void): Promise<Trained>;
}

/** A task. */
export interface Prober {
  counts: { train: number; valid: number; test: number };
  /** The rates to choose from, where they are not the settings’. */
  rates?: readonly number[];
  /** Whether a sweep is the learned sum alone. */
  sumOnly?: boolean;
  open(layers: readonly number[]): Promise<Opened>;
  /** What would be scored without features. */
  chance(): Record<string, number> | Promise<Record<string, number>>;
  dispose(): void;
}

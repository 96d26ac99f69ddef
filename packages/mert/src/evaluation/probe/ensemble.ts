/** How predictions of the windows of a song become one. */
import { argmax, type Prediction } from './scores.ts';

/** MARBLE's strategies: the mean of logits or of probabilities, the largest logit, or the class that most windows chose. */
export const strategies = ['gmean', 'mean', 'max', 'vote'] as const;
export type Strategy = (typeof strategies)[number];

function softmax(logits: Float64Array): Float64Array {
  const most = Math.max(...logits);
  const weights = logits.map((value) => Math.exp(value - most));
  const sum = weights.reduce((total, value) => total + value, 0);
  return weights.map((value) => value / sum);
}

const mean = (rows: readonly Float64Array[]): Float64Array =>
  rows[0].map((_, k) => rows.reduce((sum, row) => sum + row[k], 0) / rows.length);

const ways: Record<Strategy, (windows: readonly Float64Array[]) => Float64Array> = {
  gmean: mean,
  mean: (windows) => mean(windows.map(softmax)),
  max: (windows) => windows[0].map((_, k) => Math.max(...windows.map((row) => row[k]))),
  vote: (windows) => mean(windows.map((row) => row.map((_, k) => (k === argmax(row) ? 1 : 0)))),
};

/** One prediction a song, in the order in which songs first come. */
export function ensemble(windows: readonly Prediction[], strategy: Strategy): Prediction[] {
  const songs = new Map<string, Prediction[]>();
  for (const own of windows) songs.set(own.song, [...(songs.get(own.song) ?? []), own]);
  return [...songs.values()].map((all) => ({ ...all[0], logits: ways[strategy](all.map(({ logits }) => logits)) }));
}

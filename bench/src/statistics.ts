/** Milliseconds of a case's runs. */
export interface Summary {
  medianMs: number;
  minMs: number;
  maxMs: number;
  runs: number;
}

/** The median of an even number is the mean of the two in the middle. */
export function summarise(times: readonly number[]): Summary {
  if (times.length === 0) throw new RangeError('summarise: no times');
  const sorted = times.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const medianMs = sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
  return { medianMs, minMs: sorted[0], maxMs: sorted[sorted.length - 1], runs: sorted.length };
}

const FEWEST = 5;
export const USUAL_RUNS = 20;
const MOST = 100;
/** Cases that take longer than these get fewer runs; shorter ones get more, up to this. */
const MOST_MILLISECONDS = 60_000;
const SHORT_MILLISECONDS = 500;

/**
 * How often to run what takes `milliseconds` once: 20 to 100 times, fewer (5 at least) only where 20 of them take more than
 * `most` milliseconds.
 */
export function plannedRuns(milliseconds: number, most = MOST_MILLISECONDS): number {
  const slow = Math.max(FEWEST, Math.floor(most / milliseconds));
  const quick = Math.min(MOST, Math.max(USUAL_RUNS, Math.floor(SHORT_MILLISECONDS / milliseconds)));
  return Math.min(slow, quick);
}

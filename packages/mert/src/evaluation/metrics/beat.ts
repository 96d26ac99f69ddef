/** How well estimated beats meet annotated ones, as mir_eval's `beat.f_measure`. */

/** mir_eval leaves out what lies before, seconds: listeners need time to find the beat. */
export const TRIM_SECONDS = 5;
const WINDOW_SECONDS = 0.07;

/** Scores of estimated beats. */
export interface BeatScores {
  /** F-measure at 70 ms of all beats. */
  f70ms: number;
  /** The same of the beats from 5 s on, which is mir_eval's `evaluate`. */
  f70ms_trimmed: number;
}

function checkTimes(role: string, times: readonly number[]): void {
  for (const [i, time] of times.entries()) {
    if (!Number.isFinite(time) || (i > 0 && time < times[i - 1])) {
      throw new RangeError(`beat: ${role} is no list of ascending seconds (number ${i} is ${time}); sort it first`);
    }
  }
}

/**
 * The F-measure of events: as many as can be are matched one to one with a reference no more than `window` seconds away.
 * Both lists ascend, so that taking the earliest that fits is the best matching.
 *
 * @returns 0 when either list is empty.
 * @throws RangeError when the times do not ascend.
 */
export function eventFMeasure(ref: readonly number[], est: readonly number[], window = WINDOW_SECONDS): number {
  checkTimes('ref', ref);
  checkTimes('est', est);
  if (ref.length === 0 || est.length === 0) return 0;
  let matched = 0;
  for (let i = 0, j = 0; i < ref.length && j < est.length; ) {
    // The comparisons of mir_eval, which differ from |ref - est| <= window in the last bit.
    if (ref[i] < est[j] - window) i++;
    else if (ref[i] > est[j] + window) j++;
    else {
      matched++;
      i++;
      j++;
    }
  }
  const [precision, recall] = [matched / est.length, matched / ref.length];
  return matched === 0 ? 0 : (2 * precision * recall) / (precision + recall);
}

/** F-measures of beats in ascending seconds, with and without those of the first 5 s. */
export function beat(ref: readonly number[], est: readonly number[]): BeatScores {
  const trim = (times: readonly number[]) => times.filter((time) => time >= TRIM_SECONDS);
  return { f70ms: eventFMeasure(ref, est), f70ms_trimmed: eventFMeasure(trim(ref), trim(est)) };
}

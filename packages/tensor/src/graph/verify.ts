/**
 * When to run a function on paper again and compare it with its trace, to find closure values that changed: `regular`
 * (before calls 2, 4, 8, … 256, then at least once in 256 calls, and as often as that takes a fiftieth of the time; the
 * default), `always`, or `never`.
 */
export type VerifyMode = 'regular' | 'always' | 'never';

/** Calls between two comparisons, at most. */
export const MOST_CALLS = 256;
/** The part of the time that comparisons beyond those may take. */
const SHARE = 0.02;

const isPowerOfTwo = (count: number) => (count & (count - 1)) === 0;

/** Keeps count of one trace's calls. `now`: milliseconds. */
export function createVerification(mode: VerifyMode, now: () => number = () => performance.now()) {
  let calls = 0;
  let compared = 1;
  let ended = now();
  let cost = Number.POSITIVE_INFINITY;
  let doubtful = false;

  function isDue(): boolean {
    if (mode !== 'regular') return mode === 'always';
    if (doubtful || calls - compared >= MOST_CALLS) return true;
    if (calls <= MOST_CALLS && isPowerOfTwo(calls)) return true;
    return now() - ended >= cost / SHARE;
  }

  return {
    /** Counts a call, and does `compare` where that is due. One that throws is due again at the next call. */
    before(compare: () => void): void {
      if (++calls === 1 || !isDue()) return;
      doubtful = true;
      const start = now();
      compare();
      ended = now();
      cost = ended - start;
      compared = calls;
      doubtful = false;
    },
    /** Makes a comparison due at the next call. */
    doubt(): void {
      doubtful = true;
    },
  };
}

export type Verification = ReturnType<typeof createVerification>;

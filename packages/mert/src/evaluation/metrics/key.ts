/** The weighted score of musical keys, as mir_eval's `key.weighted_score` and MIREX until 2017. */

/** The 24 keys in the order of the classes. */
export const keyNames: readonly string[] = ['major', 'minor'].flatMap((mode) =>
  ['C', 'Db', 'D', 'Eb', 'E', 'F', 'Gb', 'G', 'Ab', 'A', 'Bb', 'B'].map((tonic) => `${tonic} ${mode}`),
);

const semitones: Readonly<Record<string, number>> = {
  ...{ 'b#': 0, c: 0, 'c#': 1, db: 1, d: 2, 'd#': 3, eb: 3, e: 4, fb: 4, 'e#': 5, f: 5, 'f#': 6, gb: 6, g: 7 },
  ...{ 'g#': 8, ab: 8, a: 9, 'a#': 10, bb: 10, b: 11, cb: 11 },
};

/** The class of a key such as `C# minor` or `eb major`: its place in `keyNames`. @throws RangeError for what is no key. */
export function keyIndex(key: string): number {
  const [tonic, mode, ...rest] = key.trim().toLowerCase().split(/\s+/);
  const semitone = semitones[tonic];
  if (semitone === undefined || (mode !== 'major' && mode !== 'minor') || rest.length > 0) {
    throw new RangeError(`key: “${key}” is no key; expected a tonic and a mode, such as C# minor`);
  }
  return semitone + (mode === 'minor' ? 12 : 0);
}

/**
 * How near an estimated key is to the true one: 1 the same, 0.5 a fifth above, 0.3 the relative and 0.2 the parallel one.
 */
export function keyScore(ref: string, est: string): number {
  const [truth, guess] = [keyIndex(ref), keyIndex(est)];
  if (truth === guess) return 1;
  const step = (guess - truth + 24) % 12;
  const sameMode = truth < 12 === guess < 12;
  if (sameMode) return step === 7 ? 0.5 : 0;
  if (step === (truth < 12 ? 9 : 3)) return 0.3;
  return step === 0 ? 0.2 : 0;
}

/** The scores of every pair of keys: [true][estimated], in the order of `order`. */
export const key_matrix: {
  readonly order: readonly string[];
  readonly ref_row_est_col: readonly (readonly number[])[];
} = { order: keyNames, ref_row_est_col: keyNames.map((ref) => keyNames.map((est) => keyScore(ref, est))) };

/**
 * The mean score of songs; one for which no key was estimated scores 0.
 *
 * @throws RangeError when the lists differ in length or are empty.
 */
export function weightedKeyScore(ref: readonly string[], est: readonly (string | undefined)[]): number {
  if (ref.length !== est.length || ref.length === 0) {
    throw new RangeError(
      `key: ${ref.length} true keys and ${est.length} estimated ones; expected as many, and one at least`,
    );
  }
  const scores = ref.map((key, i) => {
    const own = est[i];
    return own === undefined ? 0 : keyScore(key, own);
  });
  return scores.reduce((sum, score) => sum + score, 0) / ref.length;
}

/** "Did you mean ...?" for mistyped names. */

/** The candidate nearest to `word`, or to whose beginning it is nearest, ignoring case and separators; undefined if none is near. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const plain = (name: string): string => name.toLowerCase().replace(/[_-]/g, '');
  const wanted = plain(word);
  const distance = (candidate: string): number => {
    const lengths = [candidate.length, wanted.length, wanted.length + 1];
    return Math.min(...lengths.map((length) => editDistance(wanted, plain(candidate).slice(0, length))));
  };
  const scored = candidates.map((candidate) => ({ candidate, distance: distance(candidate) }));
  const near = scored.filter((one) => one.distance <= Math.ceil(wanted.length / 3));
  return near.sort((a, b) => a.distance - b.distance)[0]?.candidate;
}

/** Levenshtein distance: the least number of letters to insert, delete or replace to turn `a` into `b`. */
export function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1));
    }
    row = next;
  }
  return row[b.length]!;
}

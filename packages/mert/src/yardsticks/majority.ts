/** The class that comes most often in training; of several the first. */
export function majorityClass(labels: readonly number[]): number {
  if (labels.length === 0) throw new RangeError('no labels; expected one at least');
  const counts = new Map<number, number>();
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1);
  return [...counts].sort((a, b) => b[1] - a[1] || a[0] - b[0])[0][0];
}

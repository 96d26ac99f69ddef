/** The entropy of how often each of several things occurred, nats; 0 where nothing did. */
export function entropyOf(counts: ArrayLike<number>): number {
  let [total, entropy] = [0, 0];
  for (let i = 0; i < counts.length; i++) total += counts[i];
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] > 0) entropy -= (counts[i] / total) * Math.log(counts[i] / total);
  }
  return entropy;
}

/**
 * Gives each of the intervals a buffer, the largest first: the smallest buffer that is free all the while, else a new one.
 * A buffer is as large as its first tenant, so that none ever grows (greedy by size: Pisarchyk and Lee, "Efficient memory
 * management for deep neural net inference", 2020).
 */
export function placeIntervals(intervals: readonly { first: number; last: number; size: number }[]): {
  place: number[];
  sizes: number[];
} {
  const sizes: number[] = [];
  const tenants: number[][] = [];
  const place = new Array<number>(intervals.length);
  const order = intervals.map((_, i) => i).sort((a, b) => intervals[b].size - intervals[a].size || a - b);
  for (const i of order) {
    const { first, last, size } = intervals[i];
    let best = -1;
    // Sizes fall from buffer to buffer, so the last one that is free is the smallest; of equal ones the first, which is the
    // fullest, leaves long gaps in the others.
    for (let buffer = sizes.length - 1; buffer >= 0 && (best < 0 || sizes[buffer] === sizes[best]); buffer--) {
      if (tenants[buffer].every((j) => intervals[j].last < first || intervals[j].first > last)) best = buffer;
    }
    if (best < 0) {
      best = sizes.length;
      sizes.push(size);
      tenants.push([]);
    }
    tenants[best].push(i);
    place[i] = best;
  }
  return { place, sizes };
}

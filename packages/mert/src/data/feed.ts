/** What is read ahead of the one who needs it, in order. */

/** A queue of results that are asked for before they are needed. */
export interface Feed<T> {
  /** The next result, and the seconds that had to be waited for it. */
  take(): Promise<{ value: T; waited: number } | undefined>;
}

/** Numbers `first` to `last`, each read by `read`, up to `ahead` of them beyond the one that is taken. */
export function createFeed<T>({
  first,
  last,
  ahead,
  read,
}: {
  first: number;
  last: number;
  ahead: number;
  read(number: number): Promise<T>;
}): Feed<T> {
  const queue: Promise<T>[] = [];
  let next = first;
  const fill = () => {
    while (queue.length < ahead && next <= last) {
      const result = read(next++);
      // Whoever takes it gets the error.
      result.catch(() => {});
      queue.push(result);
    }
  };
  fill();
  return {
    async take() {
      if (queue.length === 0) fill();
      const result = queue.shift();
      if (!result) return undefined;
      // What is done with the one before begins first, so that the device has work when this thread reads.
      setImmediate(fill);
      const start = performance.now();
      const value = await result;
      return { value, waited: (performance.now() - start) / 1000 };
    },
  };
}

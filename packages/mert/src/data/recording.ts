/** Signals of any length, read a piece at a time. */

/** A mono signal that is read from start to end, a piece at a time, as often as is asked; `AudioPieces` is one. */
export interface Recording {
  readonly samples: number;
  /** In order, each of `pieceSamples` samples but the last. */
  pieces(pieceSamples?: number): AsyncIterable<Float32Array>;
}

/** A waveform in memory as a recording. */
export function recordingOf(waveform: Float32Array): Recording {
  return {
    samples: waveform.length,
    async *pieces(pieceSamples = 1 << 18) {
      for (let at = 0; at < waveform.length; at += pieceSamples) yield waveform.subarray(at, at + pieceSamples);
    },
  };
}

/** A part [first, end) of a recording; what lies outside it is zeros. */
export interface Span {
  readonly first: number;
  readonly end: number;
}

/** Parts of a recording whose ends do not go backwards, which may overlap: reads the recording once, and holds a part of it. */
export async function* readSpans(
  recording: Recording,
  spans: Iterable<Span>,
): AsyncGenerator<Float32Array, void, undefined> {
  const pieces = recording.pieces()[Symbol.asyncIterator]();
  let held = new Float32Array(0);
  let start = 0;
  try {
    for (const { first, end } of spans) {
      const part = new Float32Array(end - first);
      const [low, high] = [Math.max(0, first), Math.min(recording.samples, end)];
      while (start + held.length < high) {
        const { value, done } = await pieces.next();
        if (done) throw new Error(`a recording of ${recording.samples} samples ended after ${start + held.length}`);
        const kept = held.subarray(Math.min(held.length, Math.max(0, low - start)));
        const joined = new Float32Array(kept.length + value.length);
        joined.set(kept);
        joined.set(value, kept.length);
        start += held.length - kept.length;
        held = joined;
      }
      if (high > low) part.set(held.subarray(low - start, high - start), low - first);
      yield part;
    }
    // The end of a file is looked at, too: damage there is to be found whoever needs the last samples.
    while (!(await pieces.next()).done);
  } finally {
    await pieces.return?.();
  }
}

/** The same values, each asked for before the one before it is taken: files are decoded while the device works. */
export async function* ahead<T>(source: AsyncGenerator<T, void, undefined>): AsyncGenerator<T, void, undefined> {
  let next = source.next();
  try {
    for (;;) {
      const { value, done } = await next;
      if (done) return;
      next = source.next();
      // Whoever takes it gets the error.
      next.catch(() => {});
      yield value;
    }
  } finally {
    await source.return();
  }
}

import type { RandomKey } from '@dawnchorus/tensor';

/** Hands out one stream of random numbers after another. */
export interface KeySequence {
  next(): RandomKey;
}

/** Streams reserved for each step. */
const STREAMS_PER_STEP = 2 ** 20;

/**
 * The keys of one training step: they depend on seed, step and order alone, so a run that is stopped and resumed draws
 * what the unbroken one would have drawn.
 */
export function keySequence(seed: number, step = 0): KeySequence {
  let count = 0;
  return {
    next() {
      if (count >= STREAMS_PER_STEP)
        throw new RangeError(`keySequence: more than ${STREAMS_PER_STEP} draws in one step`);
      return { seed, stream: step * STREAMS_PER_STEP + count++ };
    },
  };
}

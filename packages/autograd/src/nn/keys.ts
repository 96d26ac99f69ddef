import { checkStream, type RandomKey, type Tensor } from '@dawnchorus/tensor';
import { drawKey } from './key-replay.ts';

/** Hands out one stream of random numbers after another. */
export interface KeySequence {
  /** A stream that nothing else draws from. */
  next(): RandomKey;
}

/** @throws TypeError by the name of the layer that was to draw. */
export function checkKeys(layer: string, keys: KeySequence, use = 'for its first values'): void {
  if (typeof keys?.next === 'function') return;
  const given = keys === undefined ? 'missing' : typeof keys;
  throw new TypeError(`${layer}: keys, ${use}, are ${given}; pass nn.keySequence(seed)`);
}

/** Streams reserved for each step. */
const STREAMS_PER_STEP = 2 ** 20;

/**
 * The keys of one training step: they depend on seed, step and order alone, so a run that is stopped and resumed draws
 * what the unbroken one would have drawn.
 *
 * @param step a whole number; or a u32 tensor of one element, which a compiled step takes as an argument. Both give the
 *   same draws.
 */
export function keySequence(seed: number, step: number | Tensor = 0): KeySequence {
  checkStream('keySequence', { seed, stream: typeof step === 'number' ? step * STREAMS_PER_STEP : 0 });
  let count = 0;
  return {
    next: () =>
      drawKey(() => {
        if (count >= STREAMS_PER_STEP)
          throw new RangeError(`keySequence: more than ${STREAMS_PER_STEP} draws in one step`);
        if (typeof step === 'number') return { seed, stream: step * STREAMS_PER_STEP + count++ };
        return { seed, stream: count++, step };
      }),
  };
}

import { apply, fftTables, rfftTables } from '../../src/index.ts';
import { arrayOf, broadcastPart, drawn, pick, type Random } from '../arbitraries.ts';
import * as reference from '../reference/fourier.ts';
import type { OpCases } from './case.ts';

/** Nothing to do, each radix, several passes, large primes and multiples of them. */
const lengths = [1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 24, 33, 64, 65, 67, 120, 131, 134, 257, 512];
const lead = { maxRank: 2, largest: 6 };
/** Relative to the largest value. */
const tolerance = { relative: 1e-6, peak: true };

const scaleFor = (length: number, random: Random) => pick(random, [1, 1 / length, 1 / Math.sqrt(length)]);

/** Draws of each transform, of real numbers by twice the lengths. */
export const fourierDraws = (lengths: readonly number[]) => ({
  fft: drawn(lead, (rows, random) => {
    const length = pick(random, lengths);
    return {
      inputs: [arrayOf([...rows, length, 2], random)],
      attributes: { inverse: random() < 0.5, scale: scaleFor(length, random) },
    };
  }),
  rfft: drawn(lead, (rows, random) => {
    const length = 2 * pick(random, lengths);
    return {
      inputs: [arrayOf([...rows, length], random)],
      attributes: { scale: scaleFor(length, random), interior: pick(random, [1, 2]) },
    };
  }),
  irfft: drawn(lead, (rows, random) => {
    const length = 2 * pick(random, lengths);
    return {
      inputs: [arrayOf([...rows, length / 2 + 1, 2], random)],
      attributes: { length, scale: scaleFor(length, random), interior: pick(random, [1, 2]) },
    };
  }),
});

const draws = fourierDraws(lengths);

// Operations take f32, to which functions cast halves.
export const fourierCases: OpCases<'fft' | 'rfft' | 'irfft' | 'complexMul'> = {
  fft: {
    draws: draws.fft,
    run: ([x], attributes) => apply('fft', [x.cast('f32'), ...fftTables(x.device, x.shape[x.rank - 2])], attributes),
    reference: ([x], attributes) => [reference.fft(x, attributes)],
    tolerance,
  },
  rfft: {
    draws: draws.rfft,
    run: ([x], attributes) => apply('rfft', [x.cast('f32'), ...rfftTables(x.device, x.shape[x.rank - 1])], attributes),
    reference: ([x], attributes) => [reference.rfft(x, attributes)],
    tolerance,
  },
  irfft: {
    draws: draws.irfft,
    run: ([x], attributes) => apply('irfft', [x.cast('f32'), ...rfftTables(x.device, attributes.length)], attributes),
    reference: ([x], attributes) => [reference.irfft(x, attributes)],
    tolerance,
  },
  complexMul: {
    draws: drawn({ maxRank: 4, largest: 700 }, (shape, random) => ({
      inputs: [
        arrayOf([...broadcastPart(shape, random), 2], random),
        arrayOf([...broadcastPart(shape, random), 2], random),
      ],
      attributes: { conjugate: random() < 0.5 },
    })),
    reference: ([a, b], attributes) => [reference.complexMul(a, b, attributes)],
    tolerance: { relative: 1e-6 },
  },
};

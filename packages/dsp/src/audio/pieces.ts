import { resampledLength, resampleKernel, resampleRange, resampleSupport } from '../resample.ts';
import type { ByteSource } from './bytes.ts';
import { monoBlocks, type ReadOptions } from './decode.ts';
import { openAudio } from './open.ts';

/** A mono signal that is read from start to end, a piece at a time. */
export type AudioPieces = {
  /** Samples a second of the pieces. */
  readonly sampleRate: number;
  /** Samples of all pieces together. */
  readonly samples: number;
  /** What the file holds. */
  readonly file: { readonly sampleRate: number; readonly samples: number; readonly channels: number };
  /**
   * The signal in order, in pieces of `pieceSamples` (the last may be shorter), decoded and resampled as they are asked
   * for: memory holds a piece and what the resampler reaches around it. Together they are what `decodeAudio` gives, to
   * the bit. May be called again to start over.
   */
  pieces(pieceSamples?: number): AsyncGenerator<Float32Array, void, undefined>;
};

/**
 * Opens audio to be read in pieces.
 *
 * @throws AudioError as `decodeAudio`; damage and truncation that do not show at once are thrown by `pieces`
 * @throws RangeError when `sampleRate` makes no sense
 */
export async function openPieces(
  source: ByteSource,
  { sampleRate, quality = 'kaiser64' }: Pick<ReadOptions, 'sampleRate' | 'quality'> = {},
): Promise<AudioPieces> {
  const stream = await openAudio(source);
  // Whoever plans by the number of samples may rely on it as far as it can be known.
  await stream.check();
  const { sampleRate: from, frames, channels } = stream;
  const rate = sampleRate ?? from;
  const samples = resampledLength(frames, from, rate);
  return {
    sampleRate: rate,
    samples,
    file: { sampleRate: from, samples: frames, channels },
    async *pieces(pieceSamples = 1 << 18) {
      if (!Number.isInteger(pieceSamples) || pieceSamples < 1) {
        throw new RangeError(`${source.name}: pieces of ${pieceSamples} samples; expected a whole number from 1`);
      }
      const kernel = from === rate ? undefined : resampleKernel(from, rate, quality);
      const blocks = monoBlocks(source.name, stream, 0, frames);
      // The decoded samples from `start` on that the next pieces still need.
      let held: Float32Array[] = [];
      let start = 0;
      let end = 0;
      try {
        for (let first = 0; first < samples; first += pieceSamples) {
          const count = Math.min(pieceSamples, samples - first);
          const support = kernel ? resampleSupport(kernel, first, count) : { first, end: first + count };
          const wanted = Math.min(frames, support.end);
          while (end < wanted) {
            const { value, done } = await blocks.next();
            if (done) break;
            held.push(value);
            end += value.length;
          }
          const input = join(held, Math.max(0, support.first - start));
          start = Math.max(start, support.first);
          held = [input];
          yield kernel ? resampleRange(input, kernel, start, first, count) : input.slice(0, count);
        }
        // What the file ends with may be damaged behind the last sample that was needed.
        while (!(await blocks.next()).done);
      } finally {
        // Decoders are freed also when the pieces are not read to their end.
        await blocks.return();
      }
    },
  };
}

/** The parts joined, without the first `dropped` samples. */
function join(parts: readonly Float32Array[], dropped: number): Float32Array {
  if (parts.length === 1) return parts[0].subarray(dropped);
  const joined = new Float32Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined.subarray(dropped);
}

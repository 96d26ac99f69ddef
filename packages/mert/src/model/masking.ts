import { type HostRandom, sampleWithoutReplacement } from '../random.ts';

/** How many spans of frames are masked. */
export interface MaskingOptions {
  /** Share of frames that the spans would cover if none overlapped. */
  probability: number;
  /** Frames of a span. */
  length: number;
  /** Least number of spans. */
  minMasks: number;
}

/** Masked frames of one clip, sorted: spans at random starts, as fairseq's compute_mask_indices (static lengths). */
function spanFrames(random: HostRandom, frames: number, { probability, length, minMasks }: MaskingOptions): number[] {
  const wanted = Math.floor((probability * frames) / length + random.uniform());
  const spans = Math.max(minMasks, wanted);
  if (spans === 0) return [];
  // Where the spans do not fit, the starts may come closer to the end, and what hangs over is cut.
  const shortest = frames - length <= spans ? frames - spans - 1 : length;
  const starts = sampleWithoutReplacement(
    random,
    Math.max(1, frames - shortest),
    Math.min(spans, Math.max(1, frames - shortest)),
  );
  const masked = new Set<number>();
  for (const start of starts) for (let t = start; t < Math.min(frames, start + length); t++) masked.add(t);
  return [...masked].sort((a, b) => a - b);
}

/**
 * Masks of a batch, as fairseq draws them: every clip ends with as many masked frames as the one that has fewest, single
 * frames being given back at random.
 *
 * @returns a row of 0 and 1 for each clip, [batch][frames].
 * @throws RangeError when a clip would be masked whole.
 */
export function maskBatch(random: HostRandom, batch: number, frames: number, options: MaskingOptions): Uint8Array[] {
  const drawn = Array.from({ length: batch }, () => spanFrames(random, frames, options));
  const fewest = Math.min(...drawn.map((masked) => masked.length));
  return drawn.map((masked) => {
    if (masked.length >= frames) {
      throw new RangeError(
        `masking: all ${frames} frames of a clip would be masked; use longer clips or a lower masking.probability`,
      );
    }
    const kept =
      masked.length === fewest ? masked : sampleWithoutReplacement(random, masked.length, fewest).map((i) => masked[i]);
    const row = new Uint8Array(frames);
    for (const t of kept) row[t] = 1;
    return row;
  });
}

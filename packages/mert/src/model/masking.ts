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

/** Masking that changes while a run goes on, and what stands in for masked frames. */
export interface MaskingPlan extends MaskingOptions {
  /** Share of the masked frames that another frame stands in for. */
  replace: number;
  replaceFrom: 'sample' | 'batch';
  /** Share of the masked frames that are heard all the same. */
  keep: number;
  /** Other probabilities and lengths from some steps on. */
  schedule: readonly { fromStep: number; probability?: number; length?: number }[];
}

/** What holds for a step: of each setting the last that the schedule has by then. */
export function maskingAt({ schedule, ...plan }: MaskingPlan, step: number): Omit<MaskingPlan, 'schedule'> {
  const past = schedule.filter(({ fromStep }) => fromStep <= step);
  return {
    ...plan,
    probability: past.findLast((entry) => entry.probability !== undefined)?.probability ?? plan.probability,
    length: past.findLast((entry) => entry.length !== undefined)?.length ?? plan.length,
  };
}

/** Frames of a clip that may be masked at most, in any step: room for them makes all batches alike. */
export function mostMasked(plan: MaskingPlan, frames: number): number {
  const steps = [1, ...plan.schedule.map(({ fromStep }) => fromStep)];
  const each = steps.map((step) => {
    const { probability, length, minMasks } = maskingAt(plan, step);
    return Math.max(minMasks, Math.floor((probability * frames) / length + 1)) * length;
  });
  return Math.max(1, Math.min(frames - 1, Math.max(...each)));
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

/** What the transformer gets in the place of masked frames. */
export interface MaskedInput {
  /** A row of 0 and 1 for each clip: the frames that the learnt mask stands in for. */
  hidden: Uint8Array[];
  /** Which frame stands in the place of each of [batch * frames], itself for most. */
  from: Int32Array;
}

/**
 * Which of the masked frames are heard all the same, and which are another frame, drawn without replacement: each masked
 * frame for itself by the shares `keep` and `replace`. All are predicted.
 */
export function drawReplacements(
  random: HostRandom,
  masks: readonly Uint8Array[],
  { keep, replace, replaceFrom }: Pick<MaskingPlan, 'keep' | 'replace' | 'replaceFrom'>,
): MaskedInput {
  const frames = masks[0].length;
  const from = Int32Array.from({ length: masks.length * frames }, (_, at) => at);
  const hidden = masks.map((mask) => mask.slice());
  const replaced: number[][] = masks.map((mask, b) => {
    const own: number[] = [];
    for (let t = 0; t < frames; t++) {
      if (!mask[t]) continue;
      const draw = random.uniform();
      if (draw >= keep + replace) continue;
      hidden[b][t] = 0;
      if (draw >= keep) own.push(b * frames + t);
    }
    return own;
  });
  if (replaceFrom === 'batch') {
    const all = replaced.flat();
    const sources = sampleWithoutReplacement(random, from.length, all.length);
    for (const [i, at] of all.entries()) from[at] = sources[i];
  } else {
    for (const [b, own] of replaced.entries()) {
      const sources = sampleWithoutReplacement(random, frames, own.length);
      for (const [i, at] of own.entries()) from[at] = b * frames + sources[i];
    }
  }
  return { hidden, from };
}

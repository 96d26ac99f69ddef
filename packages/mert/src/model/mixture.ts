import type { HostRandom } from '../random.ts';

/** How clips of a batch are mixed with parts of others. */
export interface MixtureOptions {
  /** Probability that a clip is mixed with parts of others. */
  probability: number;
  /** Least and greatest number of parts, both included. */
  numberRange: readonly [number, number];
  /** Shortest and longest part, samples, both included. */
  lengthRange: readonly [number, number];
  /** Amplitude factor. */
  volume: number;
}

/** A part of the pool (all other clips of the batch, one after another) and where it is added. */
export interface MixtureDraw {
  start: number;
  length: number;
  position: number;
}

/** What is mixed into each clip; an empty list leaves it clean. A batch of one has nothing to mix in. */
export function drawMixture(
  random: HostRandom,
  batch: number,
  samples: number,
  options: MixtureOptions,
): MixtureDraw[][] {
  const pool = (batch - 1) * samples;
  const longest = Math.min(options.lengthRange[1], samples, pool);
  const shortest = Math.min(options.lengthRange[0], longest);
  return Array.from({ length: batch }, () => {
    if (batch < 2 || random.uniform() >= options.probability) return [];
    const count = random.integer(...options.numberRange);
    return Array.from({ length: count }, () => {
      const length = random.integer(shortest, longest);
      return { start: random.integer(0, pool - longest), length, position: random.integer(0, samples - length) };
    });
  });
}

/**
 * In-batch noise mixture (Li et al., 2024): adds parts of the other clips, clean, at full level. Parts may overlap, and
 * nothing is scaled or clipped. Returns new arrays; the clean batch stays as it was.
 */
export function mix(
  clips: readonly Float32Array[],
  draws: readonly (readonly MixtureDraw[])[],
  volume: number,
): Float32Array[] {
  return clips.map((clip, i) => {
    const out = clip.slice();
    const others = clips.filter((_, j) => j !== i);
    for (const { start, length, position } of draws[i]) {
      for (let t = 0; t < length; t++) {
        const at = start + t;
        out[position + t] += volume * others[Math.floor(at / clip.length)][at % clip.length];
      }
    }
    return out;
  });
}

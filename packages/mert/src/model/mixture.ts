import { arange, ge, gt, indexSelect, logicalAnd, lt, maximum, type Tensor, tensor, where } from '@dawnchorus/tensor';
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
  /**
   * Least and greatest level of a clip over the clip that its part is of, dB. Where it is given, a clip gets one part, of one
   * other clip, scaled to a level drawn evenly (WavLM: Chen et al., 2022), and neither numberRange nor volume counts.
   */
  snr?: readonly [number, number] | null;
}

/** A part of the pool (all other clips of the batch, one after another) and where it is added. */
export interface MixtureDraw {
  start: number;
  length: number;
  position: number;
  /** Level of the whole clip over the whole clip that the part is of, dB; without it the part has the mixture's volume. */
  snr?: number;
}

/** What is mixed into each clip; an empty list leaves it clean. A batch of one has nothing to mix in. */
export function drawMixture(
  random: HostRandom,
  batch: number,
  samples: number,
  options: MixtureOptions,
): MixtureDraw[][] {
  const { snr } = options;
  const pool = (batch - 1) * samples;
  const longest = Math.min(options.lengthRange[1], samples, pool);
  const shortest = Math.min(options.lengthRange[0], longest);
  return Array.from({ length: batch }, () => {
    if (batch < 2 || random.uniform() >= options.probability) return [];
    if (snr) {
      const length = random.integer(shortest, longest);
      const start = random.integer(0, batch - 2) * samples + random.integer(0, samples - length);
      const level = snr[0] + (snr[1] - snr[0]) * random.uniform();
      return [{ start, length, position: random.integer(0, samples - length), snr: level }];
    }
    const count = random.integer(...options.numberRange);
    return Array.from({ length: count }, () => {
      const length = random.integer(shortest, longest);
      return { start: random.integer(0, pool - longest), length, position: random.integer(0, samples - length) };
    });
  });
}

/** Mean square. */
const energy = (clip: Float32Array): number => clip.reduce((sum, x) => sum + x * x, 0) / clip.length;

/** The factor of a part whose clip is to be `snr` dB under another. A silent clip stays silent. */
const scaleFor = (snr: number, own: number, other: number): number =>
  Math.sqrt(own / (10 ** (snr / 10) * Math.max(other, SILENCE)));
const SILENCE = 1e-12;

/**
 * In-batch noise mixture (Li et al., 2024): adds parts of the other clips, clean, at full level. Parts may overlap, and
 * nothing is clipped. Returns new arrays; the clean batch stays as it was. On the host; `mixOnDevice` does the same.
 */
export function mix(
  clips: readonly Float32Array[],
  draws: readonly (readonly MixtureDraw[])[],
  volume: number,
): Float32Array[] {
  return clips.map((clip, i) => {
    const out = clip.slice();
    const others = clips.filter((_, j) => j !== i);
    for (const { start, length, position, snr } of draws[i]) {
      const source = others[Math.floor(start / clip.length)];
      const factor = snr === undefined ? volume : scaleFor(snr, energy(clip), energy(source));
      for (let t = 0; t < length; t++) {
        const at = start + t;
        out[position + t] += factor * others[Math.floor(at / clip.length)][at % clip.length];
      }
    }
    return out;
  });
}

/** The draws of a batch on the GPU: [most parts of a clip, batch]; what there is no part for has length 0. */
export interface UploadedMixture {
  /** i32 */
  start: Tensor;
  length: Tensor;
  position: Tensor;
  /** f32: dB, or what the amplitude is multiplied by. */
  level: Tensor;
}

/** Most parts that a clip may get. */
const mostParts = ({ numberRange, snr }: MixtureOptions): number => (snr ? 1 : numberRange[1]);

/** Brings the draws of a batch onto the GPU. */
export function uploadMixture(draws: readonly (readonly MixtureDraw[])[], options: MixtureOptions): UploadedMixture {
  const shape = [mostParts(options), draws.length];
  const all = Array.from({ length: shape[0] }, (_, k) => draws.map((parts) => parts[k])).flat();
  const whole = (key: 'start' | 'length' | 'position') =>
    tensor(
      Int32Array.from(all, (part) => part?.[key] ?? 0),
      { shape },
    );
  return {
    start: whole('start'),
    length: whole('length'),
    position: whole('position'),
    level: tensor(
      Float32Array.from(all, (part) => part?.snr ?? options.volume),
      { shape },
    ),
  };
}

/**
 * What `mix` does, on the GPU.
 *
 * @param clean f32 [batch, samples].
 * @param options whether levels are dB.
 */
export function mixOnDevice(clean: Tensor, mixture: UploadedMixture, { snr }: Pick<MixtureOptions, 'snr'>): Tensor {
  const [batch, samples] = clean.shape;
  const flat = clean.reshape([-1]);
  const time = arange(samples).reshape([1, samples]);
  // A clip is no part of its own pool.
  const own = arange(batch).mul(samples).reshape([batch, 1]);
  const energies = snr ? clean.square().mean({ dim: 1 }) : undefined;
  let out = clean;
  for (let k = 0; k < mixture.start.shape[0]; k++) {
    const column = (values: Tensor) => values.select(0, k).reshape([batch, 1]);
    const [start, length, position] = [mixture.start, mixture.length, mixture.position].map(column);
    const inPool = (at: Tensor) => where(ge(at, own), at.add(samples), at);
    const inside = logicalAnd(ge(time, position), lt(time, position.add(length)));
    const at = where(inside, inPool(time.sub(position).add(start)), 0);
    let factor = column(mixture.level);
    if (energies) {
      const source = inPool(start).floorDivide(samples);
      const other = maximum(indexSelect(energies, 0, source.reshape([-1])), SILENCE).reshape([batch, 1]);
      const ratio = factor
        .mul(Math.LN10 / 10)
        .exp()
        .mul(other);
      const quiet = energies.reshape([batch, 1]);
      // sqrt(quiet / ratio), of which nothing is left where the clip is silent.
      factor = where(gt(quiet, 0), quiet.div(ratio).sqrt(), 0);
    }
    const part = indexSelect(flat, 0, at.reshape([-1])).reshape([batch, samples]);
    out = out.add(where(inside, part.mul(factor), 0));
  }
  return out;
}

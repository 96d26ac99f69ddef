import { abs, add, log10, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import { MEL_FLOOR, melLossDefaults, melPower } from './mel-loss.ts';

/**
 * Scale-invariant signal-to-distortion ratio in dB (Le Roux et al., 2019), means removed: how much of the estimate is a
 * multiple of the target. NaN where the target is silent.
 */
export function siSdr(estimate: ArrayLike<number>, target: ArrayLike<number>): number {
  const n = target.length;
  let [meanE, meanT] = [0, 0];
  for (let i = 0; i < n; i++) {
    meanE += estimate[i] / n;
    meanT += target[i] / n;
  }
  let [cross, power] = [0, 0];
  for (let i = 0; i < n; i++) {
    cross += (estimate[i] - meanE) * (target[i] - meanT);
    power += (target[i] - meanT) ** 2;
  }
  if (!(power > 0)) return Number.NaN;
  const scale = cross / power;
  let noise = 0;
  for (let i = 0; i < n; i++) noise += (estimate[i] - meanE - scale * (target[i] - meanT)) ** 2;
  return 10 * Math.log10((scale ** 2 * power + 1e-20) / (noise + 1e-20));
}

/** Samples of a frame of the mel distance: 1024. */
const SCALE = 10;

/** Log-mel power of a waveform of any length, in dB. */
function decibels(samples: Float32Array): Tensor {
  const padded = samples.length > 1024 ? samples : Float32Array.from({ length: 1025 }, (_, i) => samples[i] ?? 0);
  const power = melPower(tensor(padded, { shape: [1, padded.length] }), SCALE, melLossDefaults);
  return log10(add(power, MEL_FLOOR)).mul(10);
}

/** The mean absolute difference of log-mel powers in dB: 64 filters from 64 Hz, frames of 1024 samples, 1e-5 added. */
export async function melDistance(estimate: Float32Array, target: Float32Array): Promise<number> {
  const distance = scope(() => abs(decibels(estimate).sub(decibels(target))).mean());
  const value = (await distance.item()) as number;
  distance.dispose();
  return value;
}

/** How a codebook is used. */
export interface CodeUse {
  /** Bits of how often each code occurs. */
  entropy: number;
  /** The same as a share of the most it can be, log2 of the size. */
  share: number;
  /** 2^entropy: as many codes would, equally often. */
  perplexity: number;
  /** Codes that occur at all. */
  used: number;
}

/** The use of a codebook whose codes occurred so often. */
export function codeUse(counts: ArrayLike<number>): CodeUse {
  let [total, entropy, used] = [0, 0, 0];
  for (let i = 0; i < counts.length; i++) total += counts[i];
  for (let i = 0; i < counts.length; i++) {
    if (counts[i] === 0) continue;
    used++;
    entropy -= (counts[i] / total) * Math.log2(counts[i] / total);
  }
  return { entropy, share: entropy / Math.log2(counts.length), perplexity: total > 0 ? 2 ** entropy : 0, used };
}

import { onsetStrength, tempo } from '@dawnchorus/dsp';
import { scope, tensor } from '@dawnchorus/tensor';

/** Frames a second are the sample rate over this. */
const HOP = 256;

/**
 * Beats by dynamic programming (Ellis, 2007): a path through onsets whose steps are about one period long.
 *
 * @param onsets strength by frame
 * @param period frames between beats
 * @param tightness how much a step that is off costs, beside onsets of unit deviation
 * @returns frames, ascending
 */
export function trackBeats(onsets: ArrayLike<number>, period: number, tightness = 100): number[] {
  const count = onsets.length;
  if (!(period >= 1)) throw new RangeError(`a period of ${period} frames; expected 1 at least`);
  const values = Float64Array.from(onsets);
  const average = values.reduce((sum, value) => sum + value, 0) / Math.max(1, count);
  const deviation = Math.sqrt(values.reduce((sum, value) => sum + (value - average) ** 2, 0) / Math.max(1, count));
  if (deviation === 0) return [];
  // Each onset spread over a thirty-second of a period.
  const local = new Float64Array(count);
  const width = period / 32;
  const reach = Math.ceil(3 * width);
  for (let t = 0; t < count; t++) {
    for (let d = -reach; d <= reach; d++) {
      const at = t + d;
      if (at >= 0 && at < count) local[t] += (values[at] / deviation) * Math.exp(-0.5 * (d / width) ** 2);
    }
  }
  const score = Float64Array.from(local);
  const before = new Int32Array(count).fill(-1);
  for (let t = 0; t < count; t++) {
    let best = 0;
    for (let from = Math.max(0, t - Math.round(2 * period)); from <= t - Math.round(period / 2); from++) {
      const own = score[from] - tightness * Math.log((t - from) / period) ** 2;
      if (own > best) {
        best = own;
        before[t] = from;
      }
    }
    score[t] += best;
  }
  // The path ends on the best of the last period.
  let last = -1;
  for (let t = Math.max(0, count - Math.round(period)); t < count; t++)
    if (last < 0 || score[t] > score[last]) last = t;
  const path: number[] = [];
  for (let t = last; t >= 0; t = before[t]) path.unshift(t);
  return path;
}

/** Beats of a clip in seconds by onsets, their autocorrelation and dynamic programming, without learning. */
export async function onsetBeats(waveform: Float32Array, sampleRate: number): Promise<number[]> {
  const [strength, bpm] = scope(() => {
    const x = tensor(Float32Array.from(waveform), { shape: [1, waveform.length] });
    const onsets = onsetStrength(x, { sampleRate, hopLength: HOP });
    return [onsets, tempo(onsets, { sampleRate, hopLength: HOP })];
  });
  const [onsets, beatsPerMinute] = [(await strength.data()) as Float32Array, await bpm.item()];
  strength.dispose();
  bpm.dispose();
  const frames = trackBeats(onsets, (60 * sampleRate) / HOP / beatsPerMinute);
  return frames.map((frame) => (frame * HOP) / sampleRate);
}

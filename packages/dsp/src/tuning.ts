import type { Tensor } from '@dawnchorus/tensor';
import { checkSettings } from './options.ts';
import { powerSpectra, type StftOptions, stftConventions, stftOptions } from './stft.ts';

/** Settings of `estimateTuning`; the defaults are librosa's, those of spectra nFft 2048, hop 512 and zeros at the edges. */
export interface TuningOptions extends Partial<StftOptions> {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Steps of the estimate, in bins; default 0.01. */
  readonly resolution?: number;
  /** Default 12: the estimate is in semitones. Say the `nChroma` of a chroma bank that it is for. */
  readonly binsPerOctave?: number;
  /** Where peaks are looked for, in Hz; default 150 to 4000. */
  readonly fMin?: number;
  readonly fMax?: number;
  /** Peaks under this part of their frame's largest value do not count; default 0.1. */
  readonly threshold?: number;
}

/** Frequencies and heights of the peaks of one frame's magnitudes, by parabolas through three bins. */
function peaksOf(
  frame: (f: number) => number,
  bins: number,
  { width, fMin, fMax, threshold }: { width: number; fMin: number; fMax: number; threshold: number },
): { hz: number; height: number }[] {
  let largest = 0;
  for (let f = 0; f < bins; f++) largest = Math.max(largest, frame(f));
  const loud = (f: number) => (frame(f) > threshold * largest ? frame(f) : 0);
  const peaks: { hz: number; height: number }[] = [];
  for (let f = 1; f < bins; f++) {
    const [below, own, above] = [loud(f - 1), loud(f), f + 1 < bins ? loud(f + 1) : Number.NEGATIVE_INFINITY];
    if (f * width < fMin || f * width >= fMax || !(own > below && own >= above)) continue;
    const inner = f + 1 < bins;
    const slope = inner ? (frame(f + 1) - frame(f - 1)) / 2 : frame(f) - frame(f - 1);
    const bend = inner ? frame(f + 1) + frame(f - 1) - 2 * frame(f) : 0;
    const shift = Math.abs(slope) >= Math.abs(bend) ? 0 : -slope / bend;
    peaks.push({ hz: (f + shift) * width, height: frame(f) + 0.5 * slope * shift });
  }
  return peaks;
}

/**
 * How far the music's tuning is from 440 Hz, in bins from -0.5 to 0.5: librosa.estimate_tuning, the fullest bin of a
 * histogram of spectral peaks. x f32 [1, samples] -> a number; 0 where nothing sounds. The spectra are made on the GPU and read back.
 *
 * @throws RangeError as the spectra do, when x holds more than one clip, or a setting is out of range.
 */
export async function estimateTuning(x: Tensor, options: TuningOptions): Promise<number> {
  const own = ['sampleRate', 'resolution', 'binsPerOctave', 'fMin', 'fMax', 'threshold'];
  checkSettings('estimateTuning', options, [...stftOptions, ...own]);
  const { sampleRate, resolution = 0.01, binsPerOctave = 12, fMin = 150, fMax = 4000, threshold = 0.1 } = options;
  if (x.rank !== 2 || x.shape[0] !== 1) {
    throw new RangeError(`estimateTuning: x is ${x}; expected one clip, f32 [1, samples]`);
  }
  if (!(sampleRate > 0) || !(resolution > 0 && resolution <= 1) || !(binsPerOctave > 0)) {
    throw new RangeError(
      `estimateTuning: sampleRate ${sampleRate}, resolution ${resolution}, binsPerOctave ${binsPerOctave}; expected positive numbers, the second up to 1`,
    );
  }
  const spectral = { ...stftConventions.librosa, nFft: 2048, hopLength: 512, ...options };
  const spectra = powerSpectra(x, { ...spectral, power: 1 });
  const [, bins, frames] = spectra.shape;
  const magnitudes = (await spectra.data()) as Float32Array;
  spectra.dispose();
  const bounds = {
    width: sampleRate / spectral.nFft,
    fMin: Math.max(0, fMin),
    fMax: Math.min(fMax, sampleRate / 2),
    threshold,
  };
  const peaks = Array.from({ length: frames }, (_, t) => peaksOf((f) => magnitudes[f * frames + t], bins, bounds))
    .flat()
    .filter(({ hz }) => hz > 0);
  if (peaks.length === 0) return 0;
  const heights = Float64Array.from(peaks, ({ height }) => height).sort();
  const middle = heights.length / 2;
  const median = (heights[Math.ceil(middle) - 1] + heights[Math.floor(middle)]) / 2;
  const steps = Math.ceil(1 / resolution);
  const counts = new Uint32Array(steps);
  for (const { hz, height } of peaks) {
    if (!(height >= median)) continue;
    const place = binsPerOctave * Math.log2(hz / 27.5);
    const residual = place - Math.floor(place);
    const own = residual >= 0.5 ? residual - 1 : residual;
    counts[Math.min(steps - 1, Math.floor((own + 0.5) * steps))]++;
  }
  return counts.indexOf(Math.max(...counts)) / steps - 0.5;
}

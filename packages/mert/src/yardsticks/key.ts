import { chromaStft, stftConventions } from '@dawnchorus/dsp';
import { mean, scope, tensor } from '@dawnchorus/tensor';
import { keyNames } from '../evaluation/metrics/index.ts';

/** How well each pitch class fits a key on C, by listeners (Krumhansl and Kessler, 1982). */
const profiles = {
  major: [6.35, 2.23, 3.48, 2.33, 4.38, 4.09, 2.52, 5.19, 2.39, 3.66, 2.29, 2.88],
  minor: [6.33, 2.68, 3.52, 5.38, 2.6, 3.53, 2.54, 4.75, 3.98, 2.69, 3.34, 3.17],
};

function correlation(a: readonly number[], b: readonly number[]): number {
  const centre = (values: readonly number[]) => {
    const average = values.reduce((sum, value) => sum + value, 0) / values.length;
    return values.map((value) => value - average);
  };
  const [x, y] = [centre(a), centre(b)];
  const dot = (p: readonly number[], q: readonly number[]) => p.reduce((sum, value, i) => sum + value * q[i], 0);
  return dot(x, y) / Math.sqrt(dot(x, x) * dot(y, y) || 1);
}

/** The key whose profile the energies of the twelve pitch classes, from C up, go with best. */
export function krumhanslKey(chroma: readonly number[]): string {
  if (chroma.length !== 12) throw new RangeError(`${chroma.length} pitch classes; expected 12, from C up`);
  const scores = keyNames.map((name, i) => {
    const profile = name.endsWith('major') ? profiles.major : profiles.minor;
    const tonic = i % 12;
    return correlation(
      chroma,
      Array.from({ length: 12 }, (_, c) => profile[(c - tonic + 12) % 12]),
    );
  });
  return keyNames[scores.indexOf(Math.max(...scores))];
}

/** Mean energy of each pitch class of a clip, from C up. */
export async function meanChroma(waveform: Float32Array, sampleRate: number): Promise<number[]> {
  const chroma = scope(() => {
    const x = tensor(Float32Array.from(waveform), { shape: [1, waveform.length] });
    // The octaves of accompaniments: higher up there are harmonics, a fifth away, and cymbals.
    const octaves = { octaveCentre: 4, octaveWidth: 1, power: 1, norm: null } as const;
    const options = { ...stftConventions.librosa, nFft: 8192, hopLength: 2048, sampleRate, ...octaves };
    return mean(chromaStft(x, options), { dim: 2 });
  });
  const values = [...((await chroma.data()) as Float32Array)];
  chroma.dispose();
  return values;
}

/** The key of a clip by its chroma and Krumhansl's profiles, without learning. */
export const chromaKey = async (waveform: Float32Array, sampleRate: number): Promise<string> =>
  krumhanslKey(await meanChroma(waveform, sampleRate));

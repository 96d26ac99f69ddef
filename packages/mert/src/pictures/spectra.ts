import {
  amplitudeToDb,
  chromaStft,
  createCqt,
  hzToMel,
  melSpectrogram,
  spectrogram,
  stftConventions,
} from '@dawnchorus/dsp';
import { type Device, scope, tensor } from '@dawnchorus/tensor';
import { cqtSettings } from '../training/step.ts';
import type { Heatmap, Mark } from './heatmap.ts';

/** What of a sound can be drawn. */
export const spectrumKinds = ['spectrogram', 'mel', 'chroma', 'cqt'] as const;
/** One of `spectrumKinds`. */
export type SpectrumKind = (typeof spectrumKinds)[number];

/** A sound to be drawn. */
export interface Sound {
  samples: Float32Array;
  /** Samples a second. */
  sampleRate: number;
  /** Seconds before it in its file. */
  start: number;
  title: string;
}

/** Nothing darker than this under the loudest is told apart. */
const RANGE_DB = 80;
const N_FFT = 2048;
const HOP = 320;
const PITCHES = ['C', 'C#', 'D', 'D#', 'E', 'F', 'F#', 'G', 'G#', 'A', 'A#', 'B'];

const hertz = (value: number) => (value >= 1000 ? `${value / 1000} kHz` : `${value} Hz`);

/** Marks of the Cs of constant-Q bins, from bin 0, which is C1 at 32.7 Hz. */
export function octaveMarks(bins: number, binsPerOctave: number): Mark[] {
  return Array.from({ length: Math.ceil(bins / binsPerOctave) }, (_, i) => ({
    at: i * binsPerOctave,
    text: `C${i + 1}`,
  }));
}

/** Magnitudes as decibels under the loudest. */
export function toDecibels(magnitudes: ArrayLike<number>): Float32Array {
  let largest = 0;
  for (let i = 0; i < magnitudes.length; i++) largest = Math.max(largest, magnitudes[i]);
  return Float32Array.from(magnitudes, (value) =>
    largest > 0 ? Math.max(-RANGE_DB, 20 * Math.log10(Math.max(value, 1e-30) / largest)) : -RANGE_DB,
  );
}

/** The constant-Q magnitudes [bins, frames] of the musical teacher as a heat map. */
export function cqtHeatmap(
  magnitudes: ArrayLike<number>,
  bins: number,
  { title, start }: Pick<Sound, 'title' | 'start'>,
): Heatmap {
  const { hopLength, sampleRate, binsPerOctave } = cqtSettings;
  return {
    title: `${title}: constant-Q, ${binsPerOctave} bins an octave`,
    values: toDecibels(magnitudes),
    rows: bins,
    columns: magnitudes.length / bins,
    range: [-RANGE_DB, 0],
    unit: 'dB',
    marks: octaveMarks(bins, binsPerOctave),
    start,
    step: hopLength / sampleRate,
  };
}

/** A spectrum of a sound over time. @throws RangeError when the sound is empty. */
export async function spectrumHeatmap(device: Device, kind: SpectrumKind, sound: Sound): Promise<Heatmap> {
  const { samples, sampleRate, start, title } = sound;
  if (samples.length === 0) throw new RangeError(`${title}: there are no samples to draw`);
  const shape = [1, samples.length];
  if (kind === 'cqt') {
    const cqt = createCqt(device, cqtSettings);
    const magnitudes = scope(() => cqt.transform(tensor(samples, { shape, device })));
    const data = (await magnitudes.data()) as Float32Array;
    cqt.dispose();
    magnitudes.dispose();
    return cqtHeatmap(data, cqtSettings.bins, sound);
  }
  const stft = { nFft: N_FFT, hopLength: HOP, ...stftConventions.librosa };
  const common = { start, step: HOP / sampleRate, range: [-RANGE_DB, 0] as [number, number], unit: 'dB' };
  const half = sampleRate / 2;
  const table = scope(() => {
    const x = tensor(samples, { shape, device });
    if (kind === 'chroma') return chromaStft(x, { ...stft, sampleRate, nChroma: 12 });
    const energy =
      kind === 'mel'
        ? melSpectrogram(x, { ...stft, sampleRate, nMels: 128, scale: 'slaney', norm: null })
        : spectrogram(x, stft);
    return amplitudeToDb(energy, { of: 'power', floor: 1e-20, topDb: null });
  });
  const [, rows, columns] = table.shape;
  const data = (await table.data()) as Float32Array;
  table.dispose();
  if (kind === 'chroma') {
    const marks = PITCHES.map((text, at) => ({ at, text }));
    return { ...common, title: `${title}: chroma`, values: data, rows, columns, marks, range: [0, 1], unit: 'share' };
  }
  const loudest = data.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const values = data.map((value) => value - loudest);
  if (kind === 'spectrogram') {
    const step = half > 15_000 ? 4000 : 2000;
    const marks = Array.from({ length: Math.floor(half / step) + 1 }, (_, i) => ({
      at: (i * step * N_FFT) / sampleRate,
      text: hertz(i * step),
    }));
    return { ...common, title: `${title}: spectrogram`, values, rows, columns, marks };
  }
  // Band m is centred on the (m + 1)-th of the evenly spaced edges.
  const place = (hz: number) => (hzToMel(hz, 'slaney') / hzToMel(half, 'slaney')) * (rows + 1) - 1;
  const marks = [100, 500, 1000, 2000, 4000, 8000, 16000]
    .filter((hz) => hz < half)
    .map((hz) => ({ at: place(hz), text: hertz(hz) }));
  return { ...common, title: `${title}: mel spectrogram, 128 bands`, values, rows, columns, marks };
}

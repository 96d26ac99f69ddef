/** What heads of separation learn and are tried on: windows of tracks, with the features of some layers. */
import { type Tensor, tensor } from '@dawnchorus/tensor';
import { hostRandom, sampleWithoutReplacement } from '../../random.ts';
import type { Clip } from '../data.ts';
import { HOP } from '../features/source.ts';
import type { FeatureTable } from '../features/table.ts';
import { windowSamples } from '../features/windows.ts';
import { stemNames } from '../names.ts';
import { type Scaling, scale, scalingOf } from '../probe/rows.ts';
import type { Task } from '../tasks.ts';
import type { Track } from './tracks.ts';

/** Which draws of `hostRandom` order the windows and place what is learned of them. */
const [ORDER, CROP] = [104, 105];

/** Where examples come from. */
export interface ExampleSource {
  readonly task: Task;
  readonly table: FeatureTable;
  readonly layers: readonly number[];
  readonly trackOf: (clip: Clip) => Promise<Track>;
  /** Of features, where they are standardised. */
  readonly scaling?: Scaling;
}

/** A window of a track. */
export interface Window {
  clip: Clip;
  /** Samples. */
  start: number;
  length: number;
  /** Rows of its features. */
  row: number;
  rows: number;
}

/** Sound [signals, samples] and features [windows, frames, layers, dimension], on the host. */
export interface Batch {
  sound: Float32Array;
  x: Float32Array;
  shapes: { sound: readonly number[]; x: readonly number[] };
}

const framesOf = (samples: number): number => Math.floor(samples / HOP) + 1;
const widthOf = ({ layers, table }: ExampleSource): number => layers.length * table.dimension;

/** Values in parts of one size; the last may be smaller. */
export const chunks = <T>(values: readonly T[], size: number): T[][] =>
  Array.from({ length: Math.ceil(values.length / size) }, (_, k) => values.slice(k * size, (k + 1) * size));

/** The windows of clips, end to end. */
export async function windowsOf({ task, table, trackOf }: ExampleSource, clips: readonly Clip[]): Promise<Window[]> {
  const windows: Window[] = [];
  for (const clip of clips) {
    const rows = table.clips.get(clip.id)?.rows ?? [];
    let [start, row] = [0, 0];
    for (const [i, length] of windowSamples(task, (await trackOf(clip)).mixture.length).entries()) {
      windows.push({ clip, start, length, row, rows: rows[i] });
      start += length;
      row += rows[i];
    }
  }
  return windows;
}

/** Features of some frames of a window; there may be one or two frames fewer than spectra, which count as zero. */
async function readFeatures(
  source: ExampleSource,
  { clip, row, rows }: Window,
  first: number,
  count: number,
): Promise<Float32Array> {
  const { table, layers, scaling } = source;
  const out = new Float32Array(count * widthOf(source));
  const have = Math.max(0, Math.min(count, rows - first));
  const x = await table.read(clip.id, layers, row + first, have);
  out.set(scaling ? scale(x, scaling) : x);
  return out;
}

/** Of the features of windows. */
export async function scalingOfWindows(source: ExampleSource, windows: readonly Window[]): Promise<Scaling> {
  const width = widthOf(source);
  const all = new Float32Array(windows.reduce((sum, { rows }) => sum + rows, 0) * width);
  let at = 0;
  for (const window of windows) {
    all.set(await readFeatures(source, window, 0, window.rows), at);
    at += window.rows * width;
  }
  return scalingOf(all, width);
}

/** The batches of windows that a pass learns from. */
export function batchesOf(windows: readonly Window[], size: number, seed: number, pass: number): Window[][] {
  const order = sampleWithoutReplacement(hostRandom(seed, ORDER, pass), windows.length, windows.length);
  const batches = chunks(order, size).map((own) => own.map((k) => windows[k]));
  // Batch norm needs company: what is left over joins no batch of its own unless it is all there is.
  return batches.filter((own, i) => i === 0 || own.length === size);
}

/** Room for windows of so many frames, each with its features and so many signals. */
function emptyBatch(source: ExampleSource, windows: number, frames: number, signals: number, samples: number): Batch {
  const { layers, table } = source;
  return {
    sound: new Float32Array(windows * signals * samples),
    x: new Float32Array(windows * frames * widthOf(source)),
    shapes: { sound: [windows * signals, samples], x: [windows, frames, layers.length, table.dimension] },
  };
}

/** The mixtures of whole windows of one length, [windows, samples]. */
export async function readMixtures(source: ExampleSource, windows: readonly Window[]): Promise<Batch> {
  const [{ length }] = windows;
  const frames = framesOf(length);
  const batch = emptyBatch(source, windows.length, frames, 1, length);
  for (const [i, window] of windows.entries()) {
    const { mixture } = await source.trackOf(window.clip);
    batch.sound.set(mixture.subarray(window.start, window.start + length), i * length);
    batch.x.set(await readFeatures(source, window, 0, frames), i * frames * widthOf(source));
  }
  return batch;
}

/** Mixture and stems around some frames of windows, [windows * 5, samples]; at most `most` frames. */
export async function readCrops(
  source: ExampleSource,
  windows: readonly Window[],
  most: number,
  pass: number,
  seed: number,
): Promise<Batch> {
  const frames = Math.min(most, ...windows.map(({ length }) => framesOf(length)));
  const samples = (frames - 1) * HOP;
  const signals = 1 + stemNames.length;
  const batch = emptyBatch(source, windows.length, frames, signals, samples);
  for (const [i, window] of windows.entries()) {
    const random = hostRandom(seed, CROP, pass, window.start, i);
    const first = random.integer(0, framesOf(window.length) - frames);
    const { mixture, stems } = await source.trackOf(window.clip);
    const start = window.start + first * HOP;
    for (const [k, own] of [mixture, ...stems].entries()) {
      batch.sound.set(own.subarray(start, start + samples), (i * signals + k) * samples);
    }
    batch.x.set(await readFeatures(source, window, first, frames), i * frames * widthOf(source));
  }
  return batch;
}

/** Sound and features as tensors. */
export const uploadBatch = ({ sound, x, shapes }: Batch): [sound: Tensor, x: Tensor] => [
  tensor(sound, { shape: shapes.sound }),
  tensor(x, { shape: shapes.x }),
];

/** The rows that a head learns from and is scored on, in memory. */
import { hostRandom, sampleWithoutReplacement } from '../../random.ts';
import type { Clip, TaskData } from '../data.ts';
import type { FeatureTable } from '../features/table.ts';
import type { Split } from '../names.ts';
import type { ProbeSettings } from './settings.ts';

/** Which draws of `hostRandom` deal labels out. */
const SHUFFLE = 102;

/** Clips that have features, by split. */
function usableClips(data: TaskData, table: FeatureTable): Record<Split, Clip[]> {
  const of = (split: Split) => data.clips.filter((clip) => clip.split === split && table.clips.has(clip.id));
  const clips = { train: of('train'), valid: of('valid'), test: of('test') };
  for (const [split, own] of Object.entries(clips)) {
    if (own.length > 0) continue;
    const reasons = table.skipped.slice(0, 3).map(({ reason }) => `\n  ${reason}`);
    throw new Error(`${data.name}: no clip of ${split} can be heard${reasons.join('')}`);
  }
  return clips;
}

/** Labels dealt out anew among the songs of training and validation; those of the test stay. */
function shuffled(clips: Record<Split, Clip[]>, seed: number): Record<Split, Clip[]> {
  const deal = (own: Clip[], stream: number): Clip[] => {
    const songs = [...new Map(own.map((clip) => [clip.song, clip])).values()];
    const order = sampleWithoutReplacement(hostRandom(seed, SHUFFLE, stream), songs.length, songs.length);
    const given = new Map(songs.map((clip, i) => [clip.song, songs[order[i]]]));
    return own.map((clip) => {
      const { classes, values, beats, downbeats, stems } = given.get(clip.song) as Clip;
      return { ...clip, classes, values, beats, downbeats, stems };
    });
  };
  return { train: deal(clips.train, 1), valid: deal(clips.valid, 2), test: clips.test };
}

/** The clips of a probe that have features: as they are, and as heads learn from them. */
export function probedClips(data: TaskData, table: FeatureTable, { shuffleLabels, seeds }: ProbeSettings) {
  const usable = usableClips(data, table);
  const clips = shuffleLabels ? shuffled(usable, seeds[0]) : usable;
  const counts = { train: clips.train.length, valid: clips.valid.length, test: clips.test.length };
  return { usable, clips, counts };
}

/** Means and reciprocal deviations of each dimension of each layer over rows, [layers, dimension]. */
export interface Scaling {
  mean: Float64Array;
  factor: Float64Array;
}

/** Of x [rows, width]. */
export function scalingOf(x: Float32Array, width: number): Scaling {
  const [mean, square, rows] = [new Float64Array(width), new Float64Array(width), x.length / width];
  for (let i = 0; i < x.length; i++) mean[i % width] += x[i] / rows;
  for (let i = 0; i < x.length; i++) square[i % width] += (x[i] - mean[i % width]) ** 2 / rows;
  return { mean, factor: square.map((own) => (own > 1e-20 ? 1 / Math.sqrt(own) : 1)) };
}

/** Applies it in place. */
export function scale(x: Float32Array, { mean, factor }: Scaling): Float32Array {
  for (let i = 0; i < x.length; i++) x[i] = (x[i] - mean[i % mean.length]) * factor[i % mean.length];
  return x;
}

/** Windows of a split: x [rows, layers, dimension], and the song and truth of each. */
export interface Rows {
  x: Float32Array;
  songs: string[];
  truths: (readonly number[])[];
}

/** The truth of a clip as the outputs have it: 0 and 1 by class, or numbers. */
export function truthOf({ classes, values }: Clip, outputs: number): readonly number[] {
  if (values) return values;
  const truth = new Array<number>(outputs).fill(0);
  for (const k of classes ?? []) truth[k] = 1;
  return truth;
}

/** Reads the windows of clips. */
export async function readRows(
  table: FeatureTable,
  clips: readonly Clip[],
  layers: readonly number[],
  outputs: number,
): Promise<Rows> {
  const counts = clips.map(({ id }) => (table.clips.get(id)?.rows ?? []).reduce((sum, rows) => sum + rows, 0));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const width = layers.length * table.dimension;
  const out: Rows = { x: new Float32Array(total * width), songs: [], truths: [] };
  for (const [i, clip] of clips.entries()) {
    out.x.set(await table.read(clip.id, layers, 0, counts[i]), out.songs.length * width);
    const truth = truthOf(clip, outputs);
    for (let k = 0; k < counts[i]; k++) {
      out.songs.push(clip.song);
      out.truths.push(truth);
    }
  }
  return out;
}

/**
 * Features are made once and kept on disk, in parts that are each written whole or not at all:
 *
 *     CACHE/SOURCE-HASH/DATA-HASH/
 *       part-00000.npy     f32 [layers, rows, dimension]: a row a window, or a frame where frames are wanted
 *       part-00000.json    which clips they are of, written last
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { AudioError } from '@dawnchorus/dsp';
import { writeJson, writeNpy } from '@dawnchorus/formats';
import { getDefaultDevice, scope, type Tensor } from '@dawnchorus/tensor';
import { makeFolder } from '../../folders.ts';
import type { Clip, TaskData } from '../data.ts';
import { type FeatureSource, HOP, SAMPLE_RATE } from './source.ts';
import { FeatureTable, type PartIndex } from './table.ts';
import { readWindows } from './windows.ts';

/** Clips of a part: few where their frames are kept, so that one can be read alone. */
const CLIPS_OF_PART = { window: 64, frame: 1 } as const;
/** Seconds that are heard at once; software adapters bind little memory, and gain nothing from more. */
const batchSeconds = (): number => (getDefaultDevice().adapter.software ? 16 : 64);
/** How much of both ends of a file its hash sees, bytes: whole files of a large set would take as long as the features. */
const HASHED_BYTES = 16384;

/** What is kept of a clip: the mean over time of each window, or every frame. */
export type Granularity = keyof typeof CLIPS_OF_PART;

const granularityOf = ({ task }: TaskData): Granularity =>
  task.kind === 'beats' || task.kind === 'separation' ? 'frame' : 'window';

async function fingerprint(path: string): Promise<string> {
  const { size } = await stat(path);
  const file = await open(path, 'r');
  try {
    const hash = createHash('sha256').update(String(size));
    for (const start of [0, Math.max(0, size - HASHED_BYTES)]) {
      const { bytesRead, buffer } = await file.read(Buffer.alloc(Math.min(size, HASHED_BYTES)), 0, undefined, start);
      hash.update(buffer.subarray(0, bytesRead));
    }
    return hash.digest('hex');
  } finally {
    await file.close();
  }
}

/** SHA-256 of what is heard: the files by place, size and both ends, and how they are cut. Labels are not in it. */
export async function hashOfData({ task, clips, folder }: TaskData): Promise<string> {
  const { crop, window, standardise, kind } = task;
  const hash = createHash('sha256').update(
    JSON.stringify({ crop, window, standardise, frames: kind, SAMPLE_RATE, HOP }),
  );
  const seen = new Map<string, string>();
  for (const { path, start, duration } of clips) {
    let own = seen.get(path);
    if (own === undefined) {
      own = await fingerprint(path);
      seen.set(path, own);
    }
    hash.update(JSON.stringify([relative(folder, path), start, duration, own]));
  }
  return hash.digest('hex');
}

/** Features of windows, those of one length together: [layers, rows, dimension] of each, in order. */
async function hearWindows(source: FeatureSource, windows: readonly Float32Array[], granularity: Granularity) {
  const heard: { data: Float32Array; rows: number }[] = new Array(windows.length);
  const byLength = new Map<number, number[]>();
  for (const [i, { length }] of windows.entries()) byLength.set(length, [...(byLength.get(length) ?? []), i]);
  for (const [length, members] of byLength) {
    const atOnce = Math.max(1, Math.floor((batchSeconds() * SAMPLE_RATE) / length));
    for (let first = 0; first < members.length; first += atOnce) {
      const own = members.slice(first, first + atOnce);
      const kept: Tensor = scope(() => {
        const states = source.hear(own.map((i) => windows[i]));
        return granularity === 'window' ? states.mean({ dim: 2, keepdim: true }) : states;
      });
      const [layers, clips, rows, dimension] = kept.shape;
      const data = (await kept.data()) as Float32Array;
      kept.dispose();
      for (const [k, i] of own.entries()) {
        const out = new Float32Array(layers * rows * dimension);
        for (let layer = 0; layer < layers; layer++) {
          const from = (layer * clips + k) * rows * dimension;
          out.set(data.subarray(from, from + rows * dimension), layer * rows * dimension);
        }
        heard[i] = { data: out, rows };
      }
    }
  }
  return heard;
}

/** Whether a file is what keeps its clip from being heard, and always will: not that the system would not open it today. */
const isOfFile = (error: unknown): boolean =>
  error instanceof RangeError ||
  (error instanceof AudioError && (error.cause as NodeJS.ErrnoException | undefined)?.code === undefined);

async function makePart(source: FeatureSource, data: TaskData, clips: readonly Clip[], granularity: Granularity) {
  const index: PartIndex = { clips: [], skipped: [], rows: 0 };
  const windows: Float32Array[] = [];
  const owners: { id: string; windows: number }[] = [];
  for (const clip of clips) {
    try {
      const own = await readWindows(data.task, clip);
      windows.push(...own);
      owners.push({ id: clip.id, windows: own.length });
    } catch (error) {
      // What is written down as left out is never tried again.
      if (!isOfFile(error)) throw error;
      index.skipped.push({ id: clip.id, reason: (error as Error).message });
    }
  }
  const heard = await hearWindows(source, windows, granularity);
  let next = 0;
  for (const { id, windows: count } of owners) {
    const rows = heard.slice(next, next + count).map((own) => own.rows);
    index.clips.push({ id, row: index.rows, rows });
    index.rows += rows.reduce((sum, own) => sum + own, 0);
    next += count;
  }
  const { layers, dimension } = source;
  const all = new Float32Array(layers * index.rows * dimension);
  let row = 0;
  for (const { data: own, rows } of heard) {
    for (let layer = 0; layer < layers; layer++) {
      const part = own.subarray(layer * rows * dimension, (layer + 1) * rows * dimension);
      all.set(part, (layer * index.rows + row) * dimension);
    }
    row += rows;
  }
  return { index, all };
}

/** How features are made. */
export interface ExtractOptions {
  /** Folder of all caches. */
  cache: string;
  /** Told after each part. */
  onPart?(done: number, total: number): void;
  /** Asked before each part; true ends with an error, and the same call goes on later. */
  stopped?(): boolean;
}

/** Was stopped on request; the same call goes on. */
export class StoppedError extends Error {
  constructor() {
    super('stopped; the same command goes on');
    this.name = 'StoppedError';
  }
}

/**
 * The features of a task’s clips: read where they were made before, else made. Files that hold no audio, or damaged audio, are
 * left out and listed.
 *
 * @throws StoppedError when it was stopped; Error when a file cannot be opened.
 */
export async function extractFeatures(
  source: FeatureSource,
  data: TaskData,
  { cache, onPart, stopped }: ExtractOptions,
): Promise<FeatureTable> {
  const granularity = granularityOf(data);
  const place = data.name.replace(/[^\w.-]+/g, '_');
  const hash = await hashOfData(data);
  const folder = join(cache, `${source.name}-${source.hash.slice(0, 16)}`, `${place}-${hash.slice(0, 16)}`);
  await makeFolder(folder);
  const size = CLIPS_OF_PART[granularity];
  const total = Math.ceil(data.clips.length / size);
  const parts: { path: string; index: PartIndex }[] = [];
  for (let part = 0; part < total; part++) {
    const name = join(folder, `part-${String(part).padStart(5, '0')}`);
    if (!existsSync(`${name}.json`)) {
      if (stopped?.()) throw new StoppedError();
      const { index, all } = await makePart(
        source,
        data,
        data.clips.slice(part * size, (part + 1) * size),
        granularity,
      );
      if (index.rows > 0) await writeNpy(`${name}.npy`, all, [source.layers, index.rows, source.dimension]);
      await writeJson(`${name}.json`, index);
      onPart?.(part + 1, total);
    }
    parts.push({ path: `${name}.npy`, index: JSON.parse(await readFile(`${name}.json`, 'utf8')) });
  }
  return new FeatureTable(parts, source.layers, source.dimension);
}

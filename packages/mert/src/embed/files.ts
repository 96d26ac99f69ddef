/** Files of music to files of hidden states. */
import { existsSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { AudioError, openPieces, type ResampleQuality } from '@dawnchorus/dsp';
import { createNpy, createSafetensors, type FloatDtype } from '@dawnchorus/formats';
import { listAudio } from '../data/collection.ts';
import type { SkippedFile } from '../data/dataset.ts';
import { type AudioItem, withBytes } from '../data/places.ts';
import { checkNotInput, checkOutputFile, makeFolder } from '../folders.ts';
import type { PretrainedModel } from '../model/pretrained.ts';
import { createEmbedder, type Embedder, type EmbedSettings } from './embedder.ts';
import { layerShape } from './layers.ts';
import {
  type ArrayTarget,
  createTable,
  frameSink,
  type Pool,
  poolSink,
  type Sink,
  type Table,
  tableSink,
} from './sinks.ts';

/** The files that embeddings are written to. */
export const embedFormats = ['npy', 'safetensors', 'parquet'] as const;
/** One of `embedFormats`. */
export type EmbedFormat = (typeof embedFormats)[number];

/** What to embed, how, and where it goes. */
export interface EmbedFilesOptions extends EmbedSettings {
  model: PretrainedModel;
  /** Audio files, folders, manifests, archives: see `listAudio`. */
  inputs: readonly string[];
  /** A file for one audio file, by its ending .npy, .safetensors or .parquet; a .parquet for all; else a folder. */
  out: string;
  /** Of the files in a folder; default npy. */
  format?: EmbedFormat;
  pool?: Pool;
  dtype?: FloatDtype;
  /** How files of other rates are brought to the model's; `never` leaves them out. Default kaiser64. */
  resample?: ResampleQuality | 'never';
  /** Leave files alone whose output is there. */
  skipExisting?: boolean;
  /** Asked before each file; true ends the run. */
  stopped?(): boolean;
  /** Told of each file when it was heard. */
  onFile?(number: number, total: number): void;
}

/** What was written of one file. */
export interface EmbeddedFile {
  input: string;
  out: string;
  shape: number[];
  /** Hz of the file; where it is not the model's, it was resampled. */
  sampleRate: number;
  /** Frames that were heard. */
  frames: number;
}

/** What became of the files. */
export interface EmbedResult {
  finished: boolean;
  written: EmbeddedFile[];
  existing: number;
  skipped: SkippedFile[];
}

const endings: Record<EmbedFormat, string> = { npy: '.npy', safetensors: '.safetensors', parquet: '.parquet' };

const formatOf = (path: string): EmbedFormat | undefined =>
  embedFormats.find((format) => endings[format] === extname(path).toLowerCase());

async function listInputs(inputs: readonly string[]): Promise<AudioItem[]> {
  const lists = await Promise.all(inputs.map((input) => listAudio(input)));
  return lists.flat();
}

/** Where the output of each goes. @throws Error when two would go to one place. */
function placesOf(items: readonly AudioItem[], { out, format = 'npy' }: EmbedFilesOptions): string[] {
  const places = items.map(({ key }) => {
    const inside = key.replace(/(^|\/)\.\.(?=\/)/g, '$1_');
    return join(out, inside.slice(0, inside.length - extname(inside).length) + endings[format]);
  });
  const seen = new Map<string, string>();
  for (const [i, place] of places.entries()) {
    const other = seen.get(place);
    if (other) throw new Error(`${items[i].path} and ${other} would both be written to ${place}; rename one`);
    seen.set(place, items[i].path);
  }
  return places;
}

interface Opened {
  sink: Sink;
  shape: number[];
}

async function openSink(
  options: EmbedFilesOptions,
  embedder: Embedder,
  place: string,
  path: string,
  frames: number,
  table: Table | undefined,
): Promise<Opened> {
  const { pool = 'none', dtype = 'F32', model, layers: choice = 'all' } = options;
  const { layers, dim } = embedder;
  const leading = layerShape(choice, model.student.config.numHiddenLayers + 1);
  const shape = pool === 'none' ? [...leading, frames, dim] : [...leading, dim];
  const { reach, hop } = model.frame;
  const secondsOf = (frame: number) => (frame * hop + reach / 2) / model.sampleRate;
  const format = formatOf(place) ?? options.format ?? 'npy';
  if (format === 'parquet') {
    const own = table ?? (await createTable(place, pool !== 'none'));
    // A table of its own is finished with its file, a common one at the end.
    const finish = async () => (table ? undefined : own.finish());
    const abort = async () => (table ? undefined : own.abort());
    if (pool === 'none') {
      const sink = tableSink(own, path, layers, dim, secondsOf);
      return { shape, sink: { ...sink, finish, abort } };
    }
    const done = async (embedding: Float32Array[]) => {
      await own.append({ path: embedding.map(() => path), layer: [...layers], embedding });
      await finish();
    };
    return { shape, sink: poolSink(pool, layers.length, dim, done, abort) };
  }
  const metadata = {
    format: 'pt',
    sample_rate: String(model.sampleRate),
    hop: String(hop),
    layers: choice === 'mean' ? 'mean' : layers.join(','),
    pool,
  };
  const target: ArrayTarget =
    format === 'npy'
      ? await createNpy(place, shape, { dtype })
      : await createSafetensors(place, 'hidden_states', shape, { dtype, metadata });
  if (pool === 'none') return { shape, sink: frameSink(target, frames, dim) };
  const done = async (pooled: Float32Array[]) => {
    for (const [i, values] of pooled.entries()) await target.write(i * dim, values);
    await target.finish();
  };
  return { shape, sink: poolSink(pool, layers.length, dim, done, () => target.abort()) };
}

/** Files that are named one by one. */
const NAMED = 20;

/**
 * Writes hidden states of files of any length. Memory holds a batch of windows. A file's output appears when it is whole;
 * of several files those that cannot be used are left out and listed, of one it is an error.
 *
 * @throws Error when `out` does not suit the inputs, and as `createEmbedder` does.
 */
export async function embedFiles(options: EmbedFilesOptions): Promise<EmbedResult> {
  const { model, inputs, out, pool = 'none', resample = 'kaiser64', log = () => {}, stopped, onFile } = options;
  const items = await listInputs(inputs);
  if (items.length === 0) throw new Error(`${inputs.join(', ')}: no audio files (wav, flac, mp3, ogg, opus) there`);
  const named = formatOf(out);
  const isFolder = existsSync(out) && statSync(out).isDirectory();
  // One file goes to what --out says, whatever that is called.
  const alone = items.length === 1 && !isFolder && (named !== undefined || items[0].path === inputs[0]);
  const common = named === 'parquet' && !alone;
  if (named !== undefined && !alone && !common) {
    throw new Error(`${out}: ${items.length} files go into a folder, or into one .parquet; give one of these as --out`);
  }
  if (named !== undefined && options.format !== undefined && options.format !== named) {
    throw new Error(`${out}: the name says ${named}, --format ${options.format}; leave out one of them`);
  }
  if (options.dtype === 'F16' && (named ?? options.format) === 'parquet') {
    throw new Error('a parquet file holds floats of 32 bits; leave out --dtype f16');
  }
  const places = alone || common ? items.map(() => out) : placesOf(items, options);
  if (alone || common) {
    await checkOutputFile('--out', out);
    checkNotInput('--out', out, [...inputs, ...items.map(({ path }) => path)]);
  }
  const embedder = createEmbedder(model, options);
  const table = common ? await createTable(out, pool !== 'none') : undefined;
  const result: EmbedResult = { finished: true, written: [], existing: 0, skipped: [] };
  const open = new Set<Sink>();
  let resampled = 0;

  async function embedOne(item: AudioItem, place: string): Promise<void> {
    await withBytes(item, async (bytes) => {
      const audio = await openPieces(bytes, {
        sampleRate: model.sampleRate,
        ...(resample !== 'never' && { quality: resample }),
      });
      const from = audio.file.sampleRate;
      if (from !== model.sampleRate) {
        if (resample === 'never') {
          throw new AudioError(
            item.path,
            'unsupported',
            `has ${from} Hz, the model hears ${model.sampleRate}; resample it, or leave out --resample never`,
          );
        }
        if (resampled++ < NAMED) {
          log(`${item.path}: ${from} Hz, resampled to the model’s ${model.sampleRate} Hz (${resample})`);
        }
      }
      const frames = embedder.frames(audio.samples);
      if (frames === 0) {
        throw new AudioError(
          item.path,
          'empty',
          `embed: ${audio.samples} samples are less than the ${model.frame.reach} that one frame needs; use a longer clip`,
        );
      }
      if (!alone && !common) await makeFolder(dirname(place));
      const { sink, shape } = await openSink(options, embedder, place, item.path, frames, table);
      const tracked: Sink = {
        write: (window, states) => sink.write(window, states),
        async finish() {
          await sink.finish();
          open.delete(tracked);
          result.written.push({ input: item.path, out: place, shape, sampleRate: from, frames });
        },
        async abort() {
          open.delete(tracked);
          await sink.abort();
        },
      };
      open.add(tracked);
      await embedder.add(audio, tracked);
    });
  }

  try {
    for (const [i, item] of items.entries()) {
      if (stopped?.()) {
        result.finished = false;
        break;
      }
      if (options.skipExisting && !common && existsSync(places[i])) {
        result.existing++;
      } else {
        try {
          await embedOne(item, places[i]);
        } catch (error) {
          if (alone || !(error instanceof AudioError)) throw error;
          result.skipped.push({ path: item.path, reason: error.message.replace(`${error.path}: `, '') });
        }
      }
      onFile?.(i + 1, items.length);
    }
    await embedder.flush();
    if (resampled > NAMED) log(`and ${resampled - NAMED} more files were resampled to ${model.sampleRate} Hz`);
    // Half a table would look like a whole one.
    if (table && !result.finished) {
      await table.abort();
      result.written = [];
    } else await table?.finish();
  } catch (error) {
    for (const sink of open) await sink.abort().catch(() => {});
    await table?.abort();
    throw error;
  }
  return result;
}

/** Where the hidden states of files go: a file of one sound, a table of all, or a folder with a file of each. */
import { existsSync, statSync } from 'node:fs';
import { dirname, extname, join } from 'node:path';
import { createNpy, createSafetensors, type FloatDtype } from '@dawnchorus/formats';
import type { AudioItem } from '../data/places.ts';
import { checkNotInput, checkOutputFile, makeFolder } from '../folders.ts';
import type { PretrainedModel } from '../model/pretrained.ts';
import type { Embedder } from './embedder.ts';
import { type HiddenStateChoice, layerShape } from './layers.ts';
import { createTable, frameSink, type Pool, poolSink, type Sink, type Table, tableSink } from './sinks.ts';

/** The files that embeddings are written to. */
export const embedFormats = ['npy', 'safetensors', 'parquet'] as const;
/** One of `embedFormats`. */
export type EmbedFormat = (typeof embedFormats)[number];

/** Where hidden states go, and as what. */
export interface EmbedOutputOptions {
  /** A file for one audio file, by its ending .npy, .safetensors or .parquet; a .parquet for all; else a folder. */
  out: string;
  /** Of the files in a folder; default npy. */
  format?: EmbedFormat;
  pool?: Pool;
  dtype?: FloatDtype;
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

const endings: Record<EmbedFormat, string> = { npy: '.npy', safetensors: '.safetensors', parquet: '.parquet' };

const formatOf = (path: string): EmbedFormat | undefined =>
  embedFormats.find((format) => endings[format] === extname(path).toLowerCase());

/** Where the output of each goes. @throws Error when two would go to one place. */
function placesOf(items: readonly AudioItem[], { out, format = 'npy' }: EmbedOutputOptions): string[] {
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

/** Which files a run writes. */
export interface OutputPlan {
  kind: 'file' | 'table' | 'folder';
  /** The file that each sound goes to. */
  places: string[];
}

/** @throws Error when `out`, its name and the other options do not suit each other or the inputs. */
export async function planOutput(
  items: readonly AudioItem[],
  inputs: readonly string[],
  options: EmbedOutputOptions,
): Promise<OutputPlan> {
  const { out, format, dtype } = options;
  const named = formatOf(out);
  const isFolder = existsSync(out) && statSync(out).isDirectory();
  // One file goes to what --out says, whatever that is called.
  const alone = items.length === 1 && !isFolder && (named !== undefined || items[0].path === inputs[0]);
  const several = named === 'parquet' ? 'table' : 'folder';
  const kind = alone ? 'file' : several;
  if (named !== undefined && kind === 'folder') {
    throw new Error(`${out}: ${items.length} files go into a folder, or into one .parquet; give one of these as --out`);
  }
  if (named !== undefined && format !== undefined && format !== named) {
    throw new Error(`${out}: the name says ${named}, --format ${format}; leave out one of them`);
  }
  if (dtype === 'F16' && (named ?? format) === 'parquet') {
    throw new Error('a parquet file holds floats of 32 bits; leave out --dtype f16');
  }
  if (kind === 'folder') return { kind, places: placesOf(items, options) };
  await checkOutputFile('--out', out);
  checkNotInput('--out', out, [...inputs, ...items.map(({ path }) => path)]);
  return { kind, places: items.map(() => out) };
}

/** A sound whose hidden states are to be written. */
interface Sound {
  path: string;
  sampleRate: number;
  frames: number;
}

/** What the hidden states of a run are written with. */
export interface Outputs {
  /** Sounds whose output is whole. */
  readonly written: readonly EmbeddedFile[];
  open(sound: Sound, place: string): Promise<Sink>;
  /** All sounds were given. */
  finish(): Promise<void>;
  /** Removes what is not whole: files that are being written, and a table of all with all that is in it. */
  abort(): Promise<void>;
}

/** What of the model and the options tells how hidden states are laid out. */
interface Layout {
  model: PretrainedModel;
  embedder: Embedder;
  choice: HiddenStateChoice;
  pool: Pool;
}

/** Rows of a table: of the common one, which is finished when all sounds are in it, or of one for this sound. */
async function openTableSink(
  { model, embedder: { layers, dim }, pool }: Layout,
  { path }: Sound,
  place: string,
  common: Table | undefined,
): Promise<Sink> {
  const table = common ?? (await createTable(place, pool !== 'none'));
  const finish = async () => (common ? undefined : table.finish());
  const abort = async () => (common ? undefined : table.abort());
  if (pool === 'none') {
    const { reach, hop } = model.frame;
    const secondsOf = (frame: number) => (frame * hop + reach / 2) / model.sampleRate;
    return { ...tableSink(table, path, layers, dim, secondsOf), finish, abort };
  }
  const done = async (embedding: Float32Array[]) => {
    await table.append({ path: embedding.map(() => path), layer: [...layers], embedding });
    await finish();
  };
  return poolSink(pool, layers.length, dim, done, abort);
}

/** An array in a file of its own. */
async function openArraySink(
  { model, embedder: { layers, dim }, choice, pool }: Layout,
  { frames }: Sound,
  place: string,
  { format, dtype, shape }: { format: Exclude<EmbedFormat, 'parquet'>; dtype: FloatDtype; shape: readonly number[] },
): Promise<Sink> {
  const metadata = {
    format: 'pt',
    sample_rate: String(model.sampleRate),
    hop: String(model.frame.hop),
    layers: choice === 'mean' ? 'mean' : layers.join(','),
    pool,
  };
  const target =
    format === 'npy'
      ? await createNpy(place, shape, { dtype })
      : await createSafetensors(place, 'hidden_states', shape, { dtype, metadata });
  if (pool === 'none') return frameSink(target, frames, dim);
  const done = async (pooled: Float32Array[]) => {
    for (const [i, values] of pooled.entries()) await target.write(i * dim, values);
    await target.finish();
  };
  return poolSink(pool, layers.length, dim, done, () => target.abort());
}

/** Opens the outputs of a run; of a table of all the file is made at once. */
export async function openOutputs(
  options: EmbedOutputOptions & { model: PretrainedModel; layers?: HiddenStateChoice },
  { kind }: OutputPlan,
  embedder: Embedder,
): Promise<Outputs> {
  const { out, pool = 'none', dtype = 'F32', model, layers: choice = 'all' } = options;
  const layout: Layout = { model, embedder, choice, pool };
  const table = kind === 'table' ? await createTable(out, pool !== 'none') : undefined;
  const leading = layerShape(choice, model.student.config.numHiddenLayers + 1);
  const open = new Set<Sink>();
  let written: EmbeddedFile[] = [];
  return {
    get written() {
      return written;
    },
    async open(sound, place) {
      const { path, sampleRate, frames } = sound;
      if (kind === 'folder') await makeFolder(dirname(place));
      const format = formatOf(place) ?? options.format ?? 'npy';
      const shape = [...leading, ...(pool === 'none' ? [frames] : []), embedder.dim];
      const sink =
        format === 'parquet'
          ? await openTableSink(layout, sound, place, table)
          : await openArraySink(layout, sound, place, { format, dtype, shape });
      const tracked: Sink = {
        write: (window, states) => sink.write(window, states),
        async finish() {
          await sink.finish();
          open.delete(tracked);
          written.push({ input: path, out: place, shape, sampleRate, frames });
        },
        async abort() {
          open.delete(tracked);
          await sink.abort();
        },
      };
      open.add(tracked);
      return tracked;
    },
    finish: async () => table?.finish(),
    async abort() {
      for (const sink of open) await sink.abort().catch(() => {});
      await table?.abort();
      if (table) written = [];
    },
  };
}

/** Files of music to files of hidden states. */
import { existsSync } from 'node:fs';
import { AudioError, type AudioPieces, type ByteSource, openPieces, type ResampleQuality } from '@dawnchorus/dsp';
import { listAudio } from '../data/collection.ts';
import { type AudioItem, withBytes } from '../data/places.ts';
import { reasonLines, type SkippedFile } from '../data/skipped.ts';
import type { PretrainedModel } from '../model/pretrained.ts';
import { createEmbedder, type Embedder, type EmbedSettings } from './embedder.ts';
import { type EmbeddedFile, type EmbedOutputOptions, openOutputs, planOutput } from './outputs.ts';

/** What to embed, how, and where it goes. */
export interface EmbedFilesOptions extends EmbedSettings, EmbedOutputOptions {
  model: PretrainedModel;
  /** Audio files, folders, manifests, archives: see `listAudio`. */
  inputs: readonly string[];
  /** How files of other rates are brought to the model's; `never` leaves them out. Default kaiser64. */
  resample?: ResampleQuality | 'never';
  /** Leave files alone whose output is there. */
  skipExisting?: boolean;
  /** Asked before each file; true ends the run. */
  stopped?(): boolean;
  /** Told of each file when it was heard. */
  onFile?(number: number, total: number): void;
}

/** What became of the files. */
export interface EmbedResult {
  finished: boolean;
  written: readonly EmbeddedFile[];
  existing: number;
  /** Files and archives that could not be used. */
  skipped: SkippedFile[];
}

/** Files that are named one by one. */
const NAMED = 20;

/**
 * The music of all inputs, and what of folders cannot be listed.
 *
 * @throws Error when there is none, with the reasons; what `listAudio` throws of an input that is no folder.
 */
async function listInputs(inputs: readonly string[]): Promise<{ items: AudioItem[]; skipped: SkippedFile[] }> {
  const lists = await Promise.all(
    inputs.map(async (input) => {
      const skipped: SkippedFile[] = [];
      return { items: await listAudio(input, (path, reason) => skipped.push({ path, reason })), skipped };
    }),
  );
  const items = lists.flatMap((list) => list.items);
  const skipped = lists.flatMap((list) => list.skipped);
  if (items.length === 0) {
    throw new Error(`${inputs.join(', ')}: no audio files (wav, flac, mp3, ogg, opus) there${reasonLines(skipped)}`);
  }
  return { items, skipped };
}

/** Opens sounds at the model's rate, and tells of those that have another. */
function createOpener({ model, resample = 'kaiser64', log = () => {} }: EmbedFilesOptions) {
  let resampled = 0;
  return {
    /** @throws AudioError when a sound has another rate and must not be resampled. */
    async open(path: string, bytes: ByteSource): Promise<AudioPieces> {
      const audio = await openPieces(bytes, {
        sampleRate: model.sampleRate,
        ...(resample !== 'never' && { quality: resample }),
      });
      const from = audio.file.sampleRate;
      if (from === model.sampleRate) return audio;
      if (resample === 'never') {
        throw new AudioError(
          path,
          'unsupported',
          `has ${from} Hz, the model hears ${model.sampleRate}; resample it, or leave out --resample never`,
        );
      }
      if (resampled++ < NAMED) {
        log(`${path}: ${from} Hz, resampled to the model’s ${model.sampleRate} Hz (${resample})`);
      }
      return audio;
    },
    /** Tells how many more there were than were named. */
    summarise(): void {
      if (resampled > NAMED) log(`and ${resampled - NAMED} more files were resampled to ${model.sampleRate} Hz`);
    },
  };
}

/** @throws AudioError when a sound is shorter than a frame. */
function framesOf(
  { path }: AudioItem,
  { samples }: AudioPieces,
  embedder: Embedder,
  { frame }: PretrainedModel,
): number {
  const frames = embedder.frames(samples);
  if (frames > 0) return frames;
  throw new AudioError(
    path,
    'empty',
    `embed: ${samples} samples are less than the ${frame.reach} that one frame needs; use a longer clip`,
  );
}

/**
 * Writes hidden states of files of any length. Memory holds a batch of windows. A file's output appears when it is whole;
 * of several files, and of the archives in a folder, those that cannot be used are left out and listed, of one it is an
 * error.
 *
 * @throws Error when `out` does not suit the inputs, and as `createEmbedder` does.
 */
export async function embedFiles(options: EmbedFilesOptions): Promise<EmbedResult> {
  const { model, inputs, skipExisting, stopped, onFile } = options;
  const { items, skipped } = await listInputs(inputs);
  const plan = await planOutput(items, inputs, options);
  const embedder = createEmbedder(model, options);
  const outputs = await openOutputs(options, plan, embedder);
  const sounds = createOpener(options);
  let finished = true;
  let existing = 0;

  const embedOne = (item: AudioItem, place: string): Promise<void> =>
    withBytes(item, async (bytes) => {
      const { path } = item;
      const audio = await sounds.open(path, bytes);
      const frames = framesOf(item, audio, embedder, model);
      await embedder.add(audio, await outputs.open({ path, sampleRate: audio.file.sampleRate, frames }, place));
    });

  try {
    for (const [i, item] of items.entries()) {
      if (stopped?.()) {
        finished = false;
        break;
      }
      const place = plan.places[i];
      if (skipExisting && plan.kind !== 'table' && existsSync(place)) {
        existing++;
      } else {
        try {
          await embedOne(item, place);
        } catch (error) {
          if (plan.kind === 'file' || !(error instanceof AudioError)) throw error;
          skipped.push({ path: item.path, reason: error.message.replace(`${error.path}: `, '') });
        }
      }
      onFile?.(i + 1, items.length);
    }
    await embedder.flush();
    sounds.summarise();
    // Half a table would look like a whole one.
    if (finished) await outputs.finish();
    else await outputs.abort();
  } catch (error) {
    await outputs.abort();
    throw error;
  }
  return { finished, written: outputs.written, existing, skipped };
}

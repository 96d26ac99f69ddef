import { type AudioInfo, resampledLength } from '@dawnchorus/dsp';
import { hostRandom, purpose, sampleWithoutReplacement } from '../random.ts';
import { listAudio } from './collection.ts';
import { type AudioItem, checkItem, checkKnown } from './places.ts';
import { CACHE_BYTES, createReaders, ReaderError } from './workers.ts';

export { dataFolders } from './collection.ts';

/** A file that cannot be used, and why. */
export interface SkippedFile {
  path: string;
  reason: string;
}

/** Which crops of which files a dataset hands out. */
export interface DatasetOptions {
  /** Music: a folder, a manifest, a tar archive or a parquet file, see `listAudio`. */
  folder: string;
  /** Hz */
  sampleRate: number;
  /** Samples of a crop at that rate. */
  cropSamples: number;
  seed: number;
  /** Threads that decode; with 0, the default, the calling one does. What is read is the same. */
  workers?: number;
  /** Why a file is not to be used, where it is not. */
  exclude?(path: string): string | undefined;
  /** The last sample, at that rate, that a crop of a file may begin at; default what its length allows. */
  latestStart?(path: string): number;
  /** Told now and then how many of how many files were looked at. */
  onFile?(number: number, total: number): void;
}

/** A crop and where it comes from. */
export interface PlacedCrop {
  samples: Float32Array;
  path: string;
  /** Its first sample in the file, at the dataset's rate; a multiple of 320. */
  start: number;
}

/** A collection of music, handed out in crops. */
export interface Dataset {
  /** Files in use. */
  files: readonly AudioInfo[];
  /** Files left out so far: found broken when the folder was opened, or later when they were read. */
  skipped: readonly SkippedFile[];
  /** Crops of silence handed out so far. */
  silentCrops: number;
  /** Seconds of audio in use. */
  seconds: number;
  /** Crop number `index`, mono: which file and which part depends on seed and index alone. */
  readCrop(index: number): Promise<Float32Array>;
  /** The same, with its place. */
  readPlaced(index: number): Promise<PlacedCrop>;
  /** Ends its threads; nothing can be read any more. */
  close(): Promise<void>;
}

const ATTEMPTS = 100;
/** Longer files are read crop by crop. */
const WHOLE_FILE_SECONDS = 600;
/** Files whose headers are looked at at once. */
const LOOKED_AT = 16;

/** What is wrong with a file, without its path, which stands before it. */
export function reasonOf(error: unknown, { path, place }: Pick<AudioItem, 'path' | 'place'>): string {
  return String((error as Error).message)
    .replace(`${path}: `, '')
    .replace(`${place.file}: `, '')
    .replace(` '${place.file}'`, '');
}

/** Whether a manifest says all that is needed of a file, so that it is not opened before it is read. */
const isTold = ({ known }: AudioItem): boolean => known?.sampleRate !== undefined && known.frames !== undefined;

/** What a file holds: its header says, unless the manifest has told all that is needed. */
async function infoOf(item: AudioItem): Promise<AudioInfo> {
  const { path, known = {} } = item;
  const { sampleRate, frames, channels = 1, format = 'wav' } = known;
  if (sampleRate !== undefined && frames !== undefined) {
    return { path, format, sampleRate, channels, frames, duration: frames / sampleRate };
  }
  const info = await checkItem(item);
  checkKnown(item, info);
  return info;
}

/**
 * Opens a collection of music. Broken, truncated and too short files are left out and listed. The headers of files are
 * looked at first; those that a manifest tells rate and samples of are taken at its word, and found out when they are read.
 *
 * @throws Error when nothing usable is left, with the reasons.
 */
export async function openDataset(options: DatasetOptions): Promise<Dataset> {
  const { folder, sampleRate, cropSamples, seed, exclude, latestStart, workers = 0, onFile } = options;
  const skipped: SkippedFile[] = [];
  const named = new Set<string>();
  const skip = (path: string, reason: string) => {
    if (named.has(path)) return;
    named.add(path);
    skipped.push({ path, reason });
  };
  const items = await listAudio(folder, skip);
  const files: AudioInfo[] = [];
  const used: AudioItem[] = [];
  for (let at = 0; at < items.length; at += LOOKED_AT) {
    const some = items.slice(at, at + LOOKED_AT);
    const looked = await Promise.all(
      some.map(async (item) => {
        const reason = exclude?.(item.path);
        if (reason !== undefined) return reason;
        return infoOf(item).catch((error) => reasonOf(error, item));
      }),
    );
    for (const [i, info] of looked.entries()) {
      const { path } = some[i];
      if (typeof info === 'string') skip(path, info);
      else if (info.duration * sampleRate < cropSamples) {
        skip(path, `too short: ${info.duration.toFixed(2)} s, a crop is ${(cropSamples / sampleRate).toFixed(2)} s`);
      } else {
        files.push(info);
        used.push(some[i]);
      }
    }
    onFile?.(Math.min(items.length, at + LOOKED_AT), items.length);
  }
  if (files.length === 0) {
    const reasons = skipped.slice(0, 5).map(({ path, reason }) => `\n  ${path}: ${reason}`);
    throw new Error(
      items.length === 0 && skipped.length === 0
        ? `${folder}: no audio files (wav, flac, mp3, ogg, opus) in this folder or below it`
        : `${folder}: none of its ${skipped.length} audio files can be used:${reasons.join('')}`,
    );
  }
  const readers = createReaders(workers);
  const seconds = files.reduce((sum, file) => sum + file.duration, 0);
  // Of a collection that fits into memory files are decoded once; of a larger one no file would come again in time.
  const fits = seconds * sampleRate * Float32Array.BYTES_PER_ELEMENT <= CACHE_BYTES;
  const orders = new Map<number, number[]>();

  /** The files' order in an epoch. */
  function order(epoch: number): number[] {
    let found = orders.get(epoch);
    if (!found) {
      found = sampleWithoutReplacement(hostRandom(seed, purpose.order, epoch), files.length, files.length);
      if (orders.size > 4) orders.clear();
      orders.set(epoch, found);
    }
    return found;
  }

  const dataset: Dataset = {
    files,
    skipped,
    silentCrops: 0,
    seconds,
    async readCrop(index) {
      return (await dataset.readPlaced(index)).samples;
    },
    async readPlaced(index) {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const seeds = [seed, purpose.crop, index, attempt];
        // A file that turns out broken is replaced by a draw, which depends on the index alone, not on what was read before.
        const at =
          attempt === 0
            ? order(Math.floor(index / files.length))[index % files.length]
            : hostRandom(...seeds).integer(0, files.length - 1);
        const { path, duration, frames, sampleRate: own } = files[at];
        const { place, known, manifest } = used[at];
        try {
          const crop = await readers.read(
            {
              // A header that was looked at need not be held against the manifest again.
              item: { path, place, ...(isTold(used[at]) && { known, manifest }) },
              file: at,
              total: resampledLength(frames, own, sampleRate),
              whole: fits && duration <= WHOLE_FILE_SECONDS,
              sampleRate,
              cropSamples,
              latestStart: latestStart?.(path) ?? Number.POSITIVE_INFINITY,
              seeds,
              drawn: attempt === 0 ? 0 : 1,
            },
            at,
          );
          if (crop.silent) dataset.silentCrops++;
          return { samples: crop.samples, path, start: crop.start };
        } catch (error) {
          if (error instanceof ReaderError) throw error;
          skip(path, reasonOf(error, used[at]));
        }
      }
      const reasons = skipped.slice(0, 5).map(({ path, reason }) => `\n  ${path}: ${reason}`);
      throw new Error(`${folder}: ${ATTEMPTS} files in a row could not be read:${reasons.join('')}`);
    },
    close: () => readers.close(),
  };
  return dataset;
}

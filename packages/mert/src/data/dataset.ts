import { type AudioInfo, resampledLength } from '@dawnchorus/dsp';
import { hostRandom, purpose, sampleWithoutReplacement } from '../random.ts';
import { listAudio } from './collection.ts';
import { type AudioItem, checkItem, checkKnown } from './places.ts';
import { createSkipList, reasonLines, reasonOf, type SkipFile, type SkippedFile } from './skipped.ts';
import { CACHE_BYTES, createReaders, ReaderError } from './workers.ts';

export { dataFolders } from './collection.ts';
export { reasonOf, type SkipFile, type SkippedFile } from './skipped.ts';

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

/** A file in use. */
interface UsedFile {
  item: AudioItem;
  info: AudioInfo;
}

/** Looks at the headers of files, some at once: those that can be used, in their order; of the others `skip` is told. */
async function usableFiles(
  items: readonly AudioItem[],
  { sampleRate, cropSamples, exclude, onFile }: DatasetOptions,
  skip: SkipFile,
): Promise<UsedFile[]> {
  const look = async (item: AudioItem): Promise<AudioInfo | string> =>
    exclude?.(item.path) ?? infoOf(item).catch((error) => reasonOf(error, item));
  const used: UsedFile[] = [];
  for (let at = 0; at < items.length; at += LOOKED_AT) {
    const some = items.slice(at, at + LOOKED_AT);
    for (const [i, info] of (await Promise.all(some.map(look))).entries()) {
      const item = some[i];
      if (typeof info === 'string') skip(item.path, info);
      else if (info.duration * sampleRate >= cropSamples) used.push({ item, info });
      else {
        const crop = (cropSamples / sampleRate).toFixed(2);
        skip(item.path, `too short: ${info.duration.toFixed(2)} s, a crop is ${crop} s`);
      }
    }
    onFile?.(Math.min(items.length, at + LOOKED_AT), items.length);
  }
  return used;
}

/** Which file a crop is of: each once an epoch, in an order of that epoch. */
function createOrder(seed: number, count: number): (index: number) => number {
  const orders = new Map<number, number[]>();
  return (index) => {
    const epoch = Math.floor(index / count);
    let order = orders.get(epoch);
    if (!order) {
      order = sampleWithoutReplacement(hostRandom(seed, purpose.order, epoch), count, count);
      if (orders.size > 4) orders.clear();
      orders.set(epoch, order);
    }
    return order[index % count];
  };
}

/**
 * Opens a collection of music. Broken, truncated and too short files are left out and listed. The headers of files are
 * looked at first; those that a manifest tells rate and samples of are taken at its word, and found out when they are read.
 *
 * @throws Error when nothing usable is left, with the reasons.
 */
export async function openDataset(options: DatasetOptions): Promise<Dataset> {
  const { folder, sampleRate, cropSamples, seed, latestStart, workers = 0 } = options;
  const { skipped, skip } = createSkipList();
  const items = await listAudio(folder, skip);
  const used = await usableFiles(items, options, skip);
  if (used.length === 0) {
    throw new Error(
      items.length === 0 && skipped.length === 0
        ? `${folder}: no audio files (wav, flac, mp3, ogg, opus) in this folder or below it`
        : `${folder}: none of its ${skipped.length} audio files can be used:${reasonLines(skipped)}`,
    );
  }
  const readers = createReaders(workers);
  const files = used.map(({ info }) => info);
  const seconds = files.reduce((sum, file) => sum + file.duration, 0);
  // Of a collection that fits into memory files are decoded once; of a larger one no file would come again in time.
  const fits = seconds * sampleRate * Float32Array.BYTES_PER_ELEMENT <= CACHE_BYTES;
  const fileOfIndex = createOrder(seed, files.length);

  /** A crop of file number `file`: `seeds` draw its place, after `drawn` numbers that were drawn for other things. */
  function readCropOf(file: number, seeds: number[], drawn: number) {
    const { item, info } = used[file];
    const { path, place, known, manifest } = item;
    return readers.read(
      {
        // A header that was looked at need not be held against the manifest again.
        item: { path, place, ...(isTold(item) && { known, manifest }) },
        file,
        total: resampledLength(info.frames, info.sampleRate, sampleRate),
        whole: fits && info.duration <= WHOLE_FILE_SECONDS,
        ...{ sampleRate, cropSamples, seeds, drawn },
        latestStart: latestStart?.(path) ?? Number.POSITIVE_INFINITY,
      },
      file,
    );
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
        const isDrawn = attempt > 0;
        const file = isDrawn ? hostRandom(...seeds).integer(0, files.length - 1) : fileOfIndex(index);
        const { item } = used[file];
        try {
          const { samples, start, silent } = await readCropOf(file, seeds, isDrawn ? 1 : 0);
          if (silent) dataset.silentCrops++;
          return { samples, path: item.path, start };
        } catch (error) {
          if (error instanceof ReaderError) throw error;
          skip(item.path, reasonOf(error, item));
        }
      }
      throw new Error(`${folder}: ${ATTEMPTS} files in a row could not be read:${reasonLines(skipped)}`);
    },
    close: () => readers.close(),
  };
  return dataset;
}

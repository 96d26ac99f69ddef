import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { AudioError, type AudioInfo, audioFiles, checkAudio, readAudio } from '@dawnchorus/dsp';
import { hostRandom, purpose, sampleWithoutReplacement } from '../random.ts';

/** A file that cannot be used, and why. */
export interface SkippedFile {
  path: string;
  reason: string;
}

/** Which crops of which files a dataset hands out. */
export interface DatasetOptions {
  /** Searched recursively for wav, flac, mp3, ogg and opus files. */
  folder: string;
  /** Hz */
  sampleRate: number;
  /** Samples of a crop at that rate. */
  cropSamples: number;
  seed: number;
  /** Why a file is not to be used, where it is not. */
  exclude?(path: string): string | undefined;
  /** The last sample, at that rate, that a crop of a file may begin at; default what its length allows. */
  latestStart?(path: string): number;
}

/** A crop and where it comes from. */
export interface PlacedCrop {
  samples: Float32Array;
  path: string;
  /** Its first sample in the file, at the dataset's rate; a multiple of 320. */
  start: number;
}

/** A folder of music, handed out in crops. */
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
}

/** What is trained on and what is held out: the folders train and valid of a folder that has both, else all of it. */
export function dataFolders(folder: string): { train: string; valid: string | undefined } {
  const [train, valid] = [join(folder, 'train'), join(folder, 'valid')];
  return existsSync(train) && existsSync(valid) ? { train, valid } : { train: folder, valid: undefined };
}

/** Crops start on the teachers' grid, so that labels and frames line up. */
const GRID = 320;
/** Longer files are read crop by crop; shorter ones are decoded once and kept. */
const WHOLE_FILE_SECONDS = 600;
const CACHE_BYTES = 1 << 29;
const ATTEMPTS = 100;

function describe(error: unknown): string {
  return error instanceof AudioError ? error.message.replace(`${error.path}: `, '') : String((error as Error).message);
}

/** Decoded files, the least recently used dropped first. */
function createCache(sampleRate: number) {
  const cache = new Map<string, Promise<Float32Array>>();
  let bytes = 0;
  return (path: string): Promise<Float32Array> => {
    const cached = cache.get(path);
    if (cached !== undefined) {
      cache.delete(path);
      cache.set(path, cached);
      return cached;
    }
    const decoded = readAudio(path, { sampleRate }).then(({ samples }) => {
      bytes += samples.byteLength;
      return samples;
    });
    cache.set(path, decoded);
    decoded.catch(() => cache.delete(path));
    if (bytes > CACHE_BYTES) {
      const [[oldest, dropped]] = cache;
      // One that cannot be read counted for nothing, and whoever asked for it gets the error.
      dropped.then(
        (samples) => {
          bytes -= samples.byteLength;
        },
        () => {},
      );
      cache.delete(oldest);
    }
    return decoded;
  };
}

/**
 * Opens a folder of music. Broken, truncated and too short files are left out and listed.
 *
 * @throws Error when nothing usable is left, with the reasons.
 */
export async function openDataset(options: DatasetOptions): Promise<Dataset> {
  const { folder, sampleRate, cropSamples, seed, exclude, latestStart } = options;
  const paths = await audioFiles(folder);
  const files: AudioInfo[] = [];
  const skipped: SkippedFile[] = [];
  const skip = (path: string, reason: string) => {
    if (!skipped.some((entry) => entry.path === path)) skipped.push({ path, reason });
  };
  for (const path of paths) {
    try {
      const reason = exclude?.(path);
      if (reason !== undefined) {
        skip(path, reason);
        continue;
      }
      const info = await checkAudio(path);
      if (info.duration * sampleRate < cropSamples) {
        skip(path, `too short: ${info.duration.toFixed(2)} s, a crop is ${(cropSamples / sampleRate).toFixed(2)} s`);
      } else files.push(info);
    } catch (error) {
      skip(path, describe(error));
    }
  }
  if (files.length === 0) {
    const reasons = skipped.slice(0, 5).map(({ path, reason }) => `\n  ${path}: ${reason}`);
    throw new Error(
      paths.length === 0
        ? `${folder}: no audio files (wav, flac, mp3, ogg, opus) in this folder or below it`
        : `${folder}: none of its ${paths.length} audio files can be used:${reasons.join('')}`,
    );
  }
  const decode = createCache(sampleRate);
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

  async function cropOf(file: AudioInfo, random: ReturnType<typeof hostRandom>): Promise<PlacedCrop> {
    const drawStart = (total: number) => {
      const latest = Math.min(total - cropSamples, latestStart?.(file.path) ?? Number.POSITIVE_INFINITY);
      return random.integer(0, Math.floor(latest / GRID)) * GRID;
    };
    if (file.duration <= WHOLE_FILE_SECONDS) {
      const samples = await decode(file.path);
      if (samples.length < cropSamples) throw new Error('shorter than its header says');
      const start = drawStart(samples.length);
      return { samples: samples.slice(start, start + cropSamples), path: file.path, start };
    }
    const total = Math.floor(file.duration * sampleRate);
    const start = drawStart(total);
    const { samples } = await readAudio(file.path, {
      start: start / sampleRate,
      duration: cropSamples / sampleRate,
      sampleRate,
    });
    if (samples.length < cropSamples) throw new Error('shorter than its header says');
    return { samples: samples.subarray(0, cropSamples), path: file.path, start };
  }

  const dataset = {
    files,
    skipped,
    silentCrops: 0,
    seconds: files.reduce((sum, file) => sum + file.duration, 0),
    async readCrop(index: number): Promise<Float32Array> {
      return (await dataset.readPlaced(index)).samples;
    },
    async readPlaced(index: number): Promise<PlacedCrop> {
      for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
        const random = hostRandom(seed, purpose.crop, index, attempt);
        // A file that turns out broken is replaced by a draw, which depends on the index alone, not on what was read before.
        const at =
          attempt === 0
            ? order(Math.floor(index / files.length))[index % files.length]
            : random.integer(0, files.length - 1);
        try {
          const crop = await cropOf(files[at], random);
          if (!crop.samples.every(Number.isFinite))
            throw new Error('has samples that are not numbers (NaN or infinite)');
          if (crop.samples.every((sample) => Math.abs(sample) < 1e-6)) dataset.silentCrops++;
          return crop;
        } catch (error) {
          skip(files[at].path, describe(error));
        }
      }
      const reasons = skipped.slice(0, 5).map(({ path, reason }) => `\n  ${path}: ${reason}`);
      throw new Error(`${folder}: ${ATTEMPTS} files in a row could not be read:${reasons.join('')}`);
    },
  };
  return dataset;
}

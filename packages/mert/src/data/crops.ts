/** Crops of music, decoded: what a worker does, and the calling thread where there are none. */
import { decodeAudio, openAudio } from '@dawnchorus/dsp';
import { hostRandom } from '../random.ts';
import { type AudioItem, checkKnown, withBytes } from './places.ts';

/** A crop to be read: plain data, so that any thread can do it and get the same. */
export interface CropTask {
  item: Pick<AudioItem, 'path' | 'place' | 'known' | 'manifest'>;
  /** The file's number in its collection: under it a reader keeps what it knows of it. Two files may have one path. */
  file: number;
  /** Samples of the file at that rate, as its header says, or its manifest. */
  total: number;
  /** Whether the file is decoded whole and kept; else what the crop needs alone. The crop is the same. */
  whole: boolean;
  /** Hz */
  sampleRate: number;
  /** Samples of the crop at that rate. */
  cropSamples: number;
  /** The crop may begin at no later sample. */
  latestStart: number;
  /** Of the draw of its start, and how many numbers of it were drawn for other things before. */
  seeds: number[];
  drawn: number;
}

/** A crop that was read. */
export interface ReadCrop {
  samples: Float32Array;
  /** Its first sample in the file, at the crop's rate. */
  start: number;
  silent: boolean;
}

/** Crops start on the teachers' grid, so that labels and frames line up. */
export const GRID = 320;

/** Decoded files, the least recently used dropped first. */
function createCache(bytesKept: number) {
  const cache = new Map<number, Promise<Float32Array>>();
  let bytes = 0;
  return ({ item, file, sampleRate }: CropTask): Promise<Float32Array> => {
    const cached = cache.get(file);
    if (cached !== undefined) {
      cache.delete(file);
      cache.set(file, cached);
      return cached;
    }
    const decoded = withBytes(item, (source) => decodeAudio(source, { sampleRate })).then(({ samples }) => {
      bytes += samples.byteLength;
      return samples;
    });
    cache.set(file, decoded);
    decoded.catch(() => cache.delete(file));
    if (bytes > bytesKept) {
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

/** Audio lies within 1; of what is far beyond, squares spoil the sums of a whole run. */
const LARGEST_SAMPLE = 1e4;

/** A reader of crops that keeps decoded files up to so many bytes. */
export function createCropReader(bytesKept: number): (task: CropTask) => Promise<ReadCrop> {
  const decode = createCache(bytesKept);
  /** Files that were held against their manifest. */
  const checked = new Set<number>();
  return async (task) => {
    const { item, file, total, whole, sampleRate, cropSamples, latestStart, seeds, drawn } = task;
    if (item.known && !checked.has(file)) {
      checkKnown(item, await withBytes(item, openAudio));
      checked.add(file);
    }
    const random = hostRandom(...seeds);
    for (let i = 0; i < drawn; i++) random.uniform();
    const start = random.integer(0, Math.floor(Math.min(total - cropSamples, latestStart) / GRID)) * GRID;
    const part = { start: start / sampleRate, duration: cropSamples / sampleRate, sampleRate };
    const samples = whole
      ? (await decode(task)).slice(start, start + cropSamples)
      : (await withBytes(item, (source) => decodeAudio(source, part))).samples;
    if (samples.length < cropSamples) throw new Error(`shorter than its ${item.known ? 'manifest' : 'header'} says`);
    if (!samples.every(Number.isFinite)) throw new Error('has samples that are not numbers (NaN or infinite)');
    const largest = samples.reduce((most, sample) => Math.max(most, Math.abs(sample)), 0);
    if (largest > LARGEST_SAMPLE) {
      throw new Error(
        `has a sample of ${largest.toPrecision(3)}; audio lies within 1, and at most ${LARGEST_SAMPLE} is used`,
      );
    }
    return { samples, start, silent: largest < 1e-6 };
  };
}

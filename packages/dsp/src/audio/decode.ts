import { checkOptions } from '@dawnchorus/tensor';
import { type ResampleQuality, resampledLength, resampleKernel, resampleRange, resampleSupport } from '../resample.ts';
import type { ByteSource } from './bytes.ts';
import { AudioError } from './error.ts';
import { openAudio } from './open.ts';
import type { AudioStream } from './stream.ts';

/** Which part of a file to read, and at what rate. */
export type ReadOptions = {
  /** Seconds from the start of the file; default 0. */
  start?: number;
  /** Seconds to read; default to the end. Less comes back where the file ends earlier. */
  duration?: number;
  /** Samples a second of the result; default the file's own. */
  sampleRate?: number;
  /** How to resample; default 'kaiser64'. */
  quality?: ResampleQuality;
};

/** A mono signal and its rate in samples a second. */
export type Audio = { samples: Float32Array; sampleRate: number };

/**
 * Decodes audio to mono, the mean of its channels. A part is decoded without what lies far before or after it and is
 * the same as that part of the whole: output sample k of the whole, resampled or not, is sample k - round(start * rate)
 * of the part. Works in browsers too.
 *
 * @throws AudioError for files that cannot be used; 'truncated' when the file ends too early for the part that is asked
 *   for, or, in a read up to the end, when the file does not end as it should
 * @throws RangeError when `start`, `duration` or `sampleRate` makes no sense, or `start` is not before the end
 */
export async function decodeAudio(source: ByteSource, options: ReadOptions = {}): Promise<Audio> {
  checkOptions('decodeAudio', options, ['start', 'duration', 'sampleRate', 'quality']);
  const stream = await openAudio(source);
  const from = stream.sampleRate;
  const rate = options.sampleRate ?? from;
  const kernel = resampleKernel(from, rate, options.quality ?? 'kaiser64');
  const total = resampledLength(stream.frames, from, rate);
  const { first, end } = outputRange(source.name, options, rate, total);
  if (from === rate) {
    return { samples: await readMono(source.name, stream, first, end), sampleRate: rate };
  }
  const support = resampleSupport(kernel, first, end - first);
  const inputFirst = Math.max(0, support.first);
  const inputEnd = Math.min(stream.frames, support.end);
  const input = await readMono(source.name, stream, inputFirst, inputEnd);
  return { samples: resampleRange(input, kernel, inputFirst, first, end - first), sampleRate: rate };
}

function outputRange(name: string, options: ReadOptions, rate: number, total: number) {
  const { start = 0, duration } = options;
  if (!(start >= 0) || !Number.isFinite(start)) {
    throw new RangeError(`${name}: start must be 0 seconds or more, got ${start}`);
  }
  if (duration !== undefined && !(duration > 0)) {
    throw new RangeError(`${name}: duration must be more than 0 seconds, got ${duration}`);
  }
  const first = Math.round(start * rate);
  if (first >= total) {
    throw new RangeError(`${name}: start is ${start} s but the audio is only ${total / rate} s long`);
  }
  const end = duration === undefined ? total : Math.min(total, first + Math.round(duration * rate));
  return { first, end };
}

/** Samples that memory is taken for before any of them was decoded. */
const BELIEVED = 1 << 24;

/** The mean of the channels over sample frames [first, end). */
async function readMono(name: string, stream: AudioStream, first: number, end: number): Promise<Float32Array> {
  // A damaged header promises any number of samples: memory grows as they come.
  let mono = new Float32Array(Math.min(end - first, BELIEVED));
  let filled = 0;
  for await (const piece of monoBlocks(name, stream, first, end)) {
    if (filled + piece.length > mono.length) {
      const longer = new Float32Array(Math.min(end - first, 2 * (filled + piece.length)));
      longer.set(mono);
      mono = longer;
    }
    mono.set(piece, filled);
    filled += piece.length;
  }
  return mono;
}

/** The same as blocks in order, as the decoder gives them. */
export async function* monoBlocks(
  name: string,
  stream: AudioStream,
  first: number,
  end: number,
): AsyncGenerator<Float32Array, void, undefined> {
  if (end === stream.frames) await stream.check();
  let filled = first;
  for await (const { start, channels } of stream.blocks(first, end)) {
    const blockEnd = start + channels[0].length;
    const low = Math.max(filled, start);
    const high = Math.min(end, blockEnd);
    if (low > filled) {
      throw new AudioError(name, 'unreadable', `samples ${filled} to ${low} could not be decoded; the file is damaged`);
    }
    if (high > low) {
      const mono = meanOf(channels, low - start, high - low);
      const bad = mono.findIndex((sample) => !Number.isFinite(sample));
      if (bad >= 0) {
        throw new AudioError(name, 'not-finite', `sample ${low + bad} is ${mono[bad]}; every sample must be finite`);
      }
      yield mono;
    }
    filled = Math.max(filled, high);
    if (filled >= end) break;
  }
  if (filled < end) {
    throw new AudioError(
      name,
      'truncated',
      `the file promises ${stream.frames} samples but ends at sample ${filled}; fetch the file again`,
    );
  }
}

function meanOf(channels: Float32Array[], from: number, count: number): Float32Array {
  const mono = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    let sum = 0;
    for (const channel of channels) sum += channel[from + i];
    mono[i] = sum / channels.length;
  }
  return mono;
}

/** Native FLAC files (RFC 9639), read frame by frame; a frame is found by bisection over the file's bytes. */
import { FLACDecoder } from '@wasm-audio-decoders/flac';
import { type ByteSource, hasText, id3Length, viewOf } from './bytes.ts';
import { crc16Table } from './checksum.ts';
import { AudioError } from './error.ts';
import { type FlacFrame, type FlacInfo, flacFrameEnd, parseFlacFrame, parseStreamInfo } from './flac-frame.ts';
import type { AudioBlock, AudioStream } from './stream.ts';

type Located = FlacFrame & { offset: number };
type Layout = { info: FlacInfo; firstFrame: number; end: number };

/** Opens a FLAC file. FLAC inside Ogg is another container and is not read. */
export async function openFlac(source: ByteSource): Promise<AudioStream> {
  const layout = await readLayout(source);
  const { info } = layout;
  let tail: ReturnType<typeof lastBeforeOther> | undefined;
  /** The last frame before bytes that are none. */
  function withoutTail() {
    tail ??= lastBeforeOther(source, layout);
    return tail;
  }
  const windowBytes = frameWindow(info);
  const frames = info.frames || endOf((await lastFrame(source, layout)) ?? (await withoutTail())?.frame ?? null);
  if (frames === 0) throw new AudioError(source.name, 'empty', 'the FLAC file holds no samples');

  async function check(): Promise<void> {
    const held = endOf(await lastFrame(source, layout));
    if (held >= frames || endOf((await withoutTail())?.frame ?? null) >= frames) return;
    const what = held === 0 ? 'its last frame is cut off or damaged' : `its last frame ends at sample ${held}`;
    throw new AudioError(
      source.name,
      'truncated',
      `the FLAC header promises ${frames} samples but ${what}; fetch the file again`,
    );
  }

  async function* blocks(start: number): AsyncGenerator<AudioBlock, void, undefined> {
    let { end } = layout;
    let offset = (await seekFrame(source, layout, start)).offset;
    const decoder = new FLACDecoder();
    await decoder.ready;
    try {
      await decoder.decodeFrames([info.head]);
      while (offset < end) {
        const window = await source.read(offset, Math.min(windowBytes, end - offset));
        const isLast = offset + window.length === end;
        const batch = splitFrames(window, info, isLast);
        if (batch.frames.length === 0) {
          if (!(await findFrame(source, layout, offset + 1, end))) {
            const last = await withoutTail();
            if (!last || last.end <= offset || last.end >= end) return;
            end = last.end;
            continue;
          }
          throw new AudioError(source.name, 'unreadable', `the FLAC data is damaged at byte ${offset}`);
        }
        const decoded = await decoder.decodeFrames(isLast ? padded(batch.frames) : batch.frames);
        const count = batch.last.sample + batch.last.count - batch.first.sample;
        if (decoded.samplesDecoded !== count) {
          const cause = decoded.errors[0]?.message ?? `${decoded.samplesDecoded} samples came out of ${count}`;
          throw new AudioError(source.name, 'unreadable', `the FLAC data is damaged after byte ${offset}: ${cause}`);
        }
        rescale(decoded.channelData, info.bitsPerSample);
        yield { start: batch.first.sample, channels: decoded.channelData };
        offset += batch.length;
      }
    } finally {
      decoder.free();
    }
  }

  const most = Math.ceil((layout.end - layout.firstFrame) / SHORTEST_FRAME) * 0x10000;
  return { format: 'flac', sampleRate: info.sampleRate, channels: info.channels, frames, most, check, blocks };
}

/** Bytes of a frame of silence, which may hold 65536 samples. */
const SHORTEST_FRAME = 10;
/** Bytes below which a frame is short, and what it is made. */
const SHORT_FRAME = 1024;
const PADDED_FRAME = 4096;

/**
 * Zeros behind a short last frame: of files of some few lengths below 150 samples the decoder writes outside its memory without. A test
 * reads all such lengths.
 */
function padded(frames: Uint8Array[]): Uint8Array[] {
  const last = frames[frames.length - 1];
  if (last.length >= SHORT_FRAME) return frames;
  const longer = new Uint8Array(PADDED_FRAME);
  longer.set(last);
  return [...frames.slice(0, -1), longer];
}

/**
 * The decoder divides integers by 2^(bits - 1) - 1; everything else here, and other libraries, by 2^(bits - 1). Rounding
 * gives the integers back first, so that a FLAC file and the WAV file it was made from give the same samples.
 */
function rescale(channels: Float32Array[], bits: number): void {
  const scale = 2 ** (bits - 1);
  for (const channel of channels) {
    for (let i = 0; i < channel.length; i++) channel[i] = Math.round(channel[i] * (scale - 1)) / scale;
  }
}

function endOf(frame: FlacFrame | null): number {
  return frame ? frame.sample + frame.count : 0;
}

/** Bytes that surely hold two whole frames and the header after them. */
function frameWindow(info: FlacInfo): number {
  const largestFrame =
    Math.ceil((info.largestBlock * info.channels * (info.bitsPerSample + 1)) / 8) + 64 * info.channels;
  return Math.max(1 << 16, 2 * largestFrame + 64);
}

/** The whole frames at the start of `window`. */
function splitFrames(window: Uint8Array, info: FlacInfo, isLast: boolean) {
  const frames: Uint8Array[] = [];
  let first: FlacFrame = { sample: 0, count: 0 };
  let last = first;
  let at = 0;
  for (;;) {
    const frame = parseFlacFrame(window, at, info);
    const end = frame && flacFrameEnd(window, at, window.length, info, isLast);
    if (!frame || end === null) return { frames, first, last, length: at };
    if (frames.length === 0) first = frame;
    last = frame;
    frames.push(window.subarray(at, end));
    at = end;
  }
}

/** The first whole frame that begins in [offset, limit), or null. */
async function findFrame(source: ByteSource, layout: Layout, offset: number, limit: number): Promise<Located | null> {
  const { info, end } = layout;
  const windowBytes = frameWindow(info);
  for (let from = offset; from < limit; from += windowBytes) {
    // Twice as much as is searched, so that a frame that begins at the end of the window is whole in it.
    const window = await source.read(from, Math.min(2 * windowBytes, end - from));
    const isLast = from + window.length === end;
    const searched = Math.min(windowBytes, limit - from, window.length);
    for (let at = 0; at < searched; at++) {
      if (window[at] !== 0xff) continue;
      const frame = parseFlacFrame(window, at, info);
      if (frame && flacFrameEnd(window, at, window.length, info, isLast) !== null)
        return { ...frame, offset: from + at };
    }
  }
  return null;
}

/** The frame that holds sample `sample`. */
async function seekFrame(source: ByteSource, layout: Layout, sample: number): Promise<Located> {
  // Alone and before other bytes than frames, it cannot be told to be whole yet.
  const head = await source.read(layout.firstFrame, 32);
  const alone = parseFlacFrame(head, 0, layout.info);
  const first = alone && { ...alone, offset: layout.firstFrame };
  if (!first) {
    throw new AudioError(source.name, 'truncated', 'the FLAC file ends or is damaged inside its first frame');
  }
  let found = first;
  let low = layout.firstFrame + 1;
  let high = layout.end;
  while (low < high && endOf(found) <= sample) {
    const middle = low + Math.floor((high - low) / 2);
    const frame = await findFrame(source, layout, middle, high);
    if (frame && frame.sample <= sample) {
      found = frame;
      low = frame.offset + 1;
    } else {
      high = middle;
    }
  }
  return found;
}

/** The frame that ends exactly at the end of the file, or null when the file ends inside one. */
async function lastFrame(source: ByteSource, layout: Layout): Promise<Located | null> {
  const { info, firstFrame, end } = layout;
  const start = Math.max(firstFrame, end - frameWindow(info));
  let last: Located | null = null;
  const window = await source.read(start, end - start);
  let at = 0;
  while (at < window.length) {
    const frame = window[at] === 0xff ? parseFlacFrame(window, at, info) : null;
    const frameEnd = frame && flacFrameEnd(window, at, window.length, info, true);
    if (frame && frameEnd !== null) last = { ...frame, offset: start + at };
    if (frameEnd === window.length) return last;
    at = frameEnd ?? at + 1;
  }
  return null;
}

/**
 * The last frame and where it ends, when other bytes follow it: tags, or what a program left there. Its end is where the
 * checksum comes out, which it also does by chance, and all its samples can be decoded. Null when it is not whole.
 */
async function lastBeforeOther(source: ByteSource, layout: Layout): Promise<{ frame: FlacFrame; end: number } | null> {
  const { info, end } = layout;
  const { offset } = await seekFrame(source, layout, Number.POSITIVE_INFINITY);
  const window = await source.read(offset, Math.min(2 * frameWindow(info), end - offset));
  const start = flacFrameEnd(window, 0, window.length, info, false) ?? 0;
  const frame = parseFlacFrame(window, start, info);
  if (!frame || endOf(frame) < info.frames) return null;
  let crc = 0;
  for (let i = start; i < window.length; i++) {
    crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ window[i]];
    if (crc !== 0 || i < start + SHORTEST_FRAME - 1) continue;
    if (await decodes(window.subarray(start, i + 1), info, frame.count)) return { frame, end: offset + i + 1 };
  }
  return null;
}

/** Whether a frame's bytes hold all its samples. */
async function decodes(bytes: Uint8Array, info: FlacInfo, count: number): Promise<boolean> {
  const decoder = new FLACDecoder();
  await decoder.ready;
  try {
    await decoder.decodeFrames([info.head]);
    const { samplesDecoded, errors } = await decoder.decodeFrames(padded([bytes]));
    return samplesDecoded === count && errors.length === 0;
  } finally {
    decoder.free();
  }
}

async function readLayout(source: ByteSource): Promise<Layout> {
  let offset = (await id3Length(source)) + 4;
  let info: FlacInfo | null = null;
  for (let isLast = false; !isLast; ) {
    const head = await source.read(offset, 4);
    if (head.length < 4) throw new AudioError(source.name, 'truncated', 'the FLAC file ends inside its headers');
    isLast = (head[0] & 0x80) !== 0;
    const size = viewOf(head).getUint32(0) & 0xffffff;
    if ((head[0] & 0x7f) === 0) {
      const body = await source.read(offset + 4, 34);
      if (body.length < 34) throw new AudioError(source.name, 'truncated', 'the FLAC file ends inside its headers');
      info = parseStreamInfo(body);
    }
    offset += 4 + size;
  }
  if (!info || info.sampleRate === 0) {
    throw new AudioError(source.name, 'unreadable', 'the FLAC file has no STREAMINFO block with a sample rate');
  }
  if (offset >= source.size) {
    const reason = info.frames === 0 && offset === source.size ? 'empty' : 'truncated';
    throw new AudioError(source.name, reason, 'the FLAC file ends after its headers, without samples');
  }
  const tag = await source.read(Math.max(offset, source.size - 128), 3);
  const end = hasText(tag, 0, 'TAG') ? source.size - 128 : source.size;
  return { info, firstFrame: offset, end };
}

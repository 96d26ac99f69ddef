/** MP3 files. Frames have no numbers, so a position is found by walking over the frame headers, without decoding. */
import { MPEGDecoder } from 'mpg123-decoder';
import { type ByteSource, hasText, id3Length } from './bytes.ts';
import { AudioError } from './error.ts';
import { type Mp3Frame, parseMp3Frame, parseMp3Tag, sameStream } from './mp3-frame.ts';
import type { AudioBlock, AudioStream } from './stream.ts';

/** Samples by which every decoder is late, besides the encoder's own delay (LAME technical FAQ). */
const decoderDelay = 529;
/** A frame may take bits from the 511 bytes before it, which are up to 20 frames at the lowest rates. */
const preRollFrames = 24;
/** Bytes of a frame at 8 kbit/s and 24 kHz. */
const SHORTEST_FRAME = 24;
const framesPerBatch = 64;
const scanBytes = 1 << 20;
/** How far into a file the first frame is looked for. */
const searchBytes = 1 << 16;

type Scan = { offsets: number[]; end: number; isCut: boolean };

/** Where the first of three frames in a row stands, or null: fewer would also be found in files that are no audio. */
export async function findMp3(
  source: ByteSource,
  search: boolean,
): Promise<{ offset: number; frame: Mp3Frame } | null> {
  const start = await id3Length(source);
  const bytes = await source.read(start, searchBytes + 8192);
  for (let at = 0; at < (search ? Math.min(searchBytes, bytes.length) : 1); at++) {
    const frame = parseMp3Frame(bytes, at);
    if (frame && isRow(bytes, at, frame, start + bytes.length === source.size)) return { offset: start + at, frame };
  }
  return null;
}

function isRow(bytes: Uint8Array, at: number, first: Mp3Frame, isWhole: boolean): boolean {
  let next = at;
  for (let i = 0; i < 3; i++) {
    if (isWhole && i > 0 && next >= bytes.length) return true;
    const frame = parseMp3Frame(bytes, next);
    if (!frame || !sameStream(frame, first)) return false;
    next += frame.size;
  }
  return true;
}

/**
 * Opens an MP3 file. The encoder's delay and padding are cut off when a LAME tag tells them, as ffmpeg and mpg123 do.
 * Without a tag the number of samples is counted over all frame headers and nothing is promised, so a file that was cut
 * between two frames cannot be told from a whole one.
 */
export async function openMp3(source: ByteSource, search: boolean): Promise<AudioStream> {
  const found = await findMp3(source, search);
  if (!found) throw new AudioError(source.name, 'not-audio', 'no MPEG layer III frames were found');
  const { offset, frame } = found;
  const tag = parseMp3Tag(await source.read(offset, frame.size), frame);
  const firstAudio = tag ? offset + frame.size : offset;
  const spf = frame.samples;
  const count = tag?.frames ?? (await scan(source, firstAudio, frame, Number.POSITIVE_INFINITY)).offsets.length;
  const delay = tag && tag.delay + tag.padding > 0 ? tag.delay + decoderDelay : 0;
  const lateEnd = delay > 0 ? Math.max(0, (tag?.padding ?? 0) - decoderDelay) : 0;
  const frames = count * spf - delay - lateEnd;
  if (frames <= 0) throw new AudioError(source.name, 'empty', 'the MP3 file holds no samples');

  async function check(): Promise<void> {
    const held = source.size - offset;
    if (tag?.bytes && held < tag.bytes) {
      throw new AudioError(
        source.name,
        'truncated',
        `the MP3 header promises ${tag.bytes} bytes but the file holds ${held}; fetch the file again`,
      );
    }
    if (tag?.bytes) return;
    const { offsets, isCut } = await scan(source, firstAudio, frame, Number.POSITIVE_INFINITY);
    if (!isCut && offsets.length >= count) return;
    const what = isCut
      ? 'the file ends inside a frame'
      : `the header promises ${count} frames, ${offsets.length} are there`;
    throw new AudioError(source.name, 'truncated', `${what}; fetch the file again`);
  }

  async function* blocks(start: number, end: number): AsyncGenerator<AudioBlock, void, undefined> {
    const from = Math.max(0, Math.floor((start + delay) / spf) - preRollFrames);
    const { offsets, end: dataEnd } = await scan(source, firstAudio, frame, Math.ceil((end + delay) / spf) + 1);
    const decoder = new MPEGDecoder({ enableGapless: false });
    await decoder.ready;
    try {
      for (let index = from; index < offsets.length; index += framesPerBatch) {
        const next = Math.min(index + framesPerBatch, offsets.length);
        const stop = next < offsets.length ? offsets[next] : dataEnd;
        const bytes = await source.read(offsets[index], stop - offsets[index]);
        const batch: Uint8Array[] = [];
        for (let i = index; i < next; i++) {
          const at = offsets[i] - offsets[index];
          const header = parseMp3Frame(bytes, at);
          if (header) batch.push(bytes.subarray(at, at + header.size));
        }
        const { channelData } = decoder.decodeFrames(batch);
        // Counted from the end: a first frame that lacks the bits before it may give fewer samples.
        yield { start: next * spf - delay - channelData[0].length, channels: channelData };
      }
    } finally {
      decoder.free();
    }
  }

  const most = Math.ceil((source.size - firstAudio) / SHORTEST_FRAME) * spf;
  return { format: 'mp3', sampleRate: frame.sampleRate, channels: frame.channels, frames, most, check, blocks };
}

/** Byte offsets of up to `limit` whole frames from `start` on; `isCut` when the file ends inside the frame after them. */
async function scan(source: ByteSource, start: number, like: Mp3Frame, limit: number): Promise<Scan> {
  const offsets: number[] = [];
  let position = start;
  let bytes: Uint8Array = new Uint8Array(0);
  let bytesStart = start;
  while (offsets.length < limit) {
    if (position + 4 > bytesStart + bytes.length) {
      bytes = await source.read(position, scanBytes);
      bytesStart = position;
    }
    const at = position - bytesStart;
    const frame = parseMp3Frame(bytes, at);
    if (frame && sameStream(frame, like)) {
      if (position + frame.size > source.size) return { offsets, end: position, isCut: true };
      offsets.push(position);
      position += frame.size;
    } else if (at >= bytes.length || isTag(bytes, at)) {
      break;
    } else {
      position++;
    }
  }
  return { offsets, end: position, isCut: false };
}

/** Whether tags that follow the audio begin here. */
function isTag(bytes: Uint8Array, at: number): boolean {
  return ['TAG', 'APETAGEX', 'LYRICS', 'ID3'].some((text) => hasText(bytes, at, text));
}

/** WAV files: RIFF, and RF64 for more than 4 GiB (EBU Tech 3306). Samples are read by position, never the whole file. */
import { type ByteSource, hasText, viewOf } from './bytes.ts';
import { AudioError } from './error.ts';
import { decodePcm, type PcmEncoding, pcmBytes } from './pcm.ts';
import type { AudioBlock, AudioStream } from './stream.ts';

type Format = { encoding: PcmEncoding; channels: number; sampleRate: number };

const framesPerBlock = 1 << 16;
/** What follows the format's number in the sub-formats that are no other's: KSDATAFORMAT_SUBTYPE_PCM and the like. */
const PCM_GUID = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xaa, 0, 0x38, 0x9b, 0x71];

/** Programs that write to a pipe cannot know the length and leave one of the largest sizes in its place. */
function isUnknownSize(bytes: number): boolean {
  return bytes === 0xffffffff || (bytes >= 0x7ffff000 && bytes <= 0x7fffffff);
}

/** Opens a WAV file: integers of 8, 16, 24 and 32 bits and floats of 32 and 64 bits, also as WAVE_FORMAT_EXTENSIBLE. */
export async function openWav(source: ByteSource): Promise<AudioStream> {
  const { format, dataOffset, dataBytes } = await readChunks(source);
  const { encoding, channels, sampleRate } = format;
  const frameBytes = pcmBytes[encoding] * channels;
  const held = source.size - dataOffset;
  const promised = isUnknownSize(dataBytes) && dataBytes > held ? held : dataBytes;
  const frames = Math.floor(promised / frameBytes);
  if (frames === 0) throw new AudioError(source.name, 'empty', 'the WAV file holds no samples');

  async function check(): Promise<void> {
    if (promised <= held) return;
    throw new AudioError(
      source.name,
      'truncated',
      `the WAV header promises ${promised} bytes of samples but the file holds ${held}; fetch or write the file again`,
    );
  }

  async function* blocks(start: number, end: number): AsyncGenerator<AudioBlock, void, undefined> {
    for (let frame = start; frame < end; frame += framesPerBlock) {
      const count = Math.min(framesPerBlock, end - frame);
      const bytes = await source.read(dataOffset + frame * frameBytes, count * frameBytes);
      const decoded = decodePcm(bytes, encoding, channels);
      if (decoded[0].length > 0) yield { start: frame, channels: decoded };
      if (decoded[0].length < count) return;
    }
  }

  const most = Math.floor(held / frameBytes);
  return { format: 'wav', sampleRate, channels, frames, most, check, blocks };
}

async function readChunks(source: ByteSource): Promise<{ format: Format; dataOffset: number; dataBytes: number }> {
  const riff = await source.read(0, 12);
  const long = !hasText(riff, 0, 'RIFF');
  let longDataBytes: number | null = null;
  let format: Format | null = null;
  let offset = 12;
  while (offset + 8 <= source.size) {
    const head = await source.read(offset, 8);
    const size = viewOf(head).getUint32(4, true);
    const body = offset + 8;
    if (hasText(head, 0, 'ds64')) {
      longDataBytes = Number(viewOf(await bodyOf(source, body, 16)).getBigUint64(8, true));
    } else if (hasText(head, 0, 'fmt ')) {
      format = readFormat(source, await bodyOf(source, body, Math.min(Math.max(size, 16), 40)));
    } else if (hasText(head, 0, 'data')) {
      if (!format) throw new AudioError(source.name, 'unreadable', 'the WAV file has samples before their format');
      const dataBytes = long && size === 0xffffffff && longDataBytes !== null ? longDataBytes : size;
      return { format, dataOffset: body, dataBytes };
    }
    offset = body + size + (size % 2);
  }
  throw new AudioError(
    source.name,
    'truncated',
    `the WAV file ends after ${source.size} bytes without a 'data' chunk; fetch or write the file again`,
  );
}

async function bodyOf(source: ByteSource, offset: number, length: number): Promise<Uint8Array> {
  const body = await source.read(offset, length);
  if (body.length === length) return body;
  throw new AudioError(source.name, 'truncated', `the WAV file ends inside its header, after ${source.size} bytes`);
}

function readFormat(source: ByteSource, body: Uint8Array): Format {
  const view = viewOf(body);
  const extensible = view.getUint16(0, true) === 0xfffe && body.length >= 40;
  // An extensible format says what it really is in the first two bytes of its sub-format.
  const tag = view.getUint16(extensible ? 24 : 0, true);
  const channels = view.getUint16(2, true);
  const sampleRate = view.getUint32(4, true);
  const frameBytes = view.getUint16(12, true);
  const bits = view.getUint16(14, true);
  if (channels === 0 || sampleRate === 0 || frameBytes === 0) {
    throw new AudioError(
      source.name,
      'unreadable',
      `the WAV header says ${channels} channels, ${sampleRate} Hz and ${frameBytes} bytes a frame; none may be 0`,
    );
  }
  if (frameBytes !== channels * Math.ceil(bits / 8)) {
    throw new AudioError(
      source.name,
      'unreadable',
      `the WAV header says ${frameBytes} bytes a frame, and ${channels} channels of ${bits} bits; one of them is wrong`,
    );
  }
  if (extensible && !PCM_GUID.every((byte, i) => body[26 + i] === byte)) {
    const guid = Array.from(body.subarray(24, 40), (byte) => byte.toString(16).padStart(2, '0')).join('');
    throw new AudioError(
      source.name,
      'unsupported',
      `WAV sub-format ${guid} is not read; expected PCM or float, so convert the file first`,
    );
  }
  const encoding = encodingOf(tag, frameBytes / channels);
  if (encoding) return { encoding, channels, sampleRate };
  throw new AudioError(
    source.name,
    'unsupported',
    `WAV format ${tag} with ${(8 * frameBytes) / channels} bits a sample is not read; expected PCM of 8, 16, 24 or 32 bits or float of 32 or 64 bits, so convert the file first`,
  );
}

function encodingOf(tag: number, sampleBytes: number): PcmEncoding | null {
  const integers: Record<number, PcmEncoding> = { 1: 'uint8', 2: 'int16', 3: 'int24', 4: 'int32' };
  const floats: Record<number, PcmEncoding> = { 4: 'float32', 8: 'float64' };
  if (tag === 1) return integers[sampleBytes] ?? null;
  if (tag === 3) return floats[sampleBytes] ?? null;
  return null;
}

/** MPEG audio layer III frame headers (ISO 11172-3 and 13818-3) and the Xing, LAME and VBRI information frames. */
import { hasText, viewOf } from './bytes.ts';

export type Mp3Frame = {
  /** Bytes, header included. */
  size: number;
  /** Samples of each channel: 1152 in MPEG 1, 576 in MPEG 2 and 2.5. */
  samples: number;
  sampleRate: number;
  channels: number;
  /** Bytes from the frame's start to where an information tag may stand. */
  tagOffset: number;
};

/** What an encoder wrote about the whole stream into its first frame; null for what it left out. */
export type Mp3Tag = { frames: number | null; bytes: number | null; delay: number; padding: number };

const bitrates1 = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const bitrates2 = [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160];
const sampleRates1 = [44100, 48000, 32000];

/** The layer III frame header at `at`, or null when there is none. */
export function parseMp3Frame(bytes: Uint8Array, at: number): Mp3Frame | null {
  if (at + 4 > bytes.length || bytes[at] !== 0xff || (bytes[at + 1] & 0xe0) !== 0xe0) return null;
  const version = (bytes[at + 1] >> 3) & 3;
  const layer = (bytes[at + 1] >> 1) & 3;
  const bitrate = bytes[at + 2] >> 4;
  const rate = (bytes[at + 2] >> 2) & 3;
  if (version === 1 || layer !== 1 || bitrate === 0 || bitrate === 15 || rate === 3) return null;
  const first = version === 3;
  const sampleRate = sampleRates1[rate] / (first ? 1 : version === 2 ? 2 : 4);
  const samples = first ? 1152 : 576;
  const kilobits = (first ? bitrates1 : bitrates2)[bitrate];
  const size = Math.floor((samples * kilobits * 125) / sampleRate) + ((bytes[at + 2] >> 1) & 1);
  const channels = bytes[at + 3] >> 6 === 3 ? 1 : 2;
  const sideInformation = first ? (channels === 1 ? 17 : 32) : channels === 1 ? 9 : 17;
  return { size, samples, sampleRate, channels, tagOffset: 4 + sideInformation };
}

/** Whether two frames can belong to one stream. */
export function sameStream(a: Mp3Frame, b: Mp3Frame): boolean {
  return a.sampleRate === b.sampleRate && a.samples === b.samples;
}

/** The information tag in the whole frame at the start of `bytes`, or null when it is an ordinary frame. */
export function parseMp3Tag(bytes: Uint8Array, frame: Mp3Frame): Mp3Tag | null {
  const at = frame.tagOffset;
  const view = viewOf(bytes);
  if (bytes.length >= 36 + 18 && hasText(bytes, 36, 'VBRI')) {
    return { bytes: view.getUint32(46), frames: view.getUint32(50), delay: 0, padding: 0 };
  }
  if (bytes.length < at + 8 || !(hasText(bytes, at, 'Xing') || hasText(bytes, at, 'Info'))) return null;
  const flags = view.getUint32(at + 4);
  let next = at + 8;
  const field = (flag: number, length: number) => {
    if (!(flags & flag) || next + length > bytes.length) return null;
    next += length;
    return view.getUint32(next - length);
  };
  const frames = field(1, 4);
  const byteCount = field(2, 4);
  field(4, 100);
  field(8, 4);
  const encoder = ['LAME', 'Lavf', 'Lavc'].some((name) => hasText(bytes, next, name));
  const known = encoder && next + 24 <= bytes.length;
  const delay = known ? (bytes[next + 21] << 4) | (bytes[next + 22] >> 4) : 0;
  const padding = known ? ((bytes[next + 22] & 15) << 8) | bytes[next + 23] : 0;
  return { frames, bytes: byteCount, delay, padding };
}

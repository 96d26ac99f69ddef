/** FLAC's stream information and frame headers (RFC 9639 sections 8.2 and 9.1). */
import { viewOf } from './bytes.ts';
import { crc8, crc16Table } from './checksum.ts';

export type FlacInfo = {
  sampleRate: number;
  channels: number;
  bitsPerSample: number;
  /** Samples of each channel; 0 when the encoder did not know. */
  frames: number;
  largestBlock: number;
  /** "fLaC" and the STREAMINFO block alone, which a decoder needs for headers that refer to it. */
  head: Uint8Array;
};

/** One frame's header: the number of its first sample and how many samples it holds. */
export type FlacFrame = { sample: number; count: number };

/** Reads the 34 bytes of a STREAMINFO block. */
export function parseStreamInfo(body: Uint8Array): FlacInfo {
  const view = viewOf(body);
  const packed = view.getUint32(10);
  const head = new Uint8Array(42);
  head.set([0x66, 0x4c, 0x61, 0x43, 0x80, 0, 0, 34]);
  head.set(body.subarray(0, 34), 8);
  return {
    sampleRate: packed >>> 12,
    channels: ((packed >>> 9) & 7) + 1,
    bitsPerSample: ((packed >>> 4) & 31) + 1,
    frames: (packed & 15) * 2 ** 32 + view.getUint32(14),
    largestBlock: view.getUint16(2),
    head,
  };
}

/** The frame header at `at`, or null when there is none: the sync code, the reserved bits and the checksum must be right. */
export function parseFlacFrame(bytes: Uint8Array, at: number, info: FlacInfo): FlacFrame | null {
  if (bytes[at] !== 0xff || (bytes[at + 1] & 0xfe) !== 0xf8) return null;
  if (at + 6 > bytes.length || (bytes[at + 3] & 1) !== 0 || bytes[at + 3] >> 4 > 10) return null;
  const sizeCode = bytes[at + 2] >> 4;
  const rateCode = bytes[at + 2] & 15;
  if (sizeCode === 0 || rateCode === 15) return null;
  // The number is coded as UTF-8 codes characters, with up to 36 bits.
  const lead = bytes[at + 4];
  const ones = Math.clz32(~(lead << 24));
  if (ones === 1 || ones === 8) return null;
  const extra = Math.max(0, ones - 1);
  let number = ones === 0 ? lead : lead & (0x7f >> ones);
  let next = at + 5;
  for (let i = 0; i < extra; i++) number = number * 64 + (bytes[next++] & 63);
  let count: number;
  if (sizeCode === 1) count = 192;
  else if (sizeCode < 6) count = 144 << sizeCode;
  else if (sizeCode === 6) count = bytes[next++] + 1;
  else if (sizeCode === 7) count = bytes[next++] * 256 + bytes[next++] + 1;
  else count = 1 << sizeCode;
  if (rateCode === 12) next += 1;
  else if (rateCode > 12) next += 2;
  if (next >= bytes.length || crc8(bytes, at, next) !== bytes[next]) return null;
  // Streams with blocks of one size number the frames, others the samples.
  const sample = bytes[at + 1] & 1 ? number : number * info.largestBlock;
  return { sample, count };
}

/**
 * Where the frame that begins at `at` ends: at the next frame header, or at `end` when `isLast`, and only where the
 * frame's 16-bit checksum comes out. Null when no such place is found before `end`.
 */
export function flacFrameEnd(
  bytes: Uint8Array,
  at: number,
  end: number,
  info: FlacInfo,
  isLast: boolean,
): number | null {
  let crc = 0;
  for (let i = at; i < end; i++) {
    if (crc === 0 && bytes[i] === 0xff && i > at && parseFlacFrame(bytes, i, info)) return i;
    crc = ((crc << 8) & 0xffff) ^ crc16Table[(crc >> 8) ^ bytes[i]];
  }
  return isLast && crc === 0 ? end : null;
}

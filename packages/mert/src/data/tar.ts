/**
 * What lies where in a tar archive: names, offsets and sizes, read from the 512-byte headers alone.
 * Source: POSIX.1-2001 pax (ustar and extended headers) and GNU tar's long names and base-256 sizes.
 */
import { open } from 'node:fs/promises';
import { fileSource } from '@dawnchorus/dsp';

/** A regular file in an archive. */
export interface TarEntry {
  name: string;
  /** First byte of its content in the archive. */
  offset: number;
  bytes: number;
}

const BLOCK = 512;
/** Kinds of entries that are files with content. */
const REGULAR = ['0', '7'];
const text = new TextDecoder();

function field(header: Uint8Array, start: number, length: number): string {
  const bytes = header.subarray(start, start + length);
  const end = bytes.indexOf(0);
  return text.decode(end < 0 ? bytes : bytes.subarray(0, end));
}

function numberField(header: Uint8Array, start: number, length: number): number {
  // Numbers that do not fit in octal digits are in base 256, with the first bit set.
  if (header[start] & 0x80) {
    let value = header[start] & 0x7f;
    for (let i = 1; i < length; i++) value = value * 256 + header[start + i];
    return value;
  }
  return Number.parseInt(field(header, start, length).trim() || '0', 8);
}

/** Whether the sum of a header's bytes, its own field taken as spaces, is what it says. */
function isSound(header: Uint8Array): boolean {
  let sum = 0;
  for (let i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? 32 : header[i];
  return sum === numberField(header, 148, 8);
}

/** Throws unless a block is a header. */
function checkHeader(path: string, header: Uint8Array, at: number): void {
  if (isSound(header)) return;
  const compressed = (header[0] === 0x1f && header[1] === 0x8b) || (header[0] === 0x28 && header[1] === 0xb5);
  throw new Error(
    compressed
      ? `${path}: is compressed, and its files cannot be read by index; unpack it to a plain .tar`
      : `${path}: byte ${at} begins no header of a tar archive; fetch or write the archive again`,
  );
}

/** The name in a header, which holds up to 100 bytes, and with ustar's prefix 256. */
function nameInHeader(header: Uint8Array): string {
  const name = field(header, 0, 100);
  const prefix = text.decode(header.subarray(257, 262)) === 'ustar' ? field(header, 345, 155) : '';
  return prefix ? `${prefix}/${name}` : name;
}

/** What a header's own fields are too short for, and is said before it. */
interface Extension {
  path?: string;
  size?: number;
}

/** `path` and `size` of a pax header: records `LENGTH KEY=VALUE\n`. */
function paxRecords(bytes: Uint8Array): Extension {
  const found: Extension = {};
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(0x20, at);
    const length = space < 0 ? Number.NaN : Number(text.decode(bytes.subarray(at, space)));
    if (!(length > 0)) break;
    const record = text.decode(bytes.subarray(space + 1, at + length - 1));
    const equals = record.indexOf('=');
    const [key, value] = [record.slice(0, equals), record.slice(equals + 1)];
    if (key === 'path') found.path = value;
    if (key === 'size') found.size = Number(value);
    at += length;
  }
  return found;
}

/**
 * The regular files of a tar archive, in its order.
 *
 * @throws Error when it is no tar archive (a compressed one is none), or does not end with a block of zeros: it was cut off.
 */
export async function tarIndex(path: string): Promise<TarEntry[]> {
  const file = await open(path, 'r');
  try {
    const { size: total } = await file.stat();
    const archive = fileSource(path, file, total);
    const entries: TarEntry[] = [];
    const cutOff = (where: string): never => {
      throw new Error(`${path}: ends ${where}, after ${total} bytes; fetch or write the archive again`);
    };
    let at = 0;
    let extension: Extension = {};
    while (at + BLOCK <= total) {
      const header = await archive.read(at, BLOCK);
      // Two blocks of zeros end an archive; where the second is missing, no file is.
      if (header.every((byte) => byte === 0)) return entries;
      checkHeader(path, header, at);
      const size = extension.size ?? numberField(header, 124, 12);
      const offset = at + BLOCK;
      if (!(size >= 0) || offset + size > total) cutOff('inside a file');
      at = offset + Math.ceil(size / BLOCK) * BLOCK;
      const kind = String.fromCharCode(header[156] || 0x30);
      if (kind === 'x') {
        extension = { ...extension, ...paxRecords(await archive.read(offset, size)) };
      } else if (kind === 'L') {
        extension = { ...extension, path: field(await archive.read(offset, size), 0, size) };
      } else {
        const name = extension.path ?? nameInHeader(header);
        if (REGULAR.includes(kind)) entries.push({ name: name.replace(/^\.\//, ''), offset, bytes: size });
        extension = {};
      }
    }
    // Between two files, too: those behind would be missing without a word.
    return cutOff(at === total ? 'without the blocks of zeros that close it' : 'inside a block');
  } finally {
    await file.close();
  }
}

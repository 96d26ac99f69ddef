/** What is in an entry of a zip archive. */
import { inflate } from '#zlib';
import { type Bytes, readBytes } from '../bytes.ts';
import { type Fail, shorten } from '../error.ts';
import { crc32 } from './crc32.ts';
import type { ZipEntry } from './directory.ts';

export interface EntryBytes extends Bytes {
  /** Reads all of the entry once and throws it away: fails if it is not of the declared size and checksum. */
  verify(): Promise<void>;
}

/**
 * The bytes of an entry, whose local header is checked. Those of a deflated one are inflated from the start up to the end
 * of what is asked for.
 */
export async function openEntry(file: Bytes, entry: ZipEntry, fail: Fail): Promise<EntryBytes> {
  const failEntry: Fail = (problem) => fail(`entry "${shorten(entry.name)}" ${problem}`);
  const start = await findData(file, entry, failEntry);
  const { size, storedSize, deflated, crc } = entry;
  const chunks = deflated
    ? (begin: number, end: number) =>
        part(inflate(file.chunks(start, start + storedSize), storedSize, size, failEntry), begin, end, size)
    : (begin: number, end: number) => file.chunks(start + begin, start + end);
  let verified: Promise<void> | undefined;
  const check = async (): Promise<void> => {
    let found = 0;
    for await (const chunk of chunks(0, size)) found = crc32(chunk, found);
    if (found !== crc) failEntry(`has the checksum ${hex(found)}, expected ${hex(crc)}; it was changed, copy it again`);
  };
  return { size, chunks, verify: () => (verified ??= check()) };
}

/** Where the data of an entry begin, behind its local header, which must agree with the directory. */
async function findData(file: Bytes, entry: ZipEntry, fail: Fail): Promise<number> {
  const name = new TextEncoder().encode(entry.name);
  // setLimits has seen to the header's fixed part.
  const header = await readBytes(file, entry.offset, Math.min(entry.limit, entry.offset + 30 + name.length));
  const view = new DataView(header.buffer);
  const start = entry.offset + 30 + view.getUint16(26, true) + view.getUint16(28, true);
  const sameName = view.getUint16(26, true) === name.length && name.every((byte, i) => byte === (header[30 + i] ?? -1));
  const sameMethod = view.getUint16(8, true) === (entry.deflated ? 8 : 0);
  const sameCrc = entry.deferred || view.getUint32(14, true) === entry.crc;
  if (view.getUint32(0, true) !== 0x04034b50 || !sameName || !sameMethod || !sameCrc) {
    fail(`at byte ${entry.offset} is not what the directory says`);
  }
  if (start + entry.storedSize > entry.limit) {
    fail(`of ${entry.storedSize} bytes at ${start} reaches beyond ${entry.limit}, where what follows it begins`);
  }
  return start;
}

async function* part(
  chunks: AsyncIterable<Uint8Array>,
  begin: number,
  end: number,
  size: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  let at = 0;
  for await (const chunk of chunks) {
    const from = Math.max(begin - at, 0);
    const to = Math.min(end - at, chunk.length);
    if (from < to) yield chunk.subarray(from, to);
    at += chunk.length;
    // To the very end, so that what comes behind the declared size is noticed.
    if (at >= end && end < size) return;
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0');
}

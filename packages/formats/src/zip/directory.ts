/**
 * The directory of a zip archive, with the records of zip64 where sizes or offsets need more than 32 bits.
 * Source: PKWARE's APPNOTE.TXT 6.3.10, https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
 */
import { type Bytes, readBytes } from '../bytes.ts';
import { type Fail, shorten } from '../error.ts';

export type ZipEntry = {
  name: string;
  deflated: boolean;
  crc: number;
  /** Bytes in the archive, and bytes when inflated. */
  storedSize: number;
  size: number;
  /** Where its local header begins, and where the next entry or the directory does. */
  offset: number;
  limit: number;
  /** Whether its local header leaves checksum and sizes to a record behind the data. */
  deferred: boolean;
};

const signature = { entry: 0x02014b50, end: 0x06054b50, end64: 0x06064b50, locator64: 0x07064b50 };
const endBytes = 22;
const locatorBytes = 20;
const end64Bytes = 56;
const entryBytes = 46;
const localBytes = 30;
const maxCommentBytes = 65535;

/** Deflate cannot make more of a byte than this. */
const mostOfAByte = 1032;

/** What stands in a 32-bit or 16-bit field whose value is in a zip64 record. */
const elsewhere32 = 0xffffffff;
const elsewhere16 = 0xffff;

/**
 * Reads and checks the directory: every entry must be stored or deflated and lie apart from all others.
 *
 * @returns entries by name, in the directory's order.
 */
export async function readDirectory(file: Bytes, fail: Fail): Promise<Map<string, ZipEntry>> {
  const { start, size, count } = await findDirectory(file, fail);
  const bytes = await readBytes(file, start, start + size);
  const view = new DataView(bytes.buffer);
  const entries = new Map<string, ZipEntry>();
  let at = 0;
  for (let i = 0; i < count; i++) {
    if (at + entryBytes > size || view.getUint32(at, true) !== signature.entry) {
      fail(`entry ${i} of its directory of ${count} is broken`);
    }
    const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((field) => view.getUint16(at + field, true));
    const nameEnd = at + entryBytes + nameBytes;
    const next = nameEnd + extraBytes + commentBytes;
    if (next > size) fail(`entry ${i} of its directory of ${count} is cut short`);
    const name = decodeName(bytes.subarray(at + entryBytes, nameEnd), fail);
    const failEntry: Fail = (problem) => fail(`entry "${shorten(name)}" ${problem}`);
    if (entries.has(name)) failEntry('occurs twice');
    entries.set(name, readEntry(view, at, { name, extraStart: nameEnd, extraBytes }, failEntry));
    at = next;
  }
  if (at !== size) fail(`its directory has ${size - at} bytes behind its ${count} entries`);
  setLimits(entries, start, fail);
  return entries;
}

async function findDirectory(file: Bytes, fail: Fail): Promise<{ start: number; size: number; count: number }> {
  const tailStart = Math.max(0, file.size - endBytes - maxCommentBytes);
  const tail = await readBytes(file, tailStart, file.size);
  const view = new DataView(tail.buffer);
  let at = tail.length - endBytes;
  const isEnd = (): boolean =>
    view.getUint32(at, true) === signature.end && at + endBytes + view.getUint16(at + 20, true) === tail.length;
  while (at >= 0 && !isEnd()) at--;
  if (at < 0) fail('it has no directory at its end; it was cut short or is no zip archive');
  const endStart = tailStart + at;
  const found = {
    start: view.getUint32(at + 16, true),
    size: view.getUint32(at + 12, true),
    count: view.getUint16(at + 10, true),
    end: endStart,
  };
  const many = view.getUint16(at + 4, true) !== 0 && view.getUint16(at + 4, true) !== elsewhere16;
  if (many || view.getUint16(at + 8, true) !== found.count) fail('it is one part of an archive of several files');
  // PyTorch writes the zip64 records even where nothing needs them.
  const spare = found.start + found.size + end64Bytes + locatorBytes === endStart;
  if (found.start === elsewhere32 || found.size === elsewhere32 || found.count === elsewhere16 || spare) {
    Object.assign(found, await findDirectory64(file, endStart, fail));
  }
  const { start, size, count, end } = found;
  if (start + size !== end) {
    fail(`its directory of ${size} bytes at ${start} does not end at ${end}, where the record of its end begins`);
  }
  if (count * entryBytes > size) fail(`its directory of ${size} bytes cannot hold ${count} entries`);
  return { start, size, count };
}

async function findDirectory64(file: Bytes, endStart: number, fail: Fail) {
  const missing = (): never => fail('its directory needs a zip64 record, but has no sound one');
  if (endStart < locatorBytes + end64Bytes) missing();
  const locator = new DataView((await readBytes(file, endStart - locatorBytes, endStart)).buffer);
  const end = safe(locator.getBigUint64(8, true), fail);
  if (locator.getUint32(0, true) !== signature.locator64 || end > endStart - locatorBytes - end64Bytes) missing();
  const record = new DataView((await readBytes(file, end, end + end64Bytes)).buffer);
  const length = safe(record.getBigUint64(4, true), fail);
  if (record.getUint32(0, true) !== signature.end64 || end + 12 + length !== endStart - locatorBytes) missing();
  const [count, size, start] = [32, 40, 48].map((field) => safe(record.getBigUint64(field, true), fail));
  return { count, size, start, end };
}

function readEntry(
  view: DataView,
  at: number,
  { name, extraStart, extraBytes }: { name: string; extraStart: number; extraBytes: number },
  fail: Fail,
): ZipEntry {
  const flags = view.getUint16(at + 8, true);
  const method = view.getUint16(at + 10, true);
  if (flags & 0x2041) fail('is encrypted; save it without a password');
  if (method !== 0 && method !== 8) fail(`is compressed by method ${method}, expected 0 (stored) or 8 (deflated)`);
  // The zip64 field holds the values that do not stand in the entry itself, in this order.
  const extra = zip64Field(view, extraStart, extraBytes, fail);
  const [size, storedSize, offset] = [24, 20, 42].map((field) => {
    const value = view.getUint32(at + field, true);
    return value === elsewhere32 ? extra() : value;
  });
  const deflated = method === 8;
  if (!deflated && storedSize !== size) fail(`is stored in ${storedSize} bytes, but declares ${size}`);
  if (deflated && size > storedSize * mostOfAByte)
    fail(`declares ${size} bytes, more than ${storedSize} can inflate to`);
  const crc = view.getUint32(at + 16, true);
  return { name, deflated, crc, storedSize, size, offset, limit: 0, deferred: (flags & 8) !== 0 };
}

function zip64Field(view: DataView, start: number, length: number, fail: Fail): () => number {
  let at = start;
  let end = start;
  for (let field = start; field + 4 <= start + length; ) {
    const fieldEnd = field + 4 + view.getUint16(field + 2, true);
    if (fieldEnd > start + length) fail('has an extra field that is longer than its space');
    if (view.getUint16(field, true) === 1) [at, end] = [field + 4, fieldEnd];
    field = fieldEnd;
  }
  return () => {
    if (at + 8 > end) fail('needs more than 32 bits, but has no sound zip64 field');
    at += 8;
    return safe(view.getBigUint64(at - 8, true), fail);
  };
}

function setLimits(entries: Map<string, ZipEntry>, directoryStart: number, fail: Fail): void {
  const byOffset = [...entries.values()].sort((a, b) => a.offset - b.offset);
  for (const [i, entry] of byOffset.entries()) {
    entry.limit = byOffset[i + 1]?.offset ?? directoryStart;
    if (entry.offset + localBytes + entry.storedSize > entry.limit) {
      fail(
        `entry "${shorten(entry.name)}" of ${entry.storedSize} bytes at ${entry.offset} reaches beyond ${entry.limit}, where what follows it begins`,
      );
    }
  }
}

/**
 * Names without the flag of UTF-8 are in whatever encoding the writer's system had. Python writes plain ASCII then.
 */
function decodeName(bytes: Uint8Array, fail: Fail): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    return fail(`the name of an entry (${new TextDecoder('latin1').decode(bytes.subarray(0, 80))}) is not in UTF-8`);
  }
}

function safe(value: bigint, fail: Fail): number {
  if (value > 2n ** 50n) fail(`gives ${value} as a size or place, which no file reaches`);
  return Number(value);
}

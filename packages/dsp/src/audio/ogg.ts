/** Ogg pages (RFC 3533): reading them in order, from the end, and by granule position. */
import { type ByteSource, hasText, viewOf } from './bytes.ts';
import { oggChecksum } from './checksum.ts';
import { AudioError } from './error.ts';

/** One page. `granule` is the codec's position at the end of the last packet that ends here, -1 when none does. */
export type OggPage = {
  offset: number;
  bytes: Uint8Array;
  serial: number;
  granule: number;
  /** Counts the pages of a stream; a page that is missing leaves a gap. */
  sequence: number;
  begins: boolean;
  ends: boolean;
};

const headerBytes = 27;
const largestPage = headerBytes + 255 + 255 * 255;

/** The page at `offset`, or null when none begins there, it is cut off, or its checksum is wrong. */
export async function readPage(source: ByteSource, offset: number): Promise<OggPage | null> {
  const head = await source.read(offset, headerBytes + 255);
  if (head.length < headerBytes || !hasText(head, 0, 'OggS') || head[4] !== 0) return null;
  const segments = head[26];
  if (head.length < headerBytes + segments) return null;
  let size = headerBytes + segments;
  for (let i = 0; i < segments; i++) size += head[headerBytes + i];
  const bytes = await source.read(offset, size);
  if (bytes.length < size) return null;
  const view = viewOf(bytes);
  if (view.getUint32(22, true) !== oggChecksum(bytes)) return null;
  return {
    offset,
    bytes,
    serial: view.getUint32(14, true),
    granule: Number(view.getBigInt64(6, true)),
    sequence: view.getUint32(18, true),
    begins: (head[5] & 2) !== 0,
    ends: (head[5] & 4) !== 0,
  };
}

/** The first whole page that begins in [offset, limit), or null. */
export async function findPage(source: ByteSource, offset: number, limit: number): Promise<OggPage | null> {
  for (let at = offset; at < limit; ) {
    const window = await source.read(at, Math.min(largestPage, limit - at + 3));
    for (let i = 0; i + 4 <= window.length; i++) {
      if (window[i] !== 0x4f || !hasText(window, i, 'OggS')) continue;
      const page = await readPage(source, at + i);
      if (page) return page;
    }
    if (window.length < 4) return null;
    at += window.length - 3;
  }
  return null;
}

/** The pages of one logical stream from `offset` on, in order. Ends where the file does, or where a page is cut off. */
export async function* pagesFrom(
  source: ByteSource,
  offset: number,
  serial: number,
): AsyncGenerator<OggPage, void, undefined> {
  for (let at = offset; at < source.size; ) {
    const page = await readPage(source, at);
    if (!page) {
      const next = await findPage(source, at + 1, source.size);
      if (!next) return;
      throw new AudioError(source.name, 'unreadable', `the Ogg data is damaged between bytes ${at} and ${next.offset}`);
    }
    if (page.serial === serial) yield page;
    at += page.bytes.length;
  }
}

/** The last whole page of the file, whatever its stream, and the last of stream `serial` on which a packet ends. */
export async function lastPages(
  source: ByteSource,
  serial: number,
): Promise<{ last: OggPage | null; lastOfStream: OggPage | null }> {
  let last: OggPage | null = null;
  let lastOfStream: OggPage | null = null;
  for (let end = source.size; end > 0 && !lastOfStream; ) {
    const start = Math.max(0, end - largestPage);
    let page = await findPage(source, start, end);
    while (page && page.offset < end) {
      if (!last || page.offset > last.offset) last = page;
      if (page.serial === serial && page.granule >= 0) lastOfStream = page;
      page = await findPage(source, page.offset + page.bytes.length, end);
    }
    end = start;
  }
  return { last, lastOfStream };
}

/**
 * The last page of stream `serial` on which a packet ends at or before `granule`, by bisection between byte `first` (the
 * first audio page) and the end of the file; null when the first such page ends later.
 */
export async function seekPage(
  source: ByteSource,
  serial: number,
  first: number,
  granule: number,
): Promise<OggPage | null> {
  let found: OggPage | null = null;
  let low = first;
  let high = source.size;
  while (low < high) {
    const middle = low + Math.floor((high - low) / 2);
    let page = await findPage(source, middle, high);
    while (page && (page.serial !== serial || page.granule < 0)) {
      page = await findPage(source, page.offset + page.bytes.length, high);
    }
    if (page && page.granule <= granule) {
      found = page;
      low = page.offset + page.bytes.length;
    } else {
      high = middle;
    }
  }
  return found;
}

/** The packets that end on `page`, given the unfinished one from before; `rest` is the one left unfinished here. */
export function packetsOf(page: OggPage, unfinished: Uint8Array): { packets: Uint8Array[]; rest: Uint8Array } {
  const { bytes } = page;
  const segments = bytes[26];
  const packets: Uint8Array[] = [];
  let start = headerBytes + segments;
  let at = start;
  let rest = unfinished;
  for (let i = 0; i < segments; i++) {
    const length = bytes[headerBytes + i];
    at += length;
    if (length === 255) continue;
    packets.push(joined(rest, bytes.subarray(start, at)));
    rest = new Uint8Array(0);
    start = at;
  }
  return { packets, rest: joined(rest, bytes.subarray(start, at)) };
}

/** Whether the page's first packet began on an earlier page. */
export function isContinued(page: OggPage): boolean {
  return (page.bytes[5] & 1) !== 0;
}

/**
 * The page without the end of a packet that began on an earlier page: what a decoder that starts here must not take for a
 * packet. Null when nothing else lies on it.
 */
export function withoutContinued(page: OggPage): OggPage | null {
  if (!isContinued(page)) return page;
  const { bytes } = page;
  const segments = bytes[26];
  let [dropped, skipped] = [0, 0];
  while (dropped < segments) {
    const length = bytes[headerBytes + dropped++];
    skipped += length;
    if (length < 255) break;
  }
  if (dropped === segments) return null;
  const body = bytes.subarray(headerBytes + segments + skipped);
  const whole = new Uint8Array(headerBytes + segments - dropped + body.length);
  whole.set(bytes.subarray(0, headerBytes));
  whole.set(bytes.subarray(headerBytes + dropped, headerBytes + segments), headerBytes);
  whole.set(body, headerBytes + segments - dropped);
  whole[5] &= ~1;
  whole[26] = segments - dropped;
  viewOf(whole).setUint32(22, oggChecksum(whole), true);
  return { ...page, bytes: whole };
}

function joined(a: Uint8Array, b: Uint8Array): Uint8Array {
  if (a.length === 0) return b;
  const both = new Uint8Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

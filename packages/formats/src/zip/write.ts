/** Zip archives written from one end to the other, as NumPy writes them. */
import { deflateAll } from '#zlib';
import { crc32 } from './crc32.ts';

export type ZipSource = { name: string; bytes: number; chunks: Iterable<Uint8Array> };

/** What goes into the 32-bit and 16-bit fields of numbers that need zip64 records. */
const most32 = 0xffffffff;
const most16 = 0xffff;

/** 1 January 1980, the first date that zip can write, so that the same arrays give the same file. */
const date = 0x21;

/** Version 4.5 of the format has zip64 records. */
const version = 45;

/**
 * The bytes of an archive. Each source is taken when its turn comes and held in memory, since its checksum and its size
 * stand before it.
 */
export async function* writeZip(
  sources: AsyncIterable<ZipSource>,
  compress: boolean,
): AsyncGenerator<Uint8Array, void, undefined> {
  const directory: Uint8Array[] = [];
  let offset = 0;
  for await (const source of sources) {
    const stored = [...source.chunks];
    const crc = stored.reduce((sum, chunk) => crc32(chunk, sum), 0);
    const chunks = compress ? await deflateAll(stored) : stored;
    const storedSize = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const entry = {
      name: new TextEncoder().encode(source.name),
      crc,
      size: source.bytes,
      storedSize,
      offset,
      compress,
    };
    const header = localHeader(entry);
    yield header;
    yield* chunks;
    directory.push(directoryEntry(entry));
    offset += header.length + storedSize;
  }
  yield* directory;
  yield endRecords(
    directory.length,
    offset,
    directory.reduce((sum, { length }) => sum + length, 0),
  );
}

type Entry = { name: Uint8Array; crc: number; size: number; storedSize: number; offset: number; compress: boolean };

/** Always with sizes of 64 bits, as NumPy writes it. */
function localHeader({ name, crc, size, storedSize, compress }: Entry): Uint8Array {
  const extra = fields([1, 2], [16, 2], [size, 8], [storedSize, 8]);
  const sizes = [
    [crc, 4],
    [most32, 4],
    [most32, 4],
  ] as const;
  return join(
    fields([0x04034b50, 4], ...common(name, compress), ...sizes, [name.length, 2], [extra.length, 2]),
    name,
    extra,
  );
}

function directoryEntry({ name, crc, size, storedSize, offset, compress }: Entry): Uint8Array {
  const large = [size, storedSize, offset].filter((value) => value >= most32);
  const extra =
    large.length === 0
      ? new Uint8Array()
      : fields([1, 2], [8 * large.length, 2], ...large.map((value) => [value, 8] as const));
  const lengths = [
    [name.length, 2],
    [extra.length, 2],
    [0, 2],
  ] as const;
  return join(
    fields(
      [0x02014b50, 4],
      // Made on Unix, where names are UTF-8.
      [0x300 | version, 2],
      ...common(name, compress),
      [crc, 4],
      [Math.min(storedSize, most32), 4],
      [Math.min(size, most32), 4],
      ...lengths,
      // Disk number, attributes: the owner may read and write.
      [0, 2],
      [0, 2],
      [0o600 * 2 ** 16, 4],
      [Math.min(offset, most32), 4],
    ),
    name,
    extra,
  );
}

function endRecords(count: number, start: number, size: number): Uint8Array {
  const end = fields(
    [0x06054b50, 4],
    [0, 4],
    [Math.min(count, most16), 2],
    [Math.min(count, most16), 2],
    [Math.min(size, most32), 4],
    [Math.min(start, most32), 4],
    [0, 2],
  );
  if (count < most16 && size < most32 && start < most32) return end;
  const record = fields(
    [0x06064b50, 4],
    [44, 8],
    [version, 2],
    [version, 2],
    [0, 8],
    [count, 8],
    [count, 8],
    [size, 8],
    [start, 8],
  );
  return join(record, fields([0x07064b50, 4], [0, 4], [start + size, 8], [1, 4]), end);
}

/** Version, flags (bit 11: the name is UTF-8), method, time and date, which both kinds of header share. */
function common(name: Uint8Array, compress: boolean): (readonly [value: number, bytes: number])[] {
  const utf8 = name.some((byte) => byte > 127) ? 0x800 : 0;
  return [
    [version, 2],
    [utf8, 2],
    [compress ? 8 : 0, 2],
    [0, 2],
    [date, 2],
  ];
}

function fields(...list: (readonly [value: number, bytes: number])[]): Uint8Array {
  const result = new Uint8Array(list.reduce((sum, [, bytes]) => sum + bytes, 0));
  const view = new DataView(result.buffer);
  let at = 0;
  for (const [value, bytes] of list) {
    if (bytes === 2) view.setUint16(at, value, true);
    else if (bytes === 4) view.setUint32(at, value, true);
    else view.setBigUint64(at, BigInt(value), true);
    at += bytes;
  }
  return result;
}

function join(...parts: Uint8Array[]): Uint8Array {
  const result = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}

/** Zip archives as a test wants them, lies included. */
import { crc32 } from '../src/zip/crc32.ts';

export interface ZipPart {
  name: string;
  /** What is written; the declared sizes are those of it unless they are given. */
  data: Uint8Array;
  size?: number;
  crc?: number;
  method?: number;
  flags?: number;
  localName?: string;
}

/** Sizes and offsets go into zip64 fields throughout. Parts that declare more than they hold leave a gap. */
export function makeZip(entries: ZipPart[], { count = entries.length, sameOffsets = false } = {}) {
  const parts: { at: number; bytes: Uint8Array }[] = [];
  const central: Buffer[] = [];
  let at = 0;
  for (const { name, data, method = 0, flags = 0, localName = name, ...declared } of entries) {
    const size = declared.size ?? data.length;
    // A stored entry may be larger than what is written of it, in a sparse file.
    const stored = method === 0 && size > data.length && size > 2 ** 32 ? size : data.length;
    const crc = declared.crc ?? crc32(data);
    const local = Buffer.alloc(50);
    local.writeUInt32LE(0x04034b50);
    local.writeUInt16LE(45, 4);
    local.writeUInt16LE(flags, 6);
    local.writeUInt16LE(method, 8);
    local.writeUInt32LE(crc, 14);
    local.writeUInt32LE(0xffffffff, 18);
    local.writeUInt32LE(0xffffffff, 22);
    local.writeUInt16LE(localName.length, 26);
    local.writeUInt16LE(20, 28);
    const extra = local.subarray(30);
    extra.writeUInt16LE(1, 0);
    extra.writeUInt16LE(16, 2);
    extra.writeBigUInt64LE(BigInt(size), 4);
    extra.writeBigUInt64LE(BigInt(stored), 12);
    parts.push({ at, bytes: Buffer.concat([local.subarray(0, 30), Buffer.from(localName), extra, data]) });
    const entry = Buffer.alloc(46 + name.length + 28);
    entry.writeUInt32LE(0x02014b50);
    entry.writeUInt16LE(flags, 8);
    entry.writeUInt16LE(method, 10);
    entry.writeUInt32LE(crc, 16);
    for (const field of [20, 24, 42]) entry.writeUInt32LE(0xffffffff, field);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt16LE(28, 30);
    entry.write(name, 46);
    const wide = entry.subarray(46 + name.length);
    wide.writeUInt16LE(1, 0);
    wide.writeUInt16LE(24, 2);
    wide.writeBigUInt64LE(BigInt(size), 4);
    wide.writeBigUInt64LE(BigInt(stored), 12);
    wide.writeBigUInt64LE(BigInt(sameOffsets ? 0 : at), 20);
    central.push(entry);
    at += 50 + localName.length + stored;
  }
  const directory = Buffer.concat(central);
  const large = at > 0xffffffff;
  const end = Buffer.alloc(large ? 98 : 22);
  if (large) {
    end.writeUInt32LE(0x06064b50);
    end.writeBigUInt64LE(44n, 4);
    end.writeBigUInt64LE(BigInt(count), 32);
    end.writeBigUInt64LE(BigInt(directory.length), 40);
    end.writeBigUInt64LE(BigInt(at), 48);
    end.writeUInt32LE(0x07064b50, 56);
    end.writeBigUInt64LE(BigInt(at + directory.length), 64);
    end.writeUInt32LE(1, 72);
  }
  const last = end.subarray(-22);
  last.writeUInt32LE(0x06054b50);
  last.writeUInt16LE(count, 8);
  last.writeUInt16LE(count, 10);
  last.writeUInt32LE(directory.length, 12);
  last.writeUInt32LE(Math.min(at, 0xffffffff), 16);
  return {
    parts,
    directory: { at, bytes: Buffer.concat([directory, end]) },
    whole: () => Buffer.concat([...parts.map(({ bytes }) => bytes), directory, end]),
  };
}

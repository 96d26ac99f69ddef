/** The checksum of zip entries: CRC-32 of IEEE 802.3. */
import { nativeCrc32 } from '#zlib';

const tables = makeTables();

function makeTables(): Int32Array[] {
  const first = Int32Array.from({ length: 256 }, (_, byte) => {
    let value = byte;
    for (let bit = 0; bit < 8; bit++) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });
  // Table k is the effect of a byte that k others follow.
  const all = [first];
  for (let k = 1; k < 4; k++) all.push(all[k - 1].map((value) => (value >>> 8) ^ first[value & 255]));
  return all;
}

/** The checksum of what came before, whose own was `crc` (0 at the start), followed by `bytes`. */
export function crc32(bytes: Uint8Array, crc = 0): number {
  // Of no bytes Node's own is 0 whatever came before.
  if (bytes.length === 0) return crc;
  // Six times as fast, where there is one.
  return nativeCrc32?.(bytes, crc) ?? portableCrc32(bytes, crc);
}

/** The same without Node's own, four bytes at a time. */
export function portableCrc32(bytes: Uint8Array, crc = 0): number {
  const [t0, t1, t2, t3] = tables;
  let value = ~crc;
  let at = 0;
  for (; at + 4 <= bytes.length; at += 4) {
    value ^= bytes[at] | (bytes[at + 1] << 8) | (bytes[at + 2] << 16) | (bytes[at + 3] << 24);
    value = t3[value & 255] ^ t2[(value >>> 8) & 255] ^ t1[(value >>> 16) & 255] ^ t0[value >>> 24];
  }
  for (; at < bytes.length; at++) value = (value >>> 8) ^ t0[(value ^ bytes[at]) & 255];
  return ~value >>> 0;
}

/** The cyclic redundancy checks of Ogg (RFC 3533) and FLAC (RFC 9639), most significant bit first, starting from 0. */

function table(bits: 8 | 16 | 32, polynomial: number): Uint32Array {
  const top = 2 ** (bits - 1);
  const mask = 2 ** bits - 1;
  return Uint32Array.from({ length: 256 }, (_, byte) => {
    let value = (byte * 2 ** (bits - 8)) >>> 0;
    for (let bit = 0; bit < 8; bit++) {
      const shifted = (value << 1) >>> 0;
      value = ((value >= top ? shifted ^ polynomial : shifted) & mask) >>> 0;
    }
    return value;
  });
}

const table8 = table(8, 0x07);
const table32 = table(32, 0x04c11db7);

/** Table of FLAC's 16-bit check: next = (crc << 8 & 0xffff) ^ table[crc >> 8 ^ byte]. */
export const crc16Table: Uint32Array = table(16, 0x8005);

/** FLAC's 8-bit check of `bytes[start, end)`. */
export function crc8(bytes: Uint8Array, start: number, end: number): number {
  let crc = 0;
  for (let i = start; i < end; i++) crc = table8[crc ^ bytes[i]];
  return crc;
}

/** Ogg's 32-bit check of a page, whose own checksum field (bytes 22 to 25) counts as zero. */
export function oggChecksum(page: Uint8Array): number {
  let crc = 0;
  for (let i = 0; i < page.length; i++) {
    const byte = i >= 22 && i < 26 ? 0 : page[i];
    crc = ((crc << 8) ^ table32[(crc >>> 24) ^ byte]) >>> 0;
  }
  return crc;
}

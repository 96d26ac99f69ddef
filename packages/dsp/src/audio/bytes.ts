/** Something that bytes can be read from at any position: a file, a Blob, a buffer in memory. */
export type ByteSource = {
  /** What error messages call it: a path or a URL. */
  readonly name: string;
  /** Length in bytes. */
  readonly size: number;
  /** Up to `length` bytes from `offset`; fewer only where the source ends. The result must not be written to. */
  read(offset: number, length: number): Promise<Uint8Array>;
};

/** A byte source over bytes in memory. */
export function memorySource(bytes: Uint8Array, name = 'audio bytes'): ByteSource {
  return {
    name,
    size: bytes.length,
    read: async (offset, length) => bytes.subarray(offset, offset + length),
  };
}

/** Reads ahead in blocks of `blockSize` bytes, so that a walk over small headers costs few reads of the source. */
export function readAhead(source: ByteSource, blockSize = 1 << 16): ByteSource {
  let block: Uint8Array = new Uint8Array(0);
  let blockStart = 0;
  return {
    name: source.name,
    size: source.size,
    async read(offset, length) {
      const end = Math.min(offset + length, source.size);
      if (offset < blockStart || end > blockStart + block.length) {
        block = await source.read(offset, Math.max(length, blockSize));
        blockStart = offset;
      }
      return block.subarray(offset - blockStart, Math.max(offset, end) - blockStart);
    },
  };
}

/** A view for reading numbers out of `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** Whether `bytes` holds the ASCII `text` at `offset`. */
export function hasText(bytes: Uint8Array, offset: number, text: string): boolean {
  for (let i = 0; i < text.length; i++) if (bytes[offset + i] !== text.charCodeAt(i)) return false;
  return true;
}

/** Length in bytes of the ID3v2 tags at the start of the source, 0 when there are none (id3.org, ID3v2.4 section 3.1). */
export async function id3Length(source: ByteSource): Promise<number> {
  let offset = 0;
  for (;;) {
    const head = await source.read(offset, 10);
    if (head.length < 10 || !hasText(head, 0, 'ID3')) return offset;
    const size = ((head[6] & 127) << 21) | ((head[7] & 127) << 14) | ((head[8] & 127) << 7) | (head[9] & 127);
    const footer = head[5] & 0x10 ? 10 : 0;
    offset += 10 + size + footer;
  }
}

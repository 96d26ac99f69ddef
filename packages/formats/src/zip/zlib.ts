/** What zlib does (Node). In browsers zlib.browser.ts takes its place. */
import * as zlib from 'node:zlib';
import { type Fail, FormatError } from '../error.ts';

/** Bytes deflated at once; zlib takes less than 4 GiB. */
const pieceBytes = 1 << 24;

/** CRC-32 of IEEE 802.3; only in Node from 20.15 and 22.2 on. */
export const nativeCrc32: ((bytes: Uint8Array, crc: number) => number) | undefined = zlib.crc32;

/**
 * Inflates a whole deflate stream in pieces of at most 64 KiB. The first `size` bytes are given, and nothing is inflated
 * beyond them: a stream that holds more or less, or is followed by other bytes, fails.
 */
export async function* inflate(
  deflated: AsyncIterable<Uint8Array>,
  deflatedSize: number,
  size: number,
  fail: Fail,
): AsyncGenerator<Uint8Array, void, undefined> {
  const inflater = zlib.createInflateRaw({ chunkSize: Math.min(1 << 16, Math.max(64, size + 1)) });
  const feed = async (): Promise<void> => {
    for await (const chunk of deflated) {
      // The piece is free for other use only when it is inflated, which the callback tells.
      await new Promise<void>((done, failed) => inflater.write(chunk, (error) => (error ? failed(error) : done())));
    }
    inflater.end();
  };
  feed().catch((error) => inflater.destroy(error));
  let done = 0;
  try {
    for await (const chunk of inflater) {
      done += chunk.length;
      if (done > size) fail(`inflates to more than the ${size} bytes that the archive declares`);
      yield chunk;
    }
  } catch (error) {
    if (error instanceof FormatError) throw error;
    fail(`cannot be inflated (${(error as Error).message}); it was cut short or changed, copy it again`);
  } finally {
    inflater.destroy();
  }
  if (done < size) fail(`inflates to ${done} bytes, but the archive declares ${size}`);
  if (inflater.bytesWritten !== deflatedSize) {
    fail(`has ${deflatedSize - inflater.bytesWritten} bytes behind the end of its compressed data`);
  }
}

/** The bytes of a deflate stream. */
export async function deflateAll(chunks: Uint8Array[]): Promise<Uint8Array[]> {
  const deflater = zlib.createDeflateRaw();
  const feed = async (): Promise<void> => {
    for (const chunk of chunks) {
      for (let at = 0; at < chunk.length; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes);
        await new Promise<void>((done, failed) => deflater.write(piece, (error) => (error ? failed(error) : done())));
      }
    }
    deflater.end();
  };
  feed().catch((error) => deflater.destroy(error));
  const deflated: Uint8Array[] = [];
  for await (const piece of deflater) deflated.push(piece);
  return deflated;
}

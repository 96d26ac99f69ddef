/** What stands in for zlib.ts in browsers: their own decompression. Nothing is written there, so nothing deflated. */
import { type Fail, FormatError } from '../error.ts';

export const nativeCrc32: ((bytes: Uint8Array, crc: number) => number) | undefined = undefined;

/**
 * Inflates a whole deflate stream. The first `size` bytes are given; a stream that holds more or less, or is followed by
 * other bytes, fails.
 */
export async function* inflate(
  deflated: AsyncIterable<Uint8Array>,
  _deflatedSize: number,
  size: number,
  fail: Fail,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { readable, writable } = new DecompressionStream('deflate-raw');
  const reader = readable.getReader();
  const writer = writable.getWriter();
  const feed = async (): Promise<void> => {
    for await (const chunk of deflated) await writer.write(chunk as Uint8Array<ArrayBuffer>);
    await writer.close();
  };
  // What goes wrong here goes wrong at the reader, too.
  feed().catch((error) => writer.abort(error).catch(() => {}));
  let done = 0;
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) {
      done += next.value.length;
      if (done > size) fail(`inflates to more than the ${size} bytes that the archive declares`);
      yield next.value;
    }
  } catch (error) {
    if (error instanceof FormatError) throw error;
    fail(`cannot be inflated (${(error as Error).message}); it was cut short or changed, copy it again`);
  } finally {
    await reader.cancel().catch(() => {});
  }
  if (done < size) fail(`inflates to ${done} bytes, but the archive declares ${size}`);
}

export async function deflateAll(): Promise<Uint8Array[]> {
  throw new FormatError('a browser writes no files');
}

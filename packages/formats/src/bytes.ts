/** Bytes in a file, in memory or inside an archive, read a part at a time. */
import { openPath } from '#files';
import { FormatError } from './error.ts';
import { allocate } from './memory.ts';

/** Where a file is: its path, or its bytes in memory. */
export type FileSource = string | Uint8Array;

export interface Bytes {
  readonly size: number;
  /**
   * Bytes `begin` to `end` in pieces, which are only valid until the next one is asked for; throws if it cannot give all
   * of them.
   */
  chunks(begin: number, end: number): AsyncIterable<Uint8Array>;
}

export interface OpenFile extends Bytes {
  /** For messages. */
  readonly path: string;
  close(): Promise<void>;
}

/**
 * @param what - the kind of file, for messages.
 * @throws FormatError if there is no such file, it may not be read, or it is not a regular one; in a browser for any path.
 */
export async function openFile(source: FileSource, what: string): Promise<OpenFile> {
  return typeof source === 'string' ? openPath(source, what) : inMemory(source);
}

/** Opens a file for as long as `use` takes. */
export async function withFile<T>(source: FileSource, what: string, use: (file: OpenFile) => Promise<T>): Promise<T> {
  const file = await openFile(source, what);
  try {
    return await use(file);
  } finally {
    await file.close();
  }
}

/** A copy of bytes `begin` to `end`, in a buffer of its own; the caller has checked that there are so many. */
export async function readBytes(bytes: Bytes, begin: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const result = allocate(end - begin);
  await fill(bytes, begin, result);
  return result;
}

/** Fills `target` with the bytes that begin at `begin`. */
export async function fill(bytes: Bytes, begin: number, target: Uint8Array): Promise<void> {
  let done = 0;
  for await (const chunk of bytes.chunks(begin, begin + target.length)) {
    target.set(chunk, done);
    done += chunk.length;
  }
}

function inMemory(data: Uint8Array): OpenFile {
  return {
    path: `(${data.length} bytes in memory)`,
    size: data.length,
    async *chunks(begin, end) {
      if (end > data.length)
        throw new FormatError(`there are ${data.length} bytes in memory, not the ${end} asked for`);
      if (begin < end) yield data.subarray(begin, end);
    },
    close: async () => {},
  };
}

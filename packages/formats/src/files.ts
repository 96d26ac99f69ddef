/** Files on disk (Node). In browsers files.browser.ts takes its place. */
import { constants } from 'node:fs';
import { type FileHandle, open, stat as statOf } from 'node:fs/promises';
import type { OpenFile } from './bytes.ts';
import { FormatError } from './error.ts';
import { allocate } from './memory.ts';

/** Largest piece of a file in memory at once. */
const chunkBytes = 1 << 20;

/**
 * @param what - the kind of file, for messages.
 * @throws FormatError if there is no such file, it may not be read, or it is not a regular one.
 */
export async function openPath(path: string, what: string): Promise<OpenFile> {
  let handle: FileHandle | undefined;
  try {
    // Opening a pipe waits for who writes to it, and opening a device can do things: seen to before, and once more after,
    // since another file may have come to the name.
    if (!(await statOf(path)).isFile()) throw new Error('it is not a regular file');
    handle = await open(path, constants.O_RDONLY | (constants.O_NONBLOCK ?? 0));
    const stat = await handle.stat();
    if (!stat.isFile()) throw new Error('it is not a regular file');
    const opened = handle;
    return {
      path,
      size: stat.size,
      chunks: (begin, end) => fileChunks(opened, path, begin, end),
      close: () => opened.close(),
    };
  } catch (cause) {
    await handle?.close();
    throw new FormatError(`cannot open ${what} ${path}: ${(cause as Error).message}`, { cause });
  }
}

async function* fileChunks(
  handle: FileHandle,
  path: string,
  begin: number,
  end: number,
): AsyncGenerator<Uint8Array, void, undefined> {
  const buffer = allocate(Math.min(chunkBytes, end - begin));
  for (let at = begin; at < end; ) {
    const wanted = Math.min(buffer.length, end - at);
    let bytesRead: number;
    try {
      ({ bytesRead } = await handle.read(buffer, 0, wanted, at));
    } catch (cause) {
      throw new FormatError(`cannot read ${path}: ${(cause as Error).message}`, { cause });
    }
    if (bytesRead === 0) {
      throw new FormatError(`${path} ended at byte ${at} while it was read; does something else write to it?`);
    }
    yield buffer.subarray(0, bytesRead);
    at += bytesRead;
  }
}

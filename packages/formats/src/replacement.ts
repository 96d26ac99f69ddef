/** A file that is written in parts, in any order, and is there when it is whole. */
import { randomBytes } from 'node:crypto';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { type AtomicOptions, regularTarget, remedy, syncFolder } from './atomic.ts';

/** A file in the making; what was at its path stays until `finish`. */
export interface Replacement {
  readonly path: string;
  /** Writes bytes at an offset. @throws Error that says what to do, e.g. of a full disk. */
  write(offset: number, bytes: Uint8Array): Promise<void>;
  /** Syncs the file to disk and puts it in its place. */
  finish(): Promise<void>;
  /** Removes what was written; does nothing after `finish`. */
  abort(): Promise<void>;
}

/**
 * Begins a file that will replace `path`: the bytes go to a temporary file in the same folder, as `writeAtomically` has it.
 * With `bytes` it has that length from the start, and what is never written reads as zeros.
 *
 * @throws if the folder is missing or may not be written to, or there is no room.
 */
export async function openReplacement(path: string, options: AtomicOptions = {}): Promise<Replacement> {
  const { target, mode } = await regularTarget(path);
  const folder = dirname(target);
  const temporary = join(
    folder,
    `.${basename(target).slice(0, 100)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`,
  );
  const fail = (error: unknown): never => {
    const intent = `cannot write ${options.what ?? 'file'} ${path}`;
    throw new Error(`${intent}: ${remedy(error, folder)}; the previous file, if any, is untouched`, { cause: error });
  };
  let handle: FileHandle | undefined;
  const abort = async (): Promise<void> => {
    const open = handle;
    handle = undefined;
    if (!open) return;
    await open.close().catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
  };
  try {
    handle = await open(temporary, 'wx', mode);
    if (mode !== undefined) await handle.chmod(mode);
    if (options.bytes !== undefined) await handle.truncate(options.bytes);
  } catch (error) {
    await abort();
    fail(error);
  }
  return {
    path,
    async write(offset, bytes) {
      try {
        for (let done = 0; done < bytes.length; ) {
          const { bytesWritten } = await (handle as FileHandle).write(bytes, done, bytes.length - done, offset + done);
          done += bytesWritten;
        }
      } catch (error) {
        await abort();
        fail(error);
      }
    },
    async finish() {
      try {
        await handle?.sync();
        await handle?.close();
        await rename(temporary, target);
        handle = undefined;
      } catch (error) {
        await abort();
        fail(error);
      }
      await syncFolder(folder);
    },
    abort,
  };
}

/**
 * Files written so that neither a crash nor a full disk leaves a broken one behind: whole files are replaced in one
 * step, logs grow by whole lines.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { type FileHandle, open, readFile, readlink, realpath, rename, rm, stat, statfs } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

/** The bytes of a file, piece by piece. */
export type Chunks = Iterable<Uint8Array> | AsyncIterable<Uint8Array>;

/** What errors of `writeAtomically` tell. */
export type AtomicOptions = {
  /** What the file holds, for error messages, e.g. "checkpoint". */
  what?: string;
  /** Size of the whole file in bytes if it is known beforehand, for error messages. */
  bytes?: number;
};

/** One line of a metrics log: `step` counts optimiser steps; a number that is not finite is written as null. */
export type MetricsRecord = { step: number; [name: string]: unknown };

/** A file of one JSON object a line, open for appending. */
export type MetricsLog = {
  /** Writes one line. It is in the file when this returns; throws if the disk is full. */
  append(record: MetricsRecord): void;
  /** Closes the file; nothing can be appended any more. Once closed it stays so. */
  close(): void;
};

/**
 * Replaces `path` by the concatenated chunks, or leaves it exactly as it was. The bytes go to a temporary file in the
 * same folder, are synced to disk, and the temporary is renamed over `path`; so the folder needs room for the old and
 * the new file together. A symbolic link is followed, also to a file that is not there yet; a file that is replaced keeps
 * its permissions.
 *
 * @throws if the chunks fail to come or the file system refuses them (full, read-only, no such folder): the temporary
 * is removed, `path` is untouched, and the message gives the bytes needed and what to do.
 */
export async function writeAtomically(path: string, chunks: Chunks, options: AtomicOptions = {}): Promise<void> {
  const { target, mode } = await regularTarget(path);
  const folder = dirname(target);
  const temporary = join(
    folder,
    `.${basename(target).slice(0, 100)}.${process.pid}.${randomBytes(4).toString('hex')}.tmp`,
  );
  let written = 0;
  let handle: FileHandle | undefined;
  try {
    handle = await open(temporary, 'wx', mode);
    // What the process masks was there before.
    if (mode !== undefined) await handle.chmod(mode);
    for await (const chunk of chunks) {
      written += await writeFully(handle, chunk);
    }
    await handle.sync();
    await handle.close();
    handle = undefined;
    await rename(temporary, target);
  } catch (error) {
    await handle?.close().catch(() => {});
    await rm(temporary, { force: true }).catch(() => {});
    const intent = `cannot write ${options.what ?? 'file'} ${path}`;
    const room = isFull(error) ? await missingRoom(options.bytes, written, folder) : '';
    const message = `${intent}: ${remedy(error, folder)}${room}; the previous file, if any, is untouched`;
    throw new Error(message, { cause: error });
  }
  await syncFolder(folder);
}

/**
 * Writes a value as indented JSON, atomically.
 *
 * @throws if the value holds NaN or an infinity, which JSON would silently turn into null.
 */
export async function writeJson(path: string, value: unknown): Promise<void> {
  const text = JSON.stringify(
    value,
    (key, inner: unknown) => {
      if (typeof inner === 'number' && !Number.isFinite(inner)) {
        throw new Error(
          `cannot write ${path}: "${key}" is ${inner}, which JSON cannot hold; write a finite number or null`,
        );
      }
      return inner;
    },
    2,
  );
  if (text === undefined) {
    throw new Error(`cannot write ${path}: expected a value that JSON can hold, got ${typeof value}`);
  }
  const bytes = new TextEncoder().encode(`${text}\n`);
  await writeAtomically(path, [bytes], { bytes: bytes.length });
}

/**
 * Opens a log of one JSON object a line (JSONL) for appending, and makes it if there is none. A last line that a crash
 * cut short is dropped, lest the next record be glued to it. A line outlives the process that wrote it, though not
 * necessarily a power failure.
 */
export function openMetricsLog(path: string): MetricsLog {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'a+');
  } catch (error) {
    throw new Error(`cannot open metrics log ${path}: ${remedy(error, dirname(path))}`, { cause: error });
  }
  if (fstatSync(descriptor).isFile()) {
    ftruncateSync(descriptor, endOfLastLine(descriptor));
  }

  const append = (record: MetricsRecord): void => {
    if (!Number.isSafeInteger(record.step) || record.step < 0) {
      throw new Error(`metrics log ${path}: expected a record with a step >= 0 that is an integer, got ${record.step}`);
    }
    const line = new TextEncoder().encode(`${JSON.stringify(record)}\n`);
    const before = fstatSync(descriptor).size;
    try {
      for (let offset = 0; offset < line.length; ) {
        offset += writeSync(descriptor, line, offset);
      }
    } catch (error) {
      try {
        ftruncateSync(descriptor, before);
      } catch {
        // Not a regular file; there is nothing to cut.
      }
      throw new Error(
        `cannot append step ${record.step} (${line.length} bytes) to metrics log ${path}: ${remedy(error, dirname(path))}; ` +
          'the lines before it are intact',
        { cause: error },
      );
    }
  };
  let open = true;
  const close = () => {
    // A number that was given back may be another file's by now.
    if (open) closeSync(descriptor);
    open = false;
  };
  return { append, close };
}

/**
 * Cuts a metrics log back to `step`, so that a run resumed from a checkpoint of that step goes on as if it had never
 * been further: keeps the complete lines whose `step` is at most that, and drops a last line that a crash cut short.
 * A log that does not exist stays so.
 *
 * @returns how many lines were kept and dropped.
 * @throws if a line other than the last is not a JSON object with a `step`; the log is then untouched.
 */
export async function truncateMetricsLog(path: string, step: number): Promise<{ kept: number; dropped: number }> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') {
      return { kept: 0, dropped: 0 };
    }
    throw new Error(`cannot read metrics log ${path}: ${(error as Error).message}`, { cause: error });
  }
  const lines = text.split('\n');
  const half = lines.pop() === '' ? 0 : 1;
  const kept = lines.filter((line, index) => {
    const found = stepOf(line);
    if (found === undefined && index < lines.length - 1) {
      const start = JSON.stringify(line.slice(0, 60));
      throw new Error(
        `${path}:${index + 1}: expected a JSON object with a number "step", got ${start}; repair or remove the line`,
      );
    }
    return found !== undefined && found <= step;
  });
  const dropped = lines.length - kept.length + half;
  if (dropped > 0) {
    const bytes = new TextEncoder().encode(kept.map((line) => `${line}\n`).join(''));
    await writeAtomically(path, [bytes], { what: 'metrics log', bytes: bytes.length });
  }
  return { kept: kept.length, dropped };
}

function stepOf(line: string): number | undefined {
  try {
    const step: unknown = JSON.parse(line)?.step;
    return typeof step === 'number' ? step : undefined;
  } catch {
    return undefined;
  }
}

/** Offset just behind the last newline, 0 without one. */
function endOfLastLine(descriptor: number): number {
  const block = new Uint8Array(65536);
  let end = fstatSync(descriptor).size;
  while (end > 0) {
    const start = Math.max(0, end - block.length);
    const read = readSync(descriptor, block, 0, end - start, start);
    const newline = block.subarray(0, read).lastIndexOf(10);
    if (newline >= 0) {
      return start + newline + 1;
    }
    end = start;
  }
  return 0;
}

async function writeFully(handle: FileHandle, chunk: Uint8Array): Promise<number> {
  // One write call takes less than 2 GiB, and may take less than it was given.
  const most = 1 << 26;
  for (let offset = 0; offset < chunk.length; ) {
    const { bytesWritten } = await handle.write(chunk, offset, Math.min(most, chunk.length - offset));
    offset += bytesWritten;
  }
  return chunk.length;
}

/** @internal The file to replace, links resolved. Renaming over a device or a folder would destroy it or fail late. */
export async function regularTarget(path: string): Promise<{ target: string; mode?: number }> {
  const previous = await stat(path).catch((error) => {
    if (errorCode(error) !== 'ELOOP') return undefined;
    throw new Error(`cannot write ${path}: it is a symbolic link that leads back to itself; remove it`, {
      cause: error,
    });
  });
  if (previous === undefined) {
    const link = await readlink(path).catch(() => undefined);
    return link === undefined ? { target: path } : regularTarget(resolve(await realpath(dirname(path)), link));
  }
  if (!previous.isFile()) {
    const kind = previous.isDirectory() ? 'a folder' : 'a device, pipe or socket';
    throw new Error(`cannot write ${path}: it is ${kind}, expected a regular file or a free name; choose another path`);
  }
  return { target: await realpath(path), mode: previous.mode & 0o7777 };
}

/** @internal */
export async function syncFolder(folder: string): Promise<void> {
  // The rename itself is made durable where the file system can sync a folder; not all can, and the file is whole anyway.
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close().catch(() => {});
}

async function missingRoom(bytes: number | undefined, written: number, folder: string): Promise<string> {
  const needed = bytes ?? `more than ${written}`;
  const free = await statfs(folder).then(
    ({ bavail, bsize }) => `, ${bavail * bsize} are free`,
    () => '',
  );
  return ` (${needed} bytes are needed${free})`;
}

function isFull(error: unknown): boolean {
  return ['ENOSPC', 'EDQUOT', 'EFBIG'].includes(errorCode(error) ?? '');
}

/** @internal What to do about an error of the file system. */
export function remedy(error: unknown, folder: string): string {
  const code = errorCode(error);
  if (isFull(error)) {
    return `the disk or quota of ${folder} is full (${code}); free some space or write to another folder`;
  }
  if (code === 'ENOENT') {
    return `there is no folder ${folder}; make it first`;
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    return `${folder} may not be written to (${code}); change its permissions or write to another folder`;
  }
  return error instanceof Error ? error.message : String(error);
}

function errorCode(error: unknown): string | undefined {
  return (error as NodeJS.ErrnoException | undefined)?.code;
}

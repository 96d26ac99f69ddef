/** Where audio lies: in a file of its own, in a tar archive, or in a row of a parquet file. */
import { type FileHandle, open } from 'node:fs/promises';
import { AudioError, type AudioInfo, type ByteSource, fileSource, memorySource, openAudio } from '@dawnchorus/dsp';
import { readRowBytes } from './parquet.ts';

/** Audio's place; plain data, so that it can be handed to another thread. */
export type Place =
  | { kind: 'file'; file: string }
  | { kind: 'tar'; file: string; offset: number; bytes: number }
  | { kind: 'parquet'; file: string; row: number; column: string };

/** One piece of music in a collection. */
export interface AudioItem {
  /** What messages call it: a path, and for audio in archives the archive’s path and the name in it. */
  path: string;
  /** The same in relation to the collection: what labels are filed under, with `/` between names. */
  key: string;
  place: Place;
  /** What a manifest says of it; what it does not say is found out. */
  known?: Partial<Pick<AudioInfo, 'sampleRate' | 'frames' | 'channels' | 'format'>>;
  /** That manifest. */
  manifest?: string;
}

const describe = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/**
 * Opens the bytes of a piece of music for as long as `use` takes.
 *
 * @throws AudioError 'unreadable' when its file cannot be read; what `use` throws.
 */
export async function withBytes<T>(
  { path, place }: Pick<AudioItem, 'path' | 'place'>,
  use: (bytes: ByteSource) => Promise<T>,
): Promise<T> {
  let handle: FileHandle | undefined;
  let inUse = false;
  try {
    if (place.kind === 'parquet') {
      const bytes = await readRowBytes(place.file, place.row, place.column);
      inUse = true;
      return await use(memorySource(bytes, path));
    }
    handle = await open(place.file, 'r');
    const status = await handle.stat();
    if (!status.isFile()) throw new AudioError(path, 'unreadable', 'expected a file, but this is none');
    const [begin, size] = place.kind === 'tar' ? [place.offset, place.bytes] : [0, status.size];
    if (begin + size > status.size) {
      throw new AudioError(path, 'truncated', 'the archive ends before it; fetch the archive again');
    }
    inUse = true;
    return await use(fileSource(path, handle, size, begin));
  } catch (cause) {
    const { syscall } = cause as NodeJS.ErrnoException;
    // What `use` could not write elsewhere is no fault of this file.
    if (!(cause instanceof Error) || syscall === undefined || (inUse && syscall !== 'read')) throw cause;
    throw new AudioError(path, 'unreadable', `the file cannot be read (${describe(cause)})`, { cause });
  } finally {
    await handle?.close();
  }
}

/** How far a manifest may be off: encoders add some samples, and programs count them differently. */
const MANIFEST_SECONDS = 0.1;

/** @throws Error that names the manifest, where a file is not what it says. */
export function checkKnown(
  { known: { sampleRate, frames } = {}, manifest }: Pick<AudioItem, 'known' | 'manifest'>,
  file: Pick<AudioInfo, 'sampleRate' | 'frames'>,
): void {
  const fail = (said: string) => {
    throw new Error(
      `the manifest ${manifest} says ${said}, the file has ${file.frames} samples at ${file.sampleRate} Hz; make the manifest again`,
    );
  };
  if (sampleRate !== undefined && sampleRate !== file.sampleRate) fail(`${sampleRate} Hz`);
  if (frames !== undefined && Math.abs(frames - file.frames) > MANIFEST_SECONDS * file.sampleRate) {
    fail(`${frames} samples`);
  }
}

/** What a piece of music holds, and whether it is whole, as `checkAudio` tells of files. @throws AudioError */
export async function checkItem(item: AudioItem): Promise<AudioInfo> {
  return withBytes(item, async (bytes) => {
    const stream = await openAudio(bytes);
    await stream.check();
    const { format, sampleRate, channels, frames } = stream;
    return { path: item.path, format, sampleRate, channels, duration: frames / sampleRate, frames };
  });
}

/** Audio files on disk (Node). */
import { type FileHandle, lstat, open, readdir, realpath, stat } from 'node:fs/promises';
import { extname, join } from 'node:path';
import type { ByteSource } from './bytes.ts';
import { type Audio, decodeAudio, type ReadOptions } from './decode.ts';
import { AudioError } from './error.ts';
import { openAudio } from './open.ts';
import { type AudioPieces, openPieces } from './pieces.ts';
import { type AudioFormat, type AudioStream, expectPossible } from './stream.ts';

/** What an audio file holds. */
export type AudioInfo = {
  path: string;
  format: AudioFormat;
  /** Samples a second. */
  sampleRate: number;
  channels: number;
  /** Seconds. */
  duration: number;
  /** Samples of each channel. */
  frames: number;
};

/** Endings of the files that are taken for audio, in small letters. */
export const audioExtensions: ReadonlySet<string> = new Set(['.wav', '.flac', '.mp3', '.ogg', '.oga', '.opus']);

/**
 * What the file's headers say it holds, without decoding it. An MP3 file without a Xing or VBRI header is counted frame
 * by frame. A file that was cut off is noticed here only where its bytes cannot hold what the headers say, as in WAV: see
 * `checkAudio`.
 *
 * @throws AudioError
 */
export async function probeAudio(path: string): Promise<AudioInfo> {
  return withFile(path, async (source) => {
    const stream = await openAudio(source);
    expectPossible(path, stream);
    return infoOf(path, stream);
  });
}

/**
 * `probeAudio`, and a look at whether the file is whole, still without decoding it: the length of the data of a WAV
 * file, the last frame's sample number of a FLAC file, the end-of-stream flag of an Ogg file, the length that an MP3
 * file's Xing or VBRI header promises. An MP3 file without one promises nothing; only a cut inside a frame shows.
 * Damage in the middle is found by reading the file, where the format has checksums: not in WAV and MP3.
 *
 * @throws AudioError 'truncated' when the file ends too early, and all that `probeAudio` throws
 */
export async function checkAudio(path: string): Promise<AudioInfo> {
  return withFile(path, async (source) => {
    const stream = await openAudio(source);
    await stream.check();
    return infoOf(path, stream);
  });
}

/**
 * Reads an audio file, or a part of it, as mono: see `decodeAudio`.
 *
 * @throws AudioError, RangeError
 */
export async function readAudio(path: string, options: ReadOptions = {}): Promise<Audio> {
  return withFile(path, (source) => decodeAudio(source, options));
}

/**
 * Opens an audio file, gives it to `use` to be read in pieces (see `openPieces`), and closes it when that is done.
 *
 * @returns what `use` returns.
 * @throws AudioError, RangeError
 */
export async function streamAudio<T>(
  path: string,
  options: Pick<ReadOptions, 'sampleRate' | 'quality'>,
  use: (audio: AudioPieces) => Promise<T>,
): Promise<T> {
  return withFile(path, async (source) => use(await openPieces(source, options)));
}

/**
 * All files in a folder and the folders in it that have one of these endings (small letters, with their dot), as paths that
 * begin with `folder`, each folder's by name. Links to folders are followed, each folder once.
 *
 * @param onMissing - told of what has such an ending or none and cannot be found under its name: links to nothing, and
 *   names that are not UTF-8.
 * @throws AudioError 'unreadable' when the folder cannot be read
 */
export async function filesWithin(
  folder: string,
  endings: ReadonlySet<string>,
  onMissing?: (path: string, reason: string) => void,
): Promise<string[]> {
  const found: string[] = [];
  const seen = new Set<string>();
  async function missing(path: string): Promise<void> {
    const isLink = await lstat(path).then(
      (own) => own.isSymbolicLink(),
      () => false,
    );
    if (isLink) onMissing?.(path, 'is a link to nothing; mend or remove it');
    // What Node cannot decode has this character in the place of its bytes.
    else if (path.includes('\ufffd')) onMissing?.(path, 'has a name that is not UTF-8; rename it');
  }
  async function visit(path: string): Promise<void> {
    const real = await realpath(path);
    if (seen.has(real)) return;
    seen.add(real);
    for (const name of (await readdir(path)).sort()) {
      const child = join(path, name);
      const ending = extname(name).toLowerCase();
      const kind = await stat(child).catch(() => null);
      if (kind?.isDirectory()) await visit(child);
      else if (kind?.isFile() && endings.has(ending)) found.push(child);
      else if (!kind && (ending === '' || endings.has(ending))) await missing(child);
    }
  }
  try {
    await visit(folder);
  } catch (cause) {
    throw new AudioError(folder, 'unreadable', `the folder cannot be read (${describe(cause)})`, { cause });
  }
  return found;
}

/**
 * All audio files in a folder and the folders in it, by extension (.wav .flac .mp3 .ogg .oga .opus), as paths that begin
 * with `folder`, sorted by code unit so that every machine gives the same order. Links to folders are followed, each
 * folder once.
 *
 * @throws AudioError 'unreadable' when the folder cannot be read
 */
export async function audioFiles(folder: string): Promise<string[]> {
  return (await filesWithin(folder, audioExtensions)).sort();
}

function infoOf(path: string, { format, sampleRate, channels, frames }: AudioStream): AudioInfo {
  return { path, format, sampleRate, channels, duration: frames / sampleRate, frames };
}

async function withFile<T>(path: string, use: (source: ByteSource) => Promise<T>): Promise<T> {
  let file: FileHandle | undefined;
  try {
    file = await open(path, 'r');
    const status = await file.stat();
    if (!status.isFile()) throw new AudioError(path, 'unreadable', 'expected a file, but this is none');
    return await use(fileSource(path, file, status.size));
  } catch (cause) {
    if (!isSystemError(cause)) throw cause;
    throw new AudioError(path, 'unreadable', `the file cannot be read (${describe(cause)})`, { cause });
  } finally {
    await file?.close();
  }
}

/** `size` bytes of an open file, from `begin` on; `name` is what messages call it. */
export function fileSource(name: string, file: FileHandle, size: number, begin = 0): ByteSource {
  return {
    name,
    size,
    async read(offset, length) {
      const wanted = Math.max(0, Math.min(length, size - offset));
      const bytes = new Uint8Array(wanted);
      let filled = 0;
      while (filled < wanted) {
        const { bytesRead } = await file.read(bytes, filled, wanted - filled, begin + offset + filled);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      return bytes.subarray(0, filled);
    },
  };
}

function isSystemError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error;
}

function describe(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

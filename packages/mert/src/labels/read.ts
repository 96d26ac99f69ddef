import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AudioInfo } from '@dawnchorus/dsp';
import { listAudio } from '../data/collection.ts';
import { type AudioItem, checkItem } from '../data/places.ts';
import {
  entryBytes,
  type LabelEntry,
  LabelError,
  MANIFEST,
  type Manifest,
  readManifest,
  shardName,
  short,
  teacherMismatch,
  teacherSamples,
} from './manifest.ts';
import { byCodebook, type TeacherDescription } from './teacher.ts';
import { hashOfItem } from './write.ts';

/** Labels of a folder of music, which are read where they are asked for. */
export interface Labels {
  readonly folder: string;
  readonly teacher: TeacherDescription;
  /** By path, relative to the folder of music, with `/` between names. */
  readonly files: ReadonlyMap<string, LabelEntry>;
  /** Files that could not be labelled, and why. */
  readonly skipped: ReadonlyMap<string, string>;
  /**
   * Labels [codebooks, frames] of the crop of a file that begins at `start`, in samples at the teacher's rate.
   *
   * @throws LabelError when the file has no labels, `start` is off the grid of `hop` samples, the crop has not that many
   *   labels, or what is read is no label.
   */
  crop(path: string, start: number, frames: number): Promise<Int32Array>;
  /** All labels of a file: [codebooks, frames]. */
  read(path: string): Promise<Int32Array>;
  /**
   * Holds the labels against the music that they are to be used with: every file has labels, of its own rate and length.
   *
   * @param files - what `checkAudio` or `probeAudio` found, by the paths of the manifest.
   * @throws LabelError that lists the files that do not agree.
   */
  check(files: Iterable<readonly [path: string, info: Pick<AudioInfo, 'sampleRate' | 'frames'>]>): void;
  /**
   * Reads everything: every label is in its codebook and what was written; with `data`, every file is still the one that
   * was labelled.
   *
   * @returns what is wrong, a line a file.
   */
  verify(options?: { data?: string; onFile?(number: number, total: number): void }): Promise<string[]>;
  /** Gives the shards back. */
  close(): Promise<void>;
  /** `await using` closes them. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** Shards that are held open at once. */
const OPEN_SHARDS = 64;
/** Labels that are verified at once. */
const VERIFY_BYTES = 1 << 20;

function openShards(folder: string) {
  const handles = new Map<number, Promise<FileHandle>>();
  const get = (shard: number): Promise<FileHandle> => {
    let handle = handles.get(shard);
    if (handle) handles.delete(shard);
    else {
      handle = open(join(folder, shardName(shard)), 'r');
      handle.catch(() => handles.delete(shard));
    }
    handles.set(shard, handle);
    if (handles.size > OPEN_SHARDS) {
      const [[oldest, dropped]] = handles;
      handles.delete(oldest);
      // Reads that are on their way end first.
      dropped.then((file) => file.close()).catch(() => {});
    }
    return handle;
  };
  return {
    async read(shard: number, offset: number, bytes: number): Promise<Buffer> {
      const file = await get(shard);
      const buffer = Buffer.allocUnsafe(bytes);
      for (let filled = 0; filled < bytes; ) {
        const { bytesRead } = await file.read(buffer, filled, bytes - filled, offset + filled);
        if (bytesRead === 0) {
          throw new LabelError(`${join(folder, shardName(shard))}: ends at byte ${offset + filled}; labels are lost`);
        }
        filled += bytesRead;
      }
      return buffer;
    },
    async close(): Promise<void> {
      for (const handle of handles.values()) await (await handle).close();
      handles.clear();
    },
  };
}

/** Bytes of a shard as labels [frames, codebooks], each found to be in its codebook. */
function decodeLabels({ header }: Manifest, entry: LabelEntry, bytes: Buffer, firstFrame: number): Int32Array {
  const { codebooks } = header.teacher;
  const labels = new Int32Array(bytes.length / header.bytesPerLabel);
  for (let i = 0; i < labels.length; i++) {
    labels[i] = header.bytesPerLabel === 1 ? bytes[i] : bytes.readUInt16LE(2 * i);
    const codebook = i % codebooks.length;
    if (labels[i] >= codebooks[codebook]) {
      throw new LabelError(
        `${entry.path}: label ${labels[i]} at frame ${firstFrame + Math.floor(i / codebooks.length)} is not in codebook ` +
          `${codebook}, which has ${codebooks[codebook]}: ${shardName(entry.shard)} is damaged; make the labels again`,
      );
    }
  }
  return labels;
}

/**
 * Opens labels and checks their manifest and the sizes of their shards.
 *
 * @param expected - what the labels must be of: a teacher, or some of what describes one.
 * @throws LabelError when there are none, they are damaged, or of another teacher.
 */
export async function openLabels(folder: string, expected: Partial<TeacherDescription> = {}): Promise<Labels> {
  const path = join(folder, MANIFEST);
  if (!(await stat(path).catch(() => undefined))?.isFile()) {
    throw new LabelError(`${folder}: holds no labels (${MANIFEST} is missing); make them with mert label`);
  }
  const manifest = await readManifest(path);
  const { header, entries, skipped, shardBytes } = manifest;
  const { teacher } = header;
  const mismatch = teacherMismatch(teacher, expected);
  if (mismatch) {
    throw new LabelError(
      `${folder}: its labels are of another teacher (${mismatch}); make labels with the teacher at hand`,
    );
  }
  for (const [shard, bytes] of shardBytes.entries()) {
    const size = (await stat(join(folder, shardName(shard))).catch(() => undefined))?.size ?? 0;
    // More may be there: a file that is being labelled right now, or was when the process was killed.
    if (size < bytes) {
      throw new LabelError(
        `${join(folder, shardName(shard))}: has ${size} bytes where the manifest tells of ${bytes}; labels are lost, make them again`,
      );
    }
  }
  const shards = openShards(folder);

  function entryOf(file: string): LabelEntry {
    const entry = entries.get(file);
    if (entry) return entry;
    const reason = skipped.get(file);
    throw new LabelError(
      reason
        ? `${file}: has no labels, because it could not be read (${reason})`
        : `${file}: has no labels in ${folder}; run mert label again, which adds what is missing`,
    );
  }

  async function frames(entry: LabelEntry, first: number, count: number): Promise<Int32Array> {
    const offset = entry.offset + entryBytes(header, first);
    return decodeLabels(manifest, entry, await shards.read(entry.shard, offset, entryBytes(header, count)), first);
  }

  async function crop(file: string, start: number, count: number): Promise<Int32Array> {
    const entry = entryOf(file);
    if (!Number.isSafeInteger(start) || start < 0 || start % teacher.hop !== 0) {
      throw new LabelError(
        `${file}: a crop at sample ${start} is not on the labels’ grid; begin at a multiple of ${teacher.hop}`,
      );
    }
    const first = start / teacher.hop;
    if (!Number.isSafeInteger(count) || count < 0 || first + count > entry.frames) {
      throw new LabelError(`${file}: has ${entry.frames} labels, not ${first} to ${first + count}`);
    }
    return byCodebook(await frames(entry, first, count), teacher.codebooks.length);
  }

  function problemWith(file: string, info: Pick<AudioInfo, 'sampleRate' | 'frames'>): string | undefined {
    const entry = entries.get(file);
    if (!entry) return `has no labels${skipped.has(file) ? ` (${skipped.get(file)})` : ''}`;
    if (entry.sampleRate !== info.sampleRate || entry.samples !== info.frames) {
      return `has ${info.frames} samples at ${info.sampleRate} Hz; ${entry.samples} at ${entry.sampleRate} Hz were labelled`;
    }
    return undefined;
  }

  /** What is wrong with one file's labels, or with the file. */
  async function verifyEntry(
    entry: LabelEntry,
    music: ReadonlyMap<string, AudioItem> | undefined,
  ): Promise<string | undefined> {
    const hash = createHash('sha256');
    const step = Math.max(1, Math.floor(VERIFY_BYTES / entryBytes(header, 1)));
    for (let first = 0; first < entry.frames; first += step) {
      const count = Math.min(step, entry.frames - first);
      const offset = entry.offset + entryBytes(header, first);
      const bytes = await shards.read(entry.shard, offset, entryBytes(header, count));
      decodeLabels(manifest, entry, bytes, first);
      hash.update(bytes);
    }
    if (hash.digest('hex') !== entry.sha256) return 'its labels are not those that were written: the shard is damaged';
    if (music === undefined) return undefined;
    const item = music.get(entry.path);
    if (!item) return 'the file cannot be read: it is gone';
    const info = await checkItem(item);
    const problem = problemWith(entry.path, info);
    if (problem) return problem;
    const found = await hashOfItem(item);
    if (found !== entry.audio.sha256) {
      return `is another file than the one that was labelled (SHA-256 ${short(entry.audio.sha256)}, now ${short(found)})`;
    }
    return undefined;
  }

  const close = () => shards.close();
  return {
    folder,
    teacher,
    files: entries,
    skipped,
    crop,
    async read(file) {
      const entry = entryOf(file);
      return byCodebook(await frames(entry, 0, entry.frames), teacher.codebooks.length);
    },
    check(files) {
      const problems: string[] = [];
      let known = 0;
      for (const [file, info] of files) {
        const problem = problemWith(file, info);
        if (problem) problems.push(`\n  ${file}: ${problem}`);
        if (entries.has(file)) known++;
      }
      if (problems.length === 0) return;
      const [first] = entries.keys();
      if (known === 0 && first !== undefined) {
        throw new LabelError(
          `${folder}: the labels are of none of these files, but of ${first} and others; give the folder of music that was labelled`,
        );
      }
      const more = problems.length > 20 ? `\n  and ${problems.length - 20} more` : '';
      throw new LabelError(
        `${folder}: the labels are not of this music (${problems.length} files); run mert label again, which adds what is ` +
          `missing, or bring the files back:${problems.slice(0, 20).join('')}${more}`,
      );
    },
    async verify({ data, onFile } = {}) {
      const problems: string[] = [];
      const music =
        data === undefined ? undefined : new Map((await listAudio(data, () => {})).map((item) => [item.key, item]));
      let number = 0;
      for (const entry of entries.values()) {
        try {
          const problem = await verifyEntry(entry, music);
          if (problem) problems.push(`${entry.path}: ${problem}`);
        } catch (error) {
          const { message } = error as Error;
          problems.push(message.includes(entry.path) ? message : `${entry.path}: ${message}`);
        }
        onFile?.(++number, entries.size);
      }
      return problems;
    },
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Samples of a labelled file at the teacher's rate. */
export const samplesOf = ({ teacher }: Labels, entry: LabelEntry): number => teacherSamples({ teacher }, entry);

import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { AudioInfo } from '@dawnchorus/dsp';
import {
  type LabelEntry,
  LabelError,
  MANIFEST,
  type Manifest,
  readManifest,
  shardName,
  teacherMismatch,
  teacherSamples,
} from './manifest.ts';
import { openLabelReader } from './reader.ts';
import { byCodebook, type TeacherDescription } from './teacher.ts';
import { checkMusic, verifyLabels } from './verify.ts';

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

/** @throws LabelError when a shard is shorter than what the manifest tells of. */
async function checkShards(folder: string, { shardBytes }: Manifest): Promise<void> {
  for (const [shard, bytes] of shardBytes.entries()) {
    const path = join(folder, shardName(shard));
    const size = (await stat(path).catch(() => undefined))?.size ?? 0;
    // More may be there: a file that is being labelled right now, or was when the process was killed.
    if (size < bytes) {
      throw new LabelError(
        `${path}: has ${size} bytes where the manifest tells of ${bytes}; labels are lost, make them again`,
      );
    }
  }
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
  const { entries, skipped } = manifest;
  const { teacher } = manifest.header;
  const mismatch = teacherMismatch(teacher, expected);
  if (mismatch) {
    throw new LabelError(
      `${folder}: its labels are of another teacher (${mismatch}); make labels with the teacher at hand`,
    );
  }
  await checkShards(folder, manifest);
  const reader = openLabelReader(folder, manifest);

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

  /** [codebooks, frames] */
  async function readFrames(entry: LabelEntry, first: number, frames: number): Promise<Int32Array> {
    const { labels } = await reader.read(entry, first, frames);
    return byCodebook(labels, teacher.codebooks.length);
  }

  const close = () => reader.close();
  return {
    folder,
    teacher,
    files: entries,
    skipped,
    async crop(file, start, frames) {
      const entry = entryOf(file);
      if (!Number.isSafeInteger(start) || start < 0 || start % teacher.hop !== 0) {
        throw new LabelError(
          `${file}: a crop at sample ${start} is not on the labels’ grid; begin at a multiple of ${teacher.hop}`,
        );
      }
      const first = start / teacher.hop;
      if (!Number.isSafeInteger(frames) || frames < 0 || first + frames > entry.frames) {
        throw new LabelError(`${file}: has ${entry.frames} labels, not ${first} to ${first + frames}`);
      }
      return readFrames(entry, first, frames);
    },
    async read(file) {
      const entry = entryOf(file);
      return readFrames(entry, 0, entry.frames);
    },
    check: (files) => checkMusic(folder, manifest, files),
    verify: (options = {}) => verifyLabels(manifest, reader, options),
    close,
    [Symbol.asyncDispose]: close,
  };
}

/** Samples of a labelled file at the teacher's rate. */
export const samplesOf = ({ teacher }: Labels, entry: LabelEntry): number => teacherSamples({ teacher }, entry);

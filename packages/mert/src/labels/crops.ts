import { relative, sep } from 'node:path';
import type { AudioInfo } from '@dawnchorus/dsp';
import type { PlacedCrop } from '../data/dataset.ts';
import { LabelError } from './manifest.ts';
import type { Labels } from './read.ts';
import type { TeacherDescription } from './teacher.ts';

/** The labels of a dataset's crops. */
export interface CropLabels {
  /** Why a file cannot be used: it could not be labelled. */
  exclude(path: string): string | undefined;
  /** The last sample that a crop of a file may begin at to have all its labels. */
  latestStart(path: string): number;
  /** @throws LabelError that lists the files whose labels are missing, or not of files of their length and rate. */
  check(files: readonly AudioInfo[]): void;
  /** Labels [codebooks, frames] of a crop. */
  of(crop: PlacedCrop): Promise<Int32Array>;
}

/** What crops are to be used with. */
export interface CropGrid {
  /** Samples a second. */
  sampleRate: number;
  /** Samples between neighbouring frames. */
  hop: number;
  /** Frames of a crop. */
  frames: number;
}

/** @throws LabelError when a teacher's labels are on another grid than a model's frames. `place` is where it is from. */
export function checkGrid(
  place: string,
  teacher: Pick<TeacherDescription, 'sampleRate' | 'hop'>,
  { sampleRate, hop }: Pick<CropGrid, 'sampleRate' | 'hop'>,
): void {
  if (teacher.sampleRate === sampleRate && teacher.hop === hop) return;
  throw new LabelError(
    `${place}: a label each ${teacher.hop} samples at ${teacher.sampleRate} Hz; the model has a frame each ${hop} ` +
      `samples at ${sampleRate} Hz: label with a teacher of its grid`,
  );
}

/**
 * The labels of crops of the music in `data`, the folder that was labelled; of a manifest or archive the keys of its files
 * by their paths, as `listAudio` has them.
 *
 * @throws LabelError when they are on another grid.
 */
export function labelsOfCrops(labels: Labels, data: string | ReadonlyMap<string, string>, grid: CropGrid): CropLabels {
  checkGrid(labels.folder, labels.teacher, grid);
  const { hop, frames } = grid;
  const keyOf = (path: string) =>
    typeof data === 'string' ? relative(data, path).split(sep).join('/') : (data.get(path) ?? path);
  return {
    exclude(path) {
      const key = keyOf(path);
      const reason = labels.skipped.get(key);
      if (reason !== undefined) return `could not be labelled: ${reason}`;
      const count = labels.files.get(key)?.frames;
      return count !== undefined && count < frames ? `too short: it has ${count} labels, a crop ${frames}` : undefined;
    },
    latestStart(path) {
      const count = labels.files.get(keyOf(path))?.frames;
      return count === undefined ? Number.POSITIVE_INFINITY : (count - frames) * hop;
    },
    check: (files) => labels.check(files.map((info) => [keyOf(info.path), info] as const)),
    of: ({ path, start }) => labels.crop(keyOf(path), start, frames),
  };
}

import { existsSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { CodebookChoice } from '../codec/codec.ts';
import { KMEANS_CONFIG, loadKMeansTeacher } from '../kmeans/teacher.ts';
import { loadCodecTeacher } from './encodec.ts';
import { loadRvqTeacher, RVQ_WEIGHTS, rvqWeightsIn } from './rvq.ts';
import type { CropTeacher } from './teacher.ts';

/** The teachers that label music, by name. */
export const teacherNames = ['encodec', 'rvq', 'kmeans'] as const;
/** One of `teacherNames`. */
export type TeacherName = (typeof teacherNames)[number];

/** Which teacher a path is of: K-means and RVQ-VAEs have files of their own names, all else is taken for EnCodec. */
export function teacherNameAt(path: string): TeacherName {
  if (!existsSync(path)) {
    throw new Error(
      `${path}: there is no such file or folder; a teacher is EnCodec's folder or file, the folder that mert kmeans train ` +
        'wrote, or teacher/ of a run of mert pretrain',
    );
  }
  if (existsSync(join(path, KMEANS_CONFIG))) return 'kmeans';
  return basename(path) === RVQ_WEIGHTS || rvqWeightsIn(path) ? 'rvq' : 'encodec';
}

/**
 * Loads a teacher: EnCodec in any layout (`encodec`), what `mert pretrain` trained (`rvq`), or what `mert kmeans train`
 * did (`kmeans`).
 *
 * @param path - its folder, or its file.
 * @param choice - how many codebooks, of `encodec` alone.
 */
export async function loadTeacher(name: TeacherName, path: string, choice: CodebookChoice = {}): Promise<CropTeacher> {
  if (name === 'encodec') return loadCodecTeacher(path, choice);
  if (choice.bandwidth !== undefined || choice.codebooks !== undefined) {
    throw new RangeError(`teacher ${name} has one number of codebooks; bandwidth and codebooks are for encodec`);
  }
  return name === 'rvq' ? loadRvqTeacher(path) : loadKMeansTeacher(path);
}

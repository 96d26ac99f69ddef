import type { CodebookChoice } from '../codec/codec.ts';
import { loadKMeansTeacher } from '../kmeans/teacher.ts';
import { loadCodecTeacher } from './encodec.ts';
import { loadRvqTeacher } from './rvq.ts';
import type { Teacher } from './teacher.ts';

/** The teachers that label music, by name. */
export const teacherNames = ['encodec', 'rvq', 'kmeans'] as const;
/** One of `teacherNames`. */
export type TeacherName = (typeof teacherNames)[number];

/**
 * Loads a teacher: EnCodec in any layout (`encodec`), what `mert pretrain` trained (`rvq`), or what `mert kmeans train`
 * did (`kmeans`).
 *
 * @param path - its folder, or its file.
 * @param choice - how many codebooks, of `encodec` alone.
 */
export async function loadTeacher(name: TeacherName, path: string, choice: CodebookChoice = {}): Promise<Teacher> {
  if (name === 'encodec') return loadCodecTeacher(path, choice);
  if (choice.bandwidth !== undefined || choice.codebooks !== undefined) {
    throw new RangeError(`teacher ${name} has one number of codebooks; bandwidth and codebooks are for encodec`);
  }
  return name === 'rvq' ? loadRvqTeacher(path) : loadKMeansTeacher(path);
}

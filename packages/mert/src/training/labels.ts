import type { PretrainConfig } from '../config/index.ts';
import { listAudio } from '../data/collection.ts';
import { type Dataset, type DatasetOptions, openDataset } from '../data/dataset.ts';
import { type CropLabels, labelsOfCrops } from '../labels/crops.ts';
import { openLabels } from '../labels/read.ts';
import { SAMPLES_PER_CODE } from '../rvq/teacher.ts';
import type { TrainerState } from './state.ts';

/** The labels that a run learns from, open. */
export interface RunLabels extends CropLabels {
  /** What they are, for people. */
  description: string;
  /** What a resumed run must find again. */
  state: NonNullable<TrainerState['labels']>;
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Opens the labels of a run, if it has any, and makes its heads as many as there are codebooks, and as wide as the largest.
 *
 * @throws LabelError when they are on another grid than the student; Error when the run was started with others.
 */
export async function openRunLabels(
  run: { labels?: string; data: string; out: string },
  config: PretrainConfig,
  frames: number,
  state: TrainerState | undefined,
): Promise<RunLabels | undefined> {
  const labels = run.labels === undefined ? undefined : await openLabels(run.labels);
  const own = labels?.teacher.hash;
  if (state && state.labels?.teacher !== own) {
    await labels?.close();
    const name = (hash: string | undefined) => (hash ? `labels of teacher ${hash.slice(0, 12)}` : 'no labels');
    throw new Error(
      `${run.out}: the run was started with ${name(state.labels?.teacher)}, not ${name(own)}; resume with the same`,
    );
  }
  const wanted = config.targets.classes;
  if (!labels && wanted.length > 0) {
    throw new Error(
      `targets.classes is [${wanted}]: the student is to learn labels that were made before; give their folder by --labels, as ` +
        'mert label makes it',
    );
  }
  if (!labels) return undefined;
  const { name, hash, codebooks } = labels.teacher;
  if (!state && wanted.length > 0 && wanted.join() !== codebooks.join()) {
    await labels.close();
    throw new Error(
      `${labels.folder}: codebooks of [${codebooks}] classes, but targets.classes of the configuration is [${wanted}]; label with ` +
        'a teacher of that size, or set targets.classes to []',
    );
  }
  const keys = new Map((await listAudio(run.data)).map(({ path, key }) => [path, key]));
  const grid = { sampleRate: config.audio.sampleRate, hop: SAMPLES_PER_CODE, frames };
  config.rvq.numCodebooks = codebooks.length;
  config.rvq.codebookSize = Math.max(...codebooks);
  config.targets.classes = state?.config.targets.classes ?? [...codebooks];
  return {
    ...labelsOfCrops(labels, keys, grid),
    description: `labels: of teacher ${name} ${hash.slice(0, 12)}, codebooks of ${codebooks.join(', ')}, from ${labels.folder}`,
    state: { folder: labels.folder, teacher: hash },
    [Symbol.asyncDispose]: () => labels.close(),
  };
}

/** A dataset whose files all have labels, where there are to be any. @throws LabelError that lists those without. */
export async function openLabelled(options: DatasetOptions, labels: CropLabels | undefined): Promise<Dataset> {
  const dataset = await openDataset({ ...options, exclude: labels?.exclude, latestStart: labels?.latestStart });
  labels?.check(dataset.files);
  return dataset;
}

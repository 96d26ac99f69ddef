/** What the student learns from: labels that were made before, or a teacher that was. */
import type { PretrainConfig } from '../config/index.ts';
import { dataFolders, listAudio } from '../data/collection.ts';
import { type Dataset, type DatasetOptions, openDataset } from '../data/dataset.ts';
import { type CropGrid, type CropLabels, checkGrid, labelsOfCrops } from '../labels/crops.ts';
import { loadTeacher, teacherNameAt } from '../labels/load.ts';
import { openLabels } from '../labels/read.ts';
import { type CropTeacher, frameCountOf } from '../labels/teacher.ts';
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

/** What a run was told of its labels. */
interface Sources {
  /** Folder of labels. */
  labels?: string;
  /** Path of a teacher. */
  teacher?: string;
}

/** The teachers of what a run learns from, by their hashes. */
interface SourceState {
  labels?: { teacher: string };
  teacher?: { hash: string };
}

/** Names them in the words of an error. */
const sourceName = ({ labels, teacher }: SourceState): string =>
  (labels && `labels of teacher ${labels.teacher.slice(0, 12)}`) ??
  (teacher && `teacher ${teacher.hash.slice(0, 12)}`) ??
  'no labels';

/** @throws Error when a run goes on with other labels than it was started with. */
function checkSource(out: string, state: TrainerState | undefined, now: SourceState): void {
  if (!state) return;
  const { labels, teacher } = state;
  if (labels?.teacher === now.labels?.teacher && teacher?.hash === now.teacher?.hash) return;
  throw new Error(
    `${out}: the run was started with ${sourceName(state)}, not ${sourceName(now)}; resume with the same`,
  );
}

/**
 * Gives the student a head for each codebook, as wide as the largest.
 *
 * @throws Error when the configuration names other classes.
 */
function learnCodebooks(
  config: PretrainConfig,
  codebooks: readonly number[],
  from: string,
  state: TrainerState | undefined,
): void {
  const wanted = config.targets.classes;
  if (!state && wanted.length > 0 && wanted.join() !== codebooks.join()) {
    throw new Error(
      `${from}: codebooks of [${codebooks}] classes, but targets.classes of the configuration is [${wanted}]; label with ` +
        'a teacher of that size, or set targets.classes to []',
    );
  }
  config.rvq.numCodebooks = codebooks.length;
  config.rvq.codebookSize = Math.max(...codebooks);
  config.targets.classes = state?.config.targets.classes ?? [...codebooks];
}

/**
 * Opens the labels of a run, if it has any, and gives the student heads for them.
 *
 * @throws LabelError when they are on another grid than the student; Error when the run was started with others, or needs
 *   labels or a teacher and has neither.
 */
export async function openRunLabels(
  run: Sources & { data: string; out: string },
  config: PretrainConfig,
  frames: number,
  state: TrainerState | undefined,
): Promise<RunLabels | undefined> {
  if (run.labels === undefined) {
    if (run.teacher !== undefined) return undefined;
    checkSource(run.out, state, {});
    if (config.targets.classes.length > 0) {
      throw new Error(
        `targets.classes is [${config.targets.classes}]: the student is to learn labels of that many classes; give their ` +
          'folder by --labels, as mert label makes it, or the teacher itself by --teacher',
      );
    }
    return undefined;
  }
  if (run.teacher !== undefined) throw new Error('both labels and a teacher were given; give one of them');
  const labels = await openLabels(run.labels);
  try {
    const { name, hash, codebooks } = labels.teacher;
    const own = { folder: labels.folder, teacher: hash };
    checkSource(run.out, state, { labels: own });
    learnCodebooks(config, codebooks, labels.folder, state);
    const { train, valid } = dataFolders(run.data);
    // Of a folder its held-out music is part of it, under its keys; a manifest valid lies beside the manifest train.
    const music = train === run.data && valid !== undefined ? [train, valid] : [run.data];
    const items = (await Promise.all(music.map((data) => listAudio(data, () => {})))).flat();
    const keys = new Map(items.map(({ path, key }) => [path, key]));
    return {
      ...labelsOfCrops(labels, keys, gridOf(config, frames)),
      description: `labels: of teacher ${name} ${hash.slice(0, 12)}, codebooks of ${codebooks.join(', ')}, from ${labels.folder}`,
      state: own,
      [Symbol.asyncDispose]: () => labels.close(),
    };
  } catch (error) {
    await labels.close();
    throw error;
  }
}

const gridOf = ({ audio }: PretrainConfig, frames: number): CropGrid => ({
  sampleRate: audio.sampleRate,
  hop: SAMPLES_PER_CODE,
  frames,
});

/** A teacher that was made before the run, which labels its crops as they come. */
export interface RunTeacher {
  teacher: CropTeacher;
  /** What it is, for people. */
  description: string;
  /** What a resumed run must find again. */
  state: NonNullable<TrainerState['teacher']>;
  [Symbol.dispose](): void;
}

/**
 * Loads the teacher that a run was given, if it was, and gives the student heads for its codebooks: of EnCodec as many as
 * the configuration says.
 *
 * @throws LabelError when it is on another grid than the student; Error when the run was started with another, or it labels
 *   fewer frames of a crop than the student has.
 */
export async function openRunTeacher(
  run: Sources & { out: string },
  config: PretrainConfig,
  crop: { samples: number; frames: number },
  state: TrainerState | undefined,
): Promise<RunTeacher | undefined> {
  const { teacher: path } = run;
  if (path === undefined) return undefined;
  const name = teacherNameAt(path);
  const codebooks = config.targets.classes.length || config.rvq.numCodebooks;
  const teacher = await loadTeacher(name, path, name === 'encodec' ? { codebooks } : {});
  try {
    const own = { path, hash: teacher.hash };
    checkSource(run.out, state, { teacher: own });
    checkGrid(path, teacher, gridOf(config, crop.frames));
    const there = frameCountOf(teacher, crop.samples);
    if (there < crop.frames) {
      throw new Error(
        `${path}: labels ${there} frames of a crop of ${crop.samples} samples, the student has ${crop.frames}; label whole ` +
          'files by mert label and give --labels',
      );
    }
    learnCodebooks(config, teacher.codebooks, path, state);
    return {
      teacher,
      description: `teacher: ${name} ${teacher.hash.slice(0, 12)}, codebooks of ${teacher.codebooks.join(', ')}, from ${path}`,
      state: own,
      [Symbol.dispose]: () => teacher.dispose(),
    };
  } catch (error) {
    teacher.dispose();
    throw error;
  }
}

/** A dataset whose files all have labels, where there are to be any. @throws LabelError that lists those without. */
export async function openLabelled(options: DatasetOptions, labels: CropLabels | undefined): Promise<Dataset> {
  const dataset = await openDataset({ ...options, exclude: labels?.exclude, latestStart: labels?.latestStart });
  labels?.check(dataset.files);
  return dataset;
}

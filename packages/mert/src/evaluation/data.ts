/** What a loader gives: clips with labels and splits, whatever folder they come from. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { type Split, type StemName, splits } from './names.ts';
import type { Task } from './tasks.ts';

/** A labelled clip. */
export interface Clip {
  /** Unique in its data set. */
  readonly id: string;
  /** The audio file. */
  readonly path: string;
  readonly split: Split;
  /** Predictions of clips of one song become one. */
  readonly song: string;
  /** Seconds: the part of the file, all of it unless given. */
  readonly start?: number;
  readonly duration?: number;
  /** Places in the list of classes: one, or those of the tags that hold. */
  readonly classes?: readonly number[];
  /** Of a regression, in the units of the data set. */
  readonly values?: readonly number[];
  /** Ascending seconds from the start of the clip. */
  readonly beats?: readonly number[];
  readonly downbeats?: readonly number[];
  /** The parts of a mixture. */
  readonly stems?: Readonly<Partial<Record<StemName, string>>>;
}

/** A data set, or its stand-in, that was read. */
export interface TaskData {
  readonly task: Task;
  /** The data set’s name; of a proxy its own. */
  readonly name: string;
  readonly proxy: boolean;
  readonly folder: string;
  readonly classes: readonly string[];
  /** Metrics to report, the first decides on validation. */
  readonly metrics: readonly string[];
  readonly clips: readonly Clip[];
  /** Clips whose audio is not there. */
  readonly missing: readonly string[];
  /** What a reader of the scores should know. */
  readonly notes: readonly string[];
}

/** A folder that is not as it should be: the message says what is missing, where it comes from, and what a part is worth. */
export class LayoutError extends Error {
  readonly missing: readonly string[];

  constructor(task: Task, folder: string, missing: readonly string[], worth: string) {
    const named = missing.slice(0, 5).map((path) => `\n  missing: ${path}`);
    const more = missing.length > 5 ? `\n  and ${missing.length - 5} more` : '';
    super(
      `${folder} is not all of ${task.dataSet}:${named.join('')}${more}\n  expected:\n${task.layout.map((line) => `    ${line}`).join('\n')}\n` +
        `  it comes from ${task.source}\n  ${worth}`,
    );
    this.name = 'LayoutError';
    this.missing = missing;
  }
}

/** What a score is worth that was made without what is missing. */
export const worthless =
  'without it there are no labels or no split, so that no score means anything, not of a part either';

const share = (part: number, all: number): string => `${part} of ${all}`;

/**
 * What a score on the clips that are there would be worth.
 *
 * @returns whether it means anything, and a sentence that says so.
 */
export function worthOfPart(
  task: Task,
  there: readonly Clip[],
  all: readonly Clip[],
  classes: readonly string[],
): { meaningful: boolean; text: string } {
  const counts = splits.map((split) => ({
    split,
    there: there.filter((clip) => clip.split === split),
    all: all.filter((clip) => clip.split === split).length,
  }));
  const empty = counts.filter((own) => own.there.length === 0);
  if (empty.length > 0) {
    const names = empty.map(({ split }) => split).join(' and ');
    return { meaningful: false, text: `a partial score would mean nothing: no clip of ${names} is there` };
  }
  if (task.kind === 'multiclass' || task.kind === 'multilabel') {
    const seen = (clips: readonly Clip[]) => new Set(clips.flatMap((clip) => clip.classes ?? []));
    const [train, , test] = counts.map((own) => seen(own.there));
    const wanted = seen(all.filter((clip) => clip.split === 'test'));
    const lost = [...wanted].filter((k) => !train.has(k) || !test.has(k));
    if (lost.length > 0) {
      const names = lost.slice(0, 5).map((k) => classes[k]);
      return {
        meaningful: false,
        text: `a partial score would mean nothing: ${share(lost.length, wanted.size)} classes (${names.join(', ')}${lost.length > 5 ? ', …' : ''}) have no clip in train or test`,
      };
    }
  }
  const parts = counts.map((own) => `${share(own.there.length, own.all)} ${own.split}`).join(', ');
  return {
    meaningful: true,
    text: `a partial score (${parts} clips) says something of the clips that are there, but is not to be compared with published ones`,
  };
}

/** Splits clips by whether their audio is there. */
export function presentClips(clips: readonly Clip[]): { there: Clip[]; missing: string[] } {
  const there: Clip[] = [];
  const missing: string[] = [];
  for (const clip of clips) {
    const gone = [clip.path, ...Object.values(clip.stems ?? {})].filter((path) => !existsSync(path));
    if (gone.length === 0) there.push(clip);
    else missing.push(gone[0]);
  }
  return { there, missing };
}

/**
 * Finishes what a loader read: looks which audio is there, and refuses a part unless it was asked for and means something.
 *
 * @throws LayoutError
 */
export function finish(
  data: Pick<TaskData, 'task' | 'folder' | 'classes'> & { clips: readonly Clip[]; notes?: readonly string[] },
  { partial = false }: TaskLoadOptions,
): TaskData {
  const { task, folder, clips, classes, notes = [] } = data;
  if (clips.length === 0) throw new LayoutError(task, folder, ['every clip'], worthless);
  const { there, missing } = presentClips(clips);
  const own: string[] = [...notes];
  if (missing.length > 0) {
    const worth = worthOfPart(task, there, clips, classes);
    if (!worth.meaningful || !partial) {
      const how = worth.meaningful ? '; --partial scores it all the same' : '';
      throw new LayoutError(task, folder, missing, `${worth.text}${how}`);
    }
    own.push(worth.text);
  } else {
    const worth = worthOfPart(task, there, clips, classes);
    if (!worth.meaningful) throw new LayoutError(task, folder, ['clips'], worth.text);
  }
  const { dataSet: name, metrics } = task;
  return { task, name, proxy: false, folder, classes, metrics, clips: there, missing, notes: own };
}

/** How a folder is read. */
export interface TaskLoadOptions {
  /** Whether a part of the clips will do where a score on it means something. */
  partial?: boolean;
}

/** A whole number of [0, modulus) that a text decides: the SHA-1 of it, as jukemir and MARBLE split by artist. */
export function hashModulo(text: string, modulus: number): number {
  return Number(BigInt(`0x${createHash('sha1').update(text, 'utf8').digest('hex')}`) % BigInt(modulus));
}

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { gtzanGenres } from '../classes.ts';
import { type Clip, finish, LayoutError, type TaskData, type TaskLoadOptions, worthless } from '../data.ts';
import { splits } from '../names.ts';
import type { Task } from '../tasks.ts';
import { findFirst, findFolder, readLines } from './files.ts';

function listedClips(task: Task, folder: string): Clip[] {
  const lists = splits.map((split) => ({
    split,
    lines: readLines(task, folder, join(folder, `${split}_filtered.txt`)),
  }));
  const audio = findFirst(task, folder, ['genres', 'genres_original', join('Data', 'genres_original')]);
  return lists.flatMap(({ split, lines }) =>
    lines.map((line) => {
      const place = line.trim();
      const genre = gtzanGenres.indexOf(place.split('/')[0]);
      if (genre < 0) {
        throw new Error(
          `${join(folder, `${split}_filtered.txt`)}: “${place}” does not begin with a genre: ${gtzanGenres.join(', ')}`,
        );
      }
      return { id: place, song: place, path: join(audio, place), split, classes: [genre] };
    }),
  );
}

/** GTZAN by its fail-filtered split. */
export const loadGtzan = (task: Task, folder: string, options: TaskLoadOptions): TaskData =>
  finish({ task, folder, clips: listedClips(task, folder), classes: gtzanGenres }, options);

interface JamsAnnotation {
  namespace?: string;
  sandbox?: { annotation_type?: string };
  data?: { time: number }[] | { time: number[] };
}

/** Ascending seconds of the beats or downbeats of a JAMS file. @throws Error when it holds none of either. */
function timesOf(path: string, annotations: readonly JamsAnnotation[], type: 'beat' | 'downbeat'): number[] {
  const found = annotations.find((own) => own.namespace === 'beat' && own.sandbox?.annotation_type === type);
  if (!found?.data) {
    if (type === 'downbeat') return [];
    throw new Error(
      `${path}: holds no beats (an annotation of namespace beat whose sandbox says annotation_type ${type})`,
    );
  }
  const times = Array.isArray(found.data) ? found.data.map(({ time }) => time) : found.data.time;
  return times.filter(Number.isFinite).sort((a, b) => a - b);
}

/** GTZAN-Rhythm: beats of GTZAN's clips in JAMS files. */
export function loadGtzanRhythm(task: Task, folder: string, options: TaskLoadOptions): TaskData {
  const clips = listedClips(task, folder);
  const rhythm = findFolder(task, folder, 'gtzan-rhythm_v2');
  const lost: string[] = [];
  const withBeats = clips.flatMap((clip): Clip[] => {
    const name = `${basename(clip.path)}.jams`;
    let path: string;
    try {
      path = findFirst(task, rhythm, [join('jams', name), name]);
    } catch {
      lost.push(join(rhythm, 'jams', name));
      return [];
    }
    let annotations: JamsAnnotation[];
    try {
      annotations = JSON.parse(readFileSync(path, 'utf8')).annotations;
      if (!Array.isArray(annotations)) throw new Error('it has no list of annotations');
    } catch (cause) {
      throw new Error(`${path}: is no JAMS file: ${(cause as Error).message}`, { cause });
    }
    return [
      {
        ...clip,
        classes: undefined,
        beats: timesOf(path, annotations, 'beat'),
        downbeats: timesOf(path, annotations, 'downbeat'),
      },
    ];
  });
  if (lost.length > 0) throw new LayoutError(task, folder, lost, worthless);
  return finish({ task, folder, clips: withBeats, classes: ['beat', 'downbeat'] }, options);
}

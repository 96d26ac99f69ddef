import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type Clip, finish, type TaskData, type TaskLoadOptions } from '../data.ts';
import type { Split, TaskName } from '../names.ts';
import type { Task } from '../tasks.ts';
import { findFirst, readLines } from './files.ts';

const lists: Partial<Record<TaskName, string>> = {
  'instrument-tagging': 'instrument',
  'mood-tagging': 'moodtheme',
  'genre-tagging': 'genre',
  'top50-tagging': 'top50tags',
};

const parts: readonly (readonly [Split, string])[] = [
  ['train', 'train'],
  ['valid', 'validation'],
  ['test', 'test'],
];

/** MTG-Jamendo's tags by its official split 0. */
export function loadJamendo(task: Task, folder: string, options: TaskLoadOptions): TaskData {
  const list = lists[task.name];
  const place = join('data', 'splits', 'split-0');
  const split0 = findFirst(task, folder, [place, join('mtg-jamendo-dataset', place)]);
  const audio = findFirst(task, folder, ['audio-low', 'audio', 'raw_30s/audio-low', 'raw_30s/audio']);
  const rows = parts.flatMap(([split, part]) => {
    const path = join(split0, `autotagging_${list}-${part}.tsv`);
    return readLines(task, folder, path)
      .slice(1)
      .map((line, i) => {
        const fields = line.split('\t').map((field) => field.trim());
        if (fields.length < 6) {
          throw new Error(
            `${path}:${i + 2}: has ${fields.length} fields; expected TRACK_ID, ARTIST_ID, ALBUM_ID, PATH, DURATION and TAGS`,
          );
        }
        return { split, track: fields[0], path: fields[3], tags: fields.slice(5).filter((tag) => tag !== '') };
      });
  });
  const classes = [...new Set(rows.flatMap(({ tags }) => tags))].sort();
  const clips = rows.map(({ split, track, path, tags }): Clip => {
    const low = join(audio, path.replace(/\.mp3$/, '.low.mp3'));
    const own = existsSync(low) ? low : join(audio, path);
    return { id: track, song: track, path: own, split, classes: tags.map((tag) => classes.indexOf(tag)) };
  });
  const short = (tag: string) => tag.split('---').pop() as string;
  const notes =
    classes.length === task.classes ? [] : [`${classes.length} tags; the official lists have ${task.classes}`];
  return finish({ task, folder, clips, classes: list === 'top50tags' ? classes : classes.map(short), notes }, options);
}

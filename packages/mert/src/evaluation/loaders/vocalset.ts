import { basename, dirname, relative } from 'node:path';
import { audioFiles, probeAudio } from '@dawnchorus/dsp';
import { vocalSetSingers, vocalSetTechniques } from '../classes.ts';
import { type Clip, finish, hashModulo, LayoutError, type TaskData, type TaskLoadOptions, worthless } from '../data.ts';
import type { Split } from '../names.ts';
import type { Task } from '../tasks.ts';
import { findFirst } from './files.ts';

const testSingers = ['f2', 'f8', 'm3', 'm5', 'm10'];
/** Seconds of the slices that recordings are cut into. */
const SLICE = 3;
/** The folders of recordings that singers are told by: MARBLE's list. */
const known = new Set([
  ...vocalSetTechniques,
  ...['fast_forte', 'fast_piano', 'forte', 'messa', 'pp', 'slow_forte', 'slow_piano'],
]);

/** Places in 25 of which the first 12 train, the next 8 validate and the last 5 test, or 15 of which 9 train. */
function splitOf(task: Task, singer: string, recording: string): Split {
  if (task.name === 'singer') {
    const place = hashModulo(recording, 25);
    return place < 12 ? 'train' : place < 20 ? 'valid' : 'test';
  }
  if (testSingers.includes(singer)) return 'test';
  return hashModulo(recording, 5) < 3 ? 'train' : 'valid';
}

/** f1 of female1. */
const shortName = (folder: string): string => folder.toLowerCase().replace(/^(f|m)(?:em)?ale/, '$1');

/** VocalSet: slices of 3 s, by technique or by singer. */
export async function loadVocalSet(task: Task, folder: string, options: TaskLoadOptions): Promise<TaskData> {
  const full = findFirst(task, folder, ['FULL', 'VocalSet/FULL', 'full']);
  const classes = task.name === 'singer' ? vocalSetSingers : vocalSetTechniques;
  const clips: Clip[] = [];
  let short = 0;
  const singers = new Set<string>();
  for (const path of await audioFiles(full)) {
    const technique = basename(dirname(path));
    const place = relative(full, path).split(/[\\/]/);
    if (place.length !== 4 || !known.has(technique)) continue;
    const singer = shortName(place[0]);
    if (!vocalSetSingers.includes(singer)) {
      throw new Error(`${path}: “${place[0]}” is no singer; expected female1 to female9 and male1 to male11`);
    }
    singers.add(singer);
    const own = classes.indexOf(task.name === 'singer' ? singer : technique);
    if (own < 0) continue;
    const { duration } = await probeAudio(path);
    const slices = Math.floor(duration / SLICE);
    if (slices === 0) short++;
    const recording = place.join('/');
    for (let i = 0; i < slices; i++) {
      const id = `${recording}#${i}`;
      clips.push({
        ...{ id, song: id, path, start: i * SLICE, duration: SLICE, classes: [own] },
        split: splitOf(task, singer, recording),
      });
    }
  }
  const lost = vocalSetSingers.filter((singer) => !singers.has(singer));
  if (lost.length > 0)
    throw new LayoutError(
      task,
      folder,
      lost.map((singer) => `FULL/ of singer ${singer}`),
      worthless,
    );
  const notes = [
    'silence is not cut off, and valid is drawn by a hash of the recording: MARBLE’s random draw is not published',
    ...(short > 0 ? [`${short} recordings of less than ${SLICE} s are left out`] : []),
  ];
  return finish({ task, folder, clips, classes, notes }, options);
}

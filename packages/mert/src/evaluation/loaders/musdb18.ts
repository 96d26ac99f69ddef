import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { type Clip, finish, LayoutError, type TaskData, type TaskLoadOptions, worthless } from '../data.ts';
import { stemNames } from '../names.ts';
import type { Task } from '../tasks.ts';

/** Tracks of train/ that the data set's own tools validate on. */
const validTracks = new Set([
  'Actions - One Minute Smile',
  'Clara Berry And Wooldog - Waltz For My Victims',
  'Johnny Lokke - Promises & Lies',
  'Patrick Talbot - A Reason To Leave',
  'Triviul - Angelsaint',
  'Alexander Ross - Goodbye Bolero',
  'Fergessen - Nos Palpitants',
  'Leaf - Summerghost',
  'Skelpolu - Human Mistakes',
  'Young Griffo - Pennies',
  'ANiMAL - Rockshow',
  'James May - On The Line',
  'Meaxic - Take A Step',
  'Traffic Experiment - Sirens',
]);

/** MUSDB18 in the layout of MUSDB18-HQ. */
export function loadMusdb18(task: Task, folder: string, options: TaskLoadOptions): TaskData {
  const clips = ['train', 'test'].flatMap((part) => {
    const own = join(folder, part);
    if (!existsSync(own)) throw new LayoutError(task, folder, [`${part}/`], worthless);
    const entries = readdirSync(own, { withFileTypes: true }).filter((entry) => !entry.name.startsWith('.'));
    const stem = entries.find((entry) => entry.name.endsWith('.stem.mp4'));
    if (stem) {
      throw new Error(
        `${join(own, stem.name)}: MPEG-4 is not read; bring MUSDB18 into the layout of MUSDB18-HQ with \`musdbconvert\` (pip install musdb), or fetch MUSDB18-HQ`,
      );
    }
    return entries
      .map((entry) => entry.name)
      .sort()
      .map((name): Clip => {
        const place = (file: string) => join(own, name, `${file}.wav`);
        const valid = part === 'train' && validTracks.has(name);
        return {
          ...{ id: `${part}/${name}`, song: `${part}/${name}`, path: place('mixture') },
          split: part === 'test' ? 'test' : valid ? 'valid' : 'train',
          stems: Object.fromEntries(stemNames.map((stem) => [stem, place(stem)])),
        };
      });
  });
  return finish({ task, folder, clips, classes: [] }, options);
}

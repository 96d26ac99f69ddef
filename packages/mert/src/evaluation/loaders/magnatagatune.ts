import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { magnaTagATuneTags } from '../classes.ts';
import { type Clip, finish, type TaskData, type TaskLoadOptions } from '../data.ts';
import type { Split } from '../names.ts';
import type { Task } from '../tasks.ts';
import { readTable } from './files.ts';

/** Empty in the data set as it is handed out. */
const empty = [
  '6/norine_braun-now_and_zen-08-gently-117-146.mp3',
  '8/jacob_heringman-josquin_des_prez_lute_settings-19-gintzler__pater_noster-204-233.mp3',
  '9/american_baroque-dances_and_suites_of_rameau_and_couperin-25-le_petit_rien_trio_xiv_ordre_couperin-88-117.mp3',
];

function splitOf(folder: number): Split {
  if (folder < 12) return 'train';
  return folder === 12 ? 'valid' : 'test';
}

/** MagnaTagATune: annotations_final.csv, and folders 0 to f, which also tell the split. */
export function loadMagnaTagATune(task: Task, folder: string, options: TaskLoadOptions): TaskData {
  const path = join(folder, 'annotations_final.csv');
  const rows = readTable(task, folder, path, '\t', [...magnaTagATuneTags, 'mp3_path']);
  const audio = existsSync(join(folder, 'mp3')) ? join(folder, 'mp3') : folder;
  const clips = rows.flatMap((row, i): Clip[] => {
    const place = row.mp3_path;
    const digit = Number.parseInt(place[0], 16);
    if (!/^[0-9a-f]\//.test(place)) {
      throw new Error(`${path}:${i + 2}: “${place}” does not begin with a folder 0 to f, which tells the split`);
    }
    if (empty.includes(place)) return [];
    const classes = magnaTagATuneTags.flatMap((tag, k) => (row[tag] === '1' ? [k] : []));
    return [{ id: place, path: join(audio, place), split: splitOf(digit), song: place, classes }];
  });
  const notes =
    rows.length > clips.length
      ? [`${rows.length - clips.length} files that are empty in the data set are left out`]
      : [];
  return finish({ task, folder, clips, classes: magnaTagATuneTags, notes }, options);
}

import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { keys } from '../classes.ts';
import { type Clip, finish, hashModulo, LayoutError, type TaskData, type TaskLoadOptions, worthless } from '../data.ts';
import { keyIndex } from '../metrics/index.ts';
import type { Split } from '../names.ts';
import type { Task } from '../tasks.ts';
import { findFolder, readTable } from './files.ts';

/** Of 116 places the first 100 train. */
const [TRAIN, ALL] = [100, 116];

const artistsOf = (field: string): string[] => field.split(',').map((artist) => artist.trim());

/** jukemir's split: by a hash of each artist; whoever worked with an artist of valid is of valid, over two hops. */
export function splitByArtist(fields: readonly string[]): (field: string) => Split {
  const split = new Map<string, Split>();
  for (const artist of fields.flatMap(artistsOf)) {
    split.set(artist, hashModulo(artist.toLowerCase(), ALL) < TRAIN ? 'train' : 'valid');
  }
  for (let hop = 0; hop < 2; hop++) {
    for (const artists of fields.map(artistsOf)) {
      if (artists.some((artist) => split.get(artist) === 'valid')) for (const own of artists) split.set(own, 'valid');
    }
  }
  return (field) => (artistsOf(field).some((artist) => split.get(artist) === 'valid') ? 'valid' : 'train');
}

/** GiantSteps-MTG-keys to learn from, GiantSteps to be tested on. */
export function loadGiantSteps(task: Task, folder: string, options: TaskLoadOptions): TaskData {
  const train = findFolder(task, folder, 'giantsteps-mtg-key-dataset');
  const test = findFolder(task, folder, 'giantsteps-key-dataset');
  const annotationPath = join(train, 'annotations', 'annotations.txt');
  const annotations = readTable(task, folder, annotationPath, '\t', ['ID', 'MANUAL KEY', 'C']);
  const metadata = readTable(task, folder, join(train, 'annotations', 'beatport_metadata.txt'), '\t', ['ID', 'ARTIST']);
  const artists = new Map(metadata.map((row) => [row.ID, row.ARTIST]));
  const splitOf = splitByArtist([...artists.values()]);
  const clips: Clip[] = [];
  for (const [i, row] of annotations.entries()) {
    // Only what its annotator was sure of, and what stays in one key (Korzeniowski and Widmer, 2018).
    if (row.C !== '2' || row['MANUAL KEY'].includes('/')) continue;
    const artist = artists.get(row.ID);
    if (artist === undefined)
      throw new Error(`${annotationPath}:${i + 2}: beatport_metadata.txt has no track ${row.ID}`);
    const path = join(train, 'audio', `${row.ID}.LOFI.mp3`);
    const song = `mtg-${row.ID}`;
    clips.push({ id: song, song, path, split: splitOf(artist), classes: [keyIndex(row['MANUAL KEY'])] });
  }
  const keyFolder = join(test, 'annotations', 'key');
  if (!existsSync(keyFolder)) throw new LayoutError(task, folder, [`${keyFolder}/ID.LOFI.key`], worthless);
  for (const name of readdirSync(keyFolder).sort()) {
    if (!name.endsWith('.key')) continue;
    const id = name.slice(0, -'.key'.length);
    const classes = [keyIndex(readFileSync(join(keyFolder, name), 'utf8'))];
    const path = join(test, 'audio', `${id}.mp3`);
    clips.push({ id: `test-${id}`, song: `test-${id}`, path, split: 'test', classes });
  }
  return finish({ task, folder, clips, classes: keys }, options);
}

import { dirname, join } from 'node:path';
import { type Clip, finish, hashModulo, type TaskData, type TaskLoadOptions } from '../data.ts';
import type { Split } from '../names.ts';
import type { Task } from '../tasks.ts';
import { findFirst, numberOf, readTable } from './files.ts';

/** An artist's name as jukemir hashes it: small ASCII letters and single spaces. */
const plainArtist = (artist: string): string =>
  artist
    .toLowerCase()
    .replace(/[^a-z\s]/g, '')
    .split(/\s+/)
    .filter((word) => word !== '')
    .join(' ');

function splitOf(set: string, artist: string): Split {
  if (set === 'evaluation') return 'test';
  return hashModulo(plainArtist(artist), 10) < 8 ? 'train' : 'valid';
}

/** EmoMusic: arousal and valence of clips of 45 s. */
export function loadEmoMusic(task: Task, folder: string, options: TaskLoadOptions): TaskData {
  const infoPath = findFirst(task, folder, ['songs_info.csv', join('annotations', 'songs_info.csv')]);
  const valuesPath = join(dirname(infoPath), 'static_annotations.csv');
  const info = readTable(task, folder, infoPath, ',', ['song_id', 'Artist', 'Mediaeval 2013 set']);
  const values = readTable(task, folder, valuesPath, ',', ['song_id', 'mean_arousal', 'mean_valence']);
  const audio = findFirst(task, folder, ['clips_45seconds', 'clips_45sec']);
  const byId = new Map(info.map((row) => [Number(row.song_id), row]));
  const clips = values.map((row, i): Clip => {
    const where = `${valuesPath}:${i + 2}`;
    const id = numberOf(row.song_id, where);
    const song = byId.get(id);
    if (!song) throw new Error(`${where}: ${infoPath} has no song ${id}`);
    return {
      ...{ id: String(id), song: String(id), path: join(audio, `${id}.mp3`) },
      split: splitOf(song['Mediaeval 2013 set'], song.Artist),
      values: [numberOf(row.mean_arousal, where), numberOf(row.mean_valence, where)],
    };
  });
  return finish({ task, folder, clips, classes: ['arousal', 'valence'] }, options);
}

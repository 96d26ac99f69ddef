/** A run's logs as TensorBoard's event files. */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { followLog, scalarsOf } from './log.ts';
import { createEventFile, type EventFile, type EventImage } from './tfevents.ts';

/** Where a run leaves pictures, NAME-STEP.png. */
export const PICTURES = 'pictures';

/** Event files that follow a run's logs. */
export interface EventMirror {
  /** Takes over the lines and pictures that are new. */
  update(): void;
  /** Takes over what is new, and closes the file. */
  close(): void;
}

const logs = { 'metrics.jsonl': 'train', 'data.jsonl': 'data', 'validation.jsonl': 'valid' } as const;

/** The pictures of a run, with the steps that their names tell; from one on where it is given. */
export function picturesOf(out: string, from = 0): { path: string; name: string; step: number }[] {
  const folder = join(out, PICTURES);
  if (!existsSync(folder)) return [];
  return readdirSync(folder).flatMap((file) => {
    const [, name, digits] = /^(.+)-(\d+)\.png$/.exec(file) ?? [];
    return name && Number(digits) >= from ? [{ path: join(folder, file), name, step: Number(digits) }] : [];
  });
}

/** A picture file; its sizes stand in the header. */
function readImage(path: string): EventImage {
  const png = readFileSync(path);
  return { width: png.readUInt32BE(16), height: png.readUInt32BE(20), png };
}

/**
 * Writes `OUT/tensorboard`: the numbers of metrics.jsonl under `train/`, of data.jsonl under `data/`, of validation.jsonl
 * and the files of pictures/ under `valid/`. It is made anew from the logs whenever they were cut back, so that no step is there twice.
 */
export function mirrorLogs(out: string): EventMirror {
  const folder = join(out, 'tensorboard');
  let file: EventFile | undefined;
  let shown = new Set<string>();
  let readers = Object.entries(logs).map(([name, prefix]) => ({ prefix, log: followLog(join(out, name)) }));
  const begin = (): EventFile => {
    file?.close();
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.startsWith('events.out.tfevents.')) rmSync(join(folder, name));
    file = createEventFile(folder);
    return file;
  };
  const update = (closing = false): void => {
    let into = file ?? begin();
    let read = readers.map(({ prefix, log }) => ({ prefix, ...log.read() }));
    if (read.some(({ restarted }) => restarted)) {
      into = begin();
      shown = new Set();
      readers = Object.entries(logs).map(([name, prefix]) => ({ prefix, log: followLog(join(out, name)) }));
      read = readers.map(({ prefix, log }) => ({ prefix, ...log.read() }));
    }
    const now = Date.now() / 1000;
    for (const { prefix, lines } of read) {
      for (const line of lines) {
        const scalars = Object.entries(scalarsOf(line)).map(([name, value]) => [`${prefix}/${name}`, value]);
        into.append(line.step, now, Object.fromEntries(scalars));
      }
    }
    // They come with lines of validation.
    const drawn = closing || read.some(({ prefix, lines }) => prefix === logs['validation.jsonl'] && lines.length > 0);
    for (const { path, name, step } of drawn ? picturesOf(out) : []) {
      if (shown.has(path)) continue;
      shown.add(path);
      into.append(step, now, {}, { [`valid/${name}`]: readImage(path) });
    }
  };
  return {
    update: () => update(),
    close() {
      update(true);
      file?.close();
      file = undefined;
    },
  };
}

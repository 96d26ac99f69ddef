/** A run's logs as TensorBoard's event files. */
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { followLog, scalarsOf } from './log.ts';
import { createEventFile, type EventFile, type EventImage } from './tfevents.ts';

/** Event files that follow a run's logs. */
export interface EventMirror {
  /** Takes over the lines that are new. */
  update(): void;
  /** Adds pictures. */
  images(step: number, images: Record<string, EventImage>): void;
  /** Takes over what is new, and closes the file. */
  close(): void;
}

const logs = { 'metrics.jsonl': 'train', 'data.jsonl': 'data', 'validation.jsonl': 'valid' } as const;

/**
 * Writes `OUT/tensorboard`: the numbers of metrics.jsonl under `train/`, of data.jsonl under `data/`, of validation.jsonl
 * under `valid/`. It is made anew from the logs whenever they were cut back, so that no step is there twice.
 */
export function mirrorLogs(out: string): EventMirror {
  const folder = join(out, 'tensorboard');
  let file: EventFile | undefined;
  let readers = Object.entries(logs).map(([name, prefix]) => ({ prefix, log: followLog(join(out, name)) }));
  const begin = (): EventFile => {
    file?.close();
    mkdirSync(folder, { recursive: true });
    for (const name of readdirSync(folder)) if (name.startsWith('events.out.tfevents.')) rmSync(join(folder, name));
    file = createEventFile(folder);
    return file;
  };
  const update = (): void => {
    let into = file ?? begin();
    let read = readers.map(({ prefix, log }) => ({ prefix, ...log.read() }));
    if (read.some(({ restarted }) => restarted)) {
      into = begin();
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
  };
  return {
    update,
    images(step, images) {
      (file ?? begin()).append(step, Date.now() / 1000, {}, images);
    },
    close() {
      update();
      file?.close();
      file = undefined;
    },
  };
}

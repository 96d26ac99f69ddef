import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { nsynthFamilies, pitches } from '../classes.ts';
import { type Clip, finish, LayoutError, type TaskData, type TaskLoadOptions, worthless } from '../data.ts';
import { splits } from '../names.ts';
import type { Task } from '../tasks.ts';

interface Example {
  pitch?: number;
  instrument_family_str?: string;
}

/** NSynth: single notes, by instrument family or by pitch. */
export function loadNsynth(task: Task, folder: string, options: TaskLoadOptions): TaskData {
  const classes = task.name === 'pitch' ? pitches : nsynthFamilies;
  const lists = splits.map((split) => ({ split, path: join(folder, `nsynth-${split}`, 'examples.json') }));
  const missing = lists.filter(({ path }) => !existsSync(path)).map(({ path }) => path);
  if (missing.length > 0) throw new LayoutError(task, folder, missing, worthless);
  const clips = lists.flatMap(({ split, path }) => {
    let examples: Record<string, Example>;
    try {
      examples = JSON.parse(readFileSync(path, 'utf8'));
    } catch (cause) {
      throw new Error(`${path}: is not JSON: ${(cause as Error).message}`, { cause });
    }
    return Object.entries(examples).map(([name, example]): Clip => {
      const label = task.name === 'pitch' ? String(example.pitch) : (example.instrument_family_str ?? '');
      const own = classes.indexOf(label);
      if (own < 0)
        throw new Error(
          `${path}: ${name} has ${task.name === 'pitch' ? `pitch ${label}` : `instrument_family_str “${label}”`}; expected ${classes[0]} … ${classes[classes.length - 1]}`,
        );
      return {
        id: name,
        song: name,
        path: join(folder, `nsynth-${split}`, 'audio', `${name}.wav`),
        split,
        classes: [own],
      };
    });
  });
  return finish({ task, folder, clips, classes }, options);
}

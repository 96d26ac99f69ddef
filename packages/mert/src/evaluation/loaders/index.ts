/** From a folder to labelled clips. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import type { TaskData, TaskLoadOptions } from '../data.ts';
import type { TaskName } from '../names.ts';
import { isProxyFolder } from '../proxy.ts';
import { type Task, taskOf } from '../tasks.ts';
import { loadEmoMusic } from './emomusic.ts';
import { loadGiantSteps } from './giantsteps.ts';
import { loadGtzan, loadGtzanRhythm } from './gtzan.ts';
import { loadJamendo } from './jamendo.ts';
import { loadMagnaTagATune } from './magnatagatune.ts';
import { loadMusdb18 } from './musdb18.ts';
import { loadNsynth } from './nsynth.ts';
import { loadProxy } from './proxy.ts';
import { loadVocalSet } from './vocalset.ts';

type Loader = (task: Task, folder: string, options: TaskLoadOptions) => TaskData | Promise<TaskData>;

const loaders: Record<TaskName, Loader> = {
  tagging: loadMagnaTagATune,
  key: loadGiantSteps,
  genre: loadGtzan,
  beats: loadGtzanRhythm,
  emotion: loadEmoMusic,
  instrument: loadNsynth,
  pitch: loadNsynth,
  technique: loadVocalSet,
  singer: loadVocalSet,
  'instrument-tagging': loadJamendo,
  'mood-tagging': loadJamendo,
  'genre-tagging': loadJamendo,
  'top50-tagging': loadJamendo,
  separation: loadMusdb18,
};

/**
 * Reads the labels and the split of a task from its data set's folder, or from a proxy of it.
 *
 * @throws LayoutError when files are missing; Error when the folder holds another task's proxy, or a file is damaged.
 */
export async function loadTask(name: TaskName, folder: string, options: TaskLoadOptions = {}): Promise<TaskData> {
  const task = taskOf(name);
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new Error(`${folder}: is no folder; ${task.dataSet} comes from ${task.source}`);
  }
  if (!isProxyFolder(folder)) return loaders[name](task, folder, options);
  const data = await loadProxy(folder, options);
  if (data.task.name !== name)
    throw new Error(`${folder}: is ${data.name}, a proxy of the task ${data.task.name}, not of ${name}`);
  return data;
}

/** The task that a proxy says it is of; whatever else is wrong with it is told when it is read. */
function proxyTask(folder: string): string | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, 'proxy.json'), 'utf8')).task;
  } catch {
    return undefined;
  }
}

/** Where tasks were found below a root: folders of data sets by their usual names, and proxies by their proxy.json. */
export function findTasks(root: string, names: readonly TaskName[]): { name: TaskName; folder: string }[] {
  const entries = readdirSync(root, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() || entry.isSymbolicLink())
    .map((entry) => entry.name)
    .sort();
  const proxies = [root, ...entries.map((entry) => join(root, entry))].filter(isProxyFolder).flatMap((folder) => {
    const task = proxyTask(folder);
    return task === undefined ? [] : [{ folder, task }];
  });
  return names.flatMap((name) => {
    const real = taskOf(name).folders.flatMap((wanted) =>
      entries.filter((entry) => entry.toLowerCase() === wanted.toLowerCase() && !isProxyFolder(join(root, entry))),
    );
    return [
      ...real.slice(0, 1).map((entry) => ({ name, folder: join(root, entry) })),
      ...proxies.filter(({ task }) => task === name).map(({ folder }) => ({ name, folder })),
    ];
  });
}

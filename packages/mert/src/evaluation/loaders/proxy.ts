import { join } from 'node:path';
import {
  type Clip,
  LayoutError,
  presentClips,
  type TaskData,
  type TaskLoadOptions,
  worthless,
  worthOfPart,
} from '../data.ts';
import { stemNames } from '../names.ts';
import { type ProxyClip, readProxy } from '../proxy.ts';
import { type Task, taskOf } from '../tasks.ts';

/** The label of a clip as the task has it. @throws Error when it is of another kind, or unknown. */
function labelOf(task: Task, clip: ProxyClip, classes: readonly string[], where: string): Partial<Clip> {
  const wrong = (expected: string) =>
    new Error(`${where}: ${clip.path} has the label ${JSON.stringify(clip.label)}; expected ${expected}`);
  if (task.kind === 'beats') {
    if (!clip.beats) throw new Error(`${where}: ${clip.path} has no beats`);
    const ascending = (times: readonly number[]) => [...times].sort((a, b) => a - b);
    return { beats: ascending(clip.beats), downbeats: ascending(clip.downbeats ?? []) };
  }
  if (task.kind === 'separation') {
    const lost = stemNames.filter((stem) => !clip.stems?.[stem]);
    if (lost.length > 0) throw new Error(`${where}: ${clip.path} has no ${lost.join(', ')} among its stems`);
    return {};
  }
  const labels = Array.isArray(clip.label) ? clip.label : clip.label === undefined ? [] : [clip.label];
  if (task.kind === 'regression') {
    if (labels.length !== classes.length || !labels.every((value) => typeof value === 'number')) {
      throw wrong(`${classes.length} numbers: ${classes.join(', ')}`);
    }
    return { values: labels as number[] };
  }
  if (task.kind === 'multiclass' && labels.length !== 1) throw wrong('one class');
  const places = labels.map((label) => classes.indexOf(String(label)));
  if (places.includes(-1))
    throw wrong(`of the classes in proxy.json: ${classes.slice(0, 8).join(', ')}${classes.length > 8 ? ', …' : ''}`);
  return { classes: places };
}

/** A proxy: see ../proxy.ts. @throws Error also when audio is missing, or a split or class has no clip. */
export async function loadProxy(folder: string, options: TaskLoadOptions = {}): Promise<TaskData> {
  const { description, clips: lines } = await readProxy(folder);
  const task = taskOf(description.task);
  const { classes, name, metrics } = description;
  const where = join(folder, 'clips.jsonl');
  const clips = lines.map(
    (clip): Clip => ({
      ...{
        id: clip.path,
        path: join(folder, clip.path),
        split: clip.split,
        song: String(clip.groups.song ?? clip.path),
      },
      ...labelOf(task, clip, classes, where),
      ...(clip.stems && {
        stems: Object.fromEntries(Object.entries(clip.stems).map(([stem, own]) => [stem, join(folder, own as string)])),
      }),
    }),
  );
  const { there, missing } = presentClips(clips);
  const worth = worthOfPart(task, there, clips, classes);
  if (!worth.meaningful || (missing.length > 0 && !options.partial)) {
    const own = {
      ...task,
      dataSet: name,
      layout: ['proxy.json', 'clips.jsonl', 'the audio that it names'],
      source: 'mert proxy make',
    };
    throw new LayoutError(
      own,
      folder,
      missing.length > 0 ? missing : ['clips'],
      clips.length > 0 ? worth.text : worthless,
    );
  }
  const notes = [
    `a proxy: it stands in for ${task.title.toLowerCase()} where the real data set is not there, and its scores are no scores of that`,
    ...(description.description ? [description.description] : []),
    ...(missing.length > 0 ? [worth.text] : []),
  ];
  return { task, name, proxy: true, folder, classes, metrics: metrics ?? task.metrics, clips: there, missing, notes };
}

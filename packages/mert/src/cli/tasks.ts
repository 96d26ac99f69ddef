import { type Task, tasks } from '../evaluation/tasks.ts';

const classCount = ({ classes }: Task): number => (typeof classes === 'number' ? classes : classes.length);

/** The 14 tasks: a table, or as JSON with layouts, classes and where the data come from. */
export function tasksCommand({ json }: { json?: boolean }): void {
  if (json) {
    const own = tasks.map(({ classes, crop, window, ...task }) => ({
      ...task,
      classes: typeof classes === 'number' ? null : classes,
      classCount: typeof classes === 'number' ? classes : classes.length,
      cropSeconds: crop ?? null,
      windowSeconds: window ?? null,
    }));
    console.log(JSON.stringify(own, null, 2));
    return;
  }
  const rows = [
    ['task', 'data set', 'folder', 'classes', 'metrics', 'window', 'split'],
    ...tasks.map((task) => [
      ...[task.name, task.dataSet, task.folders[0], String(classCount(task)), task.metrics.join(' ')],
      task.window === undefined ? (task.crop ? `${task.crop} s` : 'whole') : `${task.window} s`,
      task.split,
    ]),
  ];
  const widths = rows[0].map((_, k) => Math.max(...rows.map((row) => row[k].length)));
  for (const row of rows)
    console.log(
      row
        .map((text, k) => text.padEnd(widths[k]))
        .join('  ')
        .trimEnd(),
    );
}

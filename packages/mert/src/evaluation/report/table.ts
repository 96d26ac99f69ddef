/** One table of all tasks: for terminals, and as Markdown. */
import type { EvaluationReport, TaskReport } from '../evaluate.ts';
import { type TaskName, taskNames } from '../names.ts';
import { published, publishedModels, publishedSource } from '../published.ts';
import { taskOf } from '../tasks.ts';

/** A row: a metric of a task, and what each scored. */
export interface TableRow {
  task: TaskName;
  data: string;
  metric: string;
  /** Of the model, the controls, and of chance, by column. */
  cells: Record<string, { mean: number; spread: number | null } | undefined>;
  chance: number | undefined;
  /** Of the real data set: not to be compared with scores on a proxy. */
  published: Record<string, number | undefined>;
}

/** A score for people: percent, or dB. */
export function formatScore(metric: string, value: number, spread: number | null = null): string {
  const factor = metric.startsWith('sdr') ? 1 : 100;
  const own = (value * factor).toFixed(1);
  return spread === null ? own : `${own} ± ${(spread * factor).toFixed(1)}`;
}

/** The metrics of a task that a table has, in its order. */
export function metricsOf({ task, results }: TaskReport): string[] {
  const there = Object.keys(results[0]?.result.metrics ?? {});
  const wanted = taskOf(task).metrics.filter((name) => there.includes(name));
  return [...wanted, ...there.filter((name) => name.startsWith('r2_') && !wanted.includes(name))];
}

/** The columns after task, data and metric. */
export function columnsOf(report: EvaluationReport): string[] {
  return [...new Set(report.tasks.flatMap(({ results }) => results.map(({ name }) => name)))];
}

const publishedOf = (task: TaskReport['task'], metric: string) =>
  Object.fromEntries(publishedModels.map((model) => [model, published(task, metric, model)]));

/** The rows of the table: what was found, in the order of the tasks, and of what is missing the published scores. */
export function tableRows(report: EvaluationReport): TableRow[] {
  const found = report.tasks.flatMap((own) =>
    metricsOf(own).map((metric) => ({
      task: own.task,
      data: own.data,
      metric,
      cells: Object.fromEntries(own.results.map(({ name, result }) => [name, result.metrics[metric]])),
      chance: own.results[0]?.result.chance[metric],
      published: own.proxy ? {} : publishedOf(own.task, metric),
    })),
  );
  const missing = report.missing.flatMap(({ task, dataSet }) => {
    const { metrics } = taskOf(task);
    return metrics
      .filter((metric) => publishedModels.some((model) => published(task, metric, model) !== undefined))
      .map((metric) => ({
        ...{ task, metric, data: `${dataSet} (missing)`, cells: {}, chance: undefined },
        published: publishedOf(task, metric),
      }));
  });
  const place = ({ task }: TableRow) => taskNames.indexOf(task);
  return [...found, ...missing].sort((a, b) => place(a) - place(b));
}

/** The table as lists of texts, the heads first. */
function texts(report: EvaluationReport): string[][] {
  const columns = columnsOf(report);
  return [
    ['task', 'data', 'metric', ...columns, 'chance', ...publishedModels.map((model) => `${model} (published)`)],
    ...tableRows(report).map(({ task, data, metric, cells, chance, published: others }) => [
      ...[task, data, metric],
      ...columns.map((name) => {
        const cell = cells[name];
        return cell ? formatScore(metric, cell.mean, cell.spread) : '';
      }),
      chance === undefined ? '' : formatScore(metric, chance),
      ...publishedModels.map((model) => {
        const value = others[model];
        return value === undefined ? '' : formatScore(metric, value);
      }),
    ]),
  ];
}

/** How much was found, in words. */
export function countsOf({ tasks, missing }: EvaluationReport): string {
  const real = new Set(tasks.filter(({ proxy }) => !proxy).map(({ task }) => task)).size;
  const proxies = tasks.filter(({ proxy }) => proxy).length;
  const lost = new Set(missing.map(({ task }) => task)).size;
  return `${real} of ${taskNames.length} tasks on real data, ${proxies} on proxies; ${lost} real data sets missing`;
}

/** What the table leaves out. */
export function footnotes(report: EvaluationReport): string[] {
  const failed = report.tasks.flatMap(({ task, data, failed: own }) =>
    own.map(({ name, error }) => `${task} (${data}), ${name}: failed: ${error}`),
  );
  const proxies = report.tasks.some(({ proxy }) => proxy);
  const { seeds } = report.settings;
  return [
    `percent, but SDR in dB; mean ± standard deviation over ${seeds.length} seed${seeds.length > 1 ? 's' : ''} of the head; layers, rates and passes chosen on validation`,
    ...(proxies
      ? [
          'data called proxy-… is generated and stands in for a data set that is not there: its scores are comparable among each other, not with published ones',
        ]
      : []),
    `published: ${publishedSource}`,
    ...report.missing.map(({ task, dataSet, reason }) => `missing: ${task} (${dataSet}): ${reason.split('\n')[0]}`),
    ...failed,
  ];
}

const width = (text: string): number => [...text].length;

/** For terminals: columns in line. */
export function terminalTable(report: EvaluationReport): string {
  const rows = texts(report);
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => width(row[column]))));
  const lines = rows.map((row) =>
    row
      .map((text, column) => {
        const space = ' '.repeat(widths[column] - width(text));
        return column < 3 ? text + space : space + text;
      })
      .join('  ')
      .trimEnd(),
  );
  return [...lines, '', ...footnotes(report)].join('\n');
}

/** report.md */
export function markdownReport(report: EvaluationReport): string {
  const [head, ...rows] = texts(report).map((row) => row.map((text) => text.replaceAll('|', '\\|')));
  const line = (row: readonly string[]) => `| ${row.join(' | ')} |`;
  const notes = report.tasks.flatMap(({ task, data, results }) =>
    (results[0]?.result.notes ?? []).map((note) => `- ${task} (${data}): ${note}`),
  );
  return [
    `# ${report.model}: ${countsOf(report)}`,
    '',
    ...[line(head), line(head.map((_, column) => (column < 3 ? '---' : '---:'))), ...rows.map(line)],
    '',
    ...footnotes(report).map((note) => `- ${note}`),
    ...notes,
    '',
  ].join('\n');
}

/** All tasks that are there, beside controls, into one folder: resumable, and a task that fails does not lose the others. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically, writeJson } from '@dawnchorus/formats';
import type { Device } from '@dawnchorus/tensor';
import { makeFolder } from '../folders.ts';
import { sha256 } from '../hash.ts';
import type { TaskData } from './data.ts';
import { hashOfData, StoppedError } from './features/extract.ts';
import { type FeatureSource, openSource } from './features/source.ts';
import { findTasks, loadTask } from './loaders/index.ts';
import type { TaskName } from './names.ts';
import { type ProbeResult, probe } from './probe/probe.ts';
import type { ProbeSettings } from './probe/settings.ts';
import { isProxyFolder } from './proxy.ts';
import { htmlReport } from './report/html.ts';
import { markdownReport } from './report/table.ts';
import { taskOf } from './tasks.ts';
import { yardstick } from './yardstick.ts';

/** A task’s scores: of the model, and of each control. */
export interface TaskReport {
  task: TaskName;
  data: string;
  proxy: boolean;
  folder: string;
  /** By what was heard: the model first; `shuffled labels` is the model with labels dealt out anew. */
  results: { name: string; result: ProbeResult }[];
  failed: { name: string; error: string }[];
}

/** What an evaluation found: report.json. */
export interface EvaluationReport {
  model: string;
  settings: ProbeSettings;
  tasks: TaskReport[];
  /** Tasks whose real data set was not found, and folders that could not be read. */
  missing: { task: TaskName; dataSet: string; reason: string }[];
}

/** How tasks are evaluated. */
export interface EvaluateOptions {
  device: Device;
  /** What `openSource` takes. */
  model: string;
  tasks: readonly TaskName[];
  data: string;
  out: string;
  cache?: string;
  settings: ProbeSettings;
  /**
   * What `openSource` takes; `shuffled`: the model with labels dealt out anew; `yardstick`: what is known of keys, beats and
   * pitches without learning.
   */
  controls: readonly string[];
  partial?: boolean;
  /** Told of each task that begins, and of what is left out. */
  log?(line: string): void;
  /** Told how much of a task is done. */
  onPart?(done: number, total: number): void;
  /** Asked between parts: true ends the evaluation, which goes on from there when called again. */
  stopped?(): boolean;
}

/** What stands in a table for controls that are no sources. */
export const SHUFFLED = 'shuffled labels';
export const YARDSTICK = 'yardstick';
/** The control that has no source of its own. */
const SHUFFLE = 'shuffled';

/** The folder of `out` that holds what probes found. */
const RESULTS = 'results';

/** Features of sources, each opened once. */
interface Sources extends Disposable {
  open(name: string): Promise<FeatureSource>;
}

function createSources(device: Device): Sources {
  const opened = new Map<string, FeatureSource>();
  return {
    async open(name) {
      const source = opened.get(name) ?? (await openSource(name, device));
      opened.set(name, source);
      return source;
    },
    [Symbol.dispose]() {
      for (const source of opened.values()) source.dispose();
    },
  };
}

async function writeReports(out: string, report: EvaluationReport): Promise<void> {
  await writeJson(join(out, 'report.json'), report);
  const text = (content: string) => [new TextEncoder().encode(content)];
  await writeAtomically(join(out, 'report.md'), text(markdownReport(report)), { what: 'report' });
  await writeAtomically(join(out, 'report.html'), text(htmlReport(report)), { what: 'report' });
}

/** Runs what was not run before with the same source, data and settings. */
async function resumed(
  path: string,
  key: string,
  run: () => Promise<ProbeResult>,
): Promise<{ result: ProbeResult; before: boolean }> {
  if (existsSync(path)) {
    const kept = JSON.parse(await readFile(path, 'utf8')) as { key: string; result: ProbeResult };
    if (kept.key === key) return { result: kept.result, before: true };
  }
  const result = await run();
  await writeJson(path, { key, result });
  return { result, before: false };
}

/** A task whose clips were read, with the hashes of what is heard and of what is said of it. */
interface LoadedTask {
  data: TaskData;
  dataHash: string;
  labelsHash: string;
}

async function hashed(data: TaskData): Promise<LoadedTask> {
  const labels = data.clips.map(({ path: _, ...clip }) => clip);
  return { data, dataHash: await hashOfData(data), labelsHash: sha256(JSON.stringify(labels)) };
}

/** What is probed: a row of a task’s table. */
interface Probed {
  /** What stands in the table. */
  name: string;
  source: FeatureSource;
  settings: ProbeSettings;
}

/** Layers and rates are not swept again for shuffled labels: they go by what the model chose. */
const shuffledSettings = (settings: ProbeSettings, { chosen }: ProbeResult): ProbeSettings => ({
  ...settings,
  layer: chosen.layer,
  rates: [chosen.rate],
  shuffleLabels: true,
});

/** Probes one row, or takes what an evaluation before found with the same features, labels and settings. */
async function probeOnce(
  { data, dataHash, labelsHash }: LoadedTask,
  { name, source, settings }: Probed,
  options: EvaluateOptions,
): Promise<ProbeResult> {
  const { device, out, cache = join(out, 'features'), log = () => {}, onPart, stopped } = options;
  const file = `${data.task.name}-${data.name}-${name}.json`.replace(/[^\w.-]+/g, '_');
  const key = sha256(JSON.stringify([source.hash, dataHash, labelsHash, settings]));
  log(`${data.task.name} (${data.name}): ${name}`);
  const { result, before } = await resumed(join(out, RESULTS, file), key, () =>
    probe({ device, source, data, settings, cache, onPart, stopped, log }),
  );
  if (before) log('  was done before');
  return result;
}

/** What the model or a control scores on a task; undefined where a yardstick knows nothing of it. */
async function scoreOf(
  control: string,
  task: LoadedTask,
  { results }: TaskReport,
  options: EvaluateOptions,
  sources: Sources,
): Promise<TaskReport['results'][number] | undefined> {
  const { model, settings } = options;
  if (control === YARDSTICK) {
    const result = await yardstick(task.data);
    return result && { name: YARDSTICK, result };
  }
  const source = await sources.open(control === SHUFFLE ? model : control);
  if (control !== SHUFFLE) {
    return { name: source.name, result: await probeOnce(task, { name: source.name, source, settings }, options) };
  }
  const ofModel = results.find(({ name }) => name === source.name);
  if (!ofModel) throw new Error('the model, whose choices shuffled labels go by, could not be probed');
  const own = shuffledSettings(settings, ofModel.result);
  return { name: SHUFFLED, result: await probeOnce(task, { name: SHUFFLED, source, settings: own }, options) };
}

/** Scores of the model and of every control on a task; one that fails is noted and does not lose the others. */
async function evaluateTask(data: TaskData, options: EvaluateOptions, sources: Sources): Promise<TaskReport> {
  const { model, controls, log = () => {} } = options;
  const { name, proxy, folder } = data;
  const report: TaskReport = { task: data.task.name, data: name, proxy, folder, results: [], failed: [] };
  const task = await hashed(data);
  for (const control of [model, ...controls]) {
    try {
      const score = await scoreOf(control, task, report, options, sources);
      if (score) report.results.push(score);
    } catch (error) {
      if (error instanceof StoppedError) throw error;
      const { message } = error as Error;
      report.failed.push({ name: control === SHUFFLE ? SHUFFLED : control, error: message });
      log(`  failed: ${message}`);
    }
  }
  return report;
}

/**
 * Evaluates a model and controls on the tasks below a folder, and writes report.json, report.md and report.html into `out`
 * after each task.
 *
 * @throws StoppedError when it was stopped; the same call goes on. Error when no task was found.
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationReport> {
  const { device, model, out, settings, partial, log = () => {} } = options;
  const found = findTasks(options.data, options.tasks);
  await makeFolder(join(out, RESULTS));
  using sources = createSources(device);
  const report: EvaluationReport = { model: (await sources.open(model)).name, settings, tasks: [], missing: [] };
  for (const name of options.tasks) {
    const { dataSet, folders: names, source } = taskOf(name);
    const folders = found.filter((own) => own.name === name).map(({ folder }) => folder);
    if (folders.every(isProxyFolder)) {
      const reason = `no folder ${names.join(' or ')} below ${options.data}; it comes from ${source}`;
      report.missing.push({ task: name, dataSet, reason });
    }
    for (const folder of folders) {
      let data: TaskData;
      try {
        data = await loadTask(name, folder, { partial });
      } catch (error) {
        const { message } = error as Error;
        report.missing.push({ task: name, dataSet, reason: message });
        log(`${name}: ${message}`);
        continue;
      }
      report.tasks.push(await evaluateTask(data, options, sources));
      await writeReports(out, report);
    }
  }
  if (report.tasks.length === 0) {
    const reasons = report.missing.slice(0, 3).map(({ task, reason }) => `\n  ${task}: ${reason}`);
    throw new Error(`${options.data}: no task could be read${reasons.join('')}`);
  }
  await writeReports(out, report);
  return report;
}

/** All tasks that are there, beside controls, into one folder: resumable, and a task that fails does not lose the others. */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically, writeJson } from '@dawnchorus/formats';
import type { Device } from '@dawnchorus/tensor';
import { makeFolder } from '../folders.ts';
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

const isStopped = (error: unknown): boolean => error instanceof StoppedError;

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

/** Layers are swept in the model and in encoders alone; shuffled labels go by what the model chose. */
function settingsOf(settings: ProbeSettings, name: string, model: ProbeResult | undefined): ProbeSettings {
  if (name !== SHUFFLED) return settings;
  const chosen = model && { layer: model.chosen.layer, rates: [model.chosen.rate] };
  return { ...settings, ...chosen, shuffleLabels: true };
}

/**
 * Evaluates a model and controls on the tasks below a folder, and writes report.json, report.md and report.html into `out`
 * after each task.
 *
 * @throws StoppedError when it was stopped; the same call goes on. Error when no task was found.
 */
export async function evaluate(options: EvaluateOptions): Promise<EvaluationReport> {
  const { device, model, out, settings, controls, partial, log = () => {}, stopped, onPart } = options;
  const cache = options.cache ?? join(out, 'features');
  const results = join(out, 'results');
  const found = findTasks(options.data, options.tasks);
  await makeFolder(results);
  const report: EvaluationReport = { model: '', settings, tasks: [], missing: [] };
  const sources = new Map<string, FeatureSource>();
  const sourceOf = async (name: string): Promise<FeatureSource> => {
    const own = sources.get(name) ?? (await openSource(name, device));
    sources.set(name, own);
    return own;
  };
  const write = async () => {
    await writeJson(join(out, 'report.json'), report);
    const text = (content: string) => [new TextEncoder().encode(content)];
    await writeAtomically(join(out, 'report.md'), text(markdownReport(report)), { what: 'report' });
    await writeAtomically(join(out, 'report.html'), text(htmlReport(report)), { what: 'report' });
  };
  try {
    const main = await sourceOf(model);
    report.model = main.name;
    for (const name of options.tasks) {
      const { dataSet, source } = taskOf(name);
      const places = found.filter((own) => own.name === name);
      if (places.every(({ folder }) => isProxyFolder(folder))) {
        const reason = `no folder ${taskOf(name).folders.join(' or ')} below ${options.data}; it comes from ${source}`;
        report.missing.push({ task: name, dataSet, reason });
      }
      for (const { folder } of places) {
        let data: Awaited<ReturnType<typeof loadTask>>;
        try {
          data = await loadTask(name, folder, { partial });
        } catch (error) {
          report.missing.push({ task: name, dataSet, reason: (error as Error).message });
          log(`${name}: ${(error as Error).message}`);
          continue;
        }
        const own: TaskReport = { task: name, data: data.name, proxy: data.proxy, folder, results: [], failed: [] };
        report.tasks.push(own);
        const dataHash = await hashOfData(data);
        const labels = createHash('sha256')
          .update(JSON.stringify(data.clips.map(({ path: _, ...clip }) => clip)))
          .digest('hex');
        for (const control of [model, ...controls]) {
          const shuffle = control === 'shuffled';
          const label = shuffle ? SHUFFLED : control;
          try {
            if (control === YARDSTICK) {
              const result = await yardstick(data);
              if (result) own.results.push({ name: YARDSTICK, result });
              continue;
            }
            const heard = await sourceOf(shuffle ? model : control);
            const ofModel = own.results.find((one) => one.name === report.model);
            if (shuffle && !ofModel)
              throw new Error('the model, whose choices shuffled labels go by, could not be probed');
            const chosen = settingsOf(settings, label, ofModel?.result);
            const key = createHash('sha256')
              .update(JSON.stringify([heard.hash, dataHash, labels, chosen]))
              .digest('hex');
            const title = shuffle ? SHUFFLED : heard.name;
            const path = join(results, `${name}-${data.name}-${title}.json`.replace(/[^\w.-]+/g, '_'));
            log(`${name} (${data.name}): ${title}`);
            const { result, before } = await resumed(path, key, () =>
              probe({ device, source: heard, data, settings: chosen, cache, onPart, stopped, log }),
            );
            if (before) log('  was done before');
            own.results.push({ name: title, result });
          } catch (error) {
            if (isStopped(error)) throw error;
            own.failed.push({ name: label, error: (error as Error).message });
            log(`  failed: ${(error as Error).message}`);
          }
        }
        await write();
      }
    }
    if (report.tasks.length === 0) {
      const reasons = report.missing.slice(0, 3).map(({ task, reason }) => `\n  ${task}: ${reason}`);
      throw new Error(`${options.data}: no task could be read${reasons.join('')}`);
    }
    await write();
    return report;
  } finally {
    for (const own of sources.values()) own.dispose();
  }
}

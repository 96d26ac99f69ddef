/** What a run writes down of its steps: its logs, its progress, and whether they lead anywhere. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type MetricsLog, openMetricsLog, truncateMetricsLog } from '@dawnchorus/formats';
import type { PretrainConfig } from '../config/index.ts';
import { picturesOf } from '../seeing/mirror.ts';
import { type DivergenceWatch, watchDivergence } from './divergence.ts';
import type { StepMetrics } from './metrics.ts';
import { createProgress, type Progress } from './progress.ts';
import type { HeldOut } from './validation.ts';
import type { DataLog } from './waiting.ts';

/** What steps are written down by. */
export interface StepLogOptions {
  config: PretrainConfig;
  out: string;
  /** The steps that are done, and the last to do. */
  done: number;
  stopAt: number;
  /** Takes down what was waited for. */
  dataLog?: DataLog;
  log(line: string): void;
}

type Line = StepMetrics & { step: number };

const METRICS = 'metrics.jsonl';
const VALIDATION = 'validation.jsonl';
/** Lines that are looked at when a run goes on, so that its running means are those of an unbroken one. */
const REMEMBERED = 2000;

const layerFields = ['attentionLogits', 'activations', 'layerGradNorms', 'partGradNorms'] as const;

/** What of a step's metrics goes into its line: what each layer does only every so often. */
function lineOf(metrics: StepMetrics, step: number, every: number): Partial<StepMetrics> {
  const line: Partial<StepMetrics> = { ...metrics };
  if (every === 0 || step % every !== 0) for (const field of layerFields) delete line[field];
  return line;
}

/** Cuts a run's logs back to a step. */
async function truncateLogs({ out, dataLog }: StepLogOptions, step: number): Promise<void> {
  for (const name of [METRICS, VALIDATION]) {
    if (existsSync(join(out, name))) await truncateMetricsLog(join(out, name), step);
  }
  for (const { path } of picturesOf(out, step + 1)) await rm(path);
  await dataLog?.cut(step);
}

/** The last lines of a run's metrics. */
async function lastMetrics(out: string): Promise<Line[]> {
  if (!existsSync(join(out, METRICS))) return [];
  const lines = (await readFile(join(out, METRICS), 'utf8')).split('\n').filter(Boolean);
  return lines.slice(-REMEMBERED).map((line) => {
    const { gradNorm, ...rest } = JSON.parse(line) as Line;
    return { ...rest, gradNorm: gradNorm ?? Number.NaN, loss: rest.loss ?? Number.NaN };
  });
}

/** A watch that has seen the steps before. */
function watchAfter(before: readonly Line[], { config }: StepLogOptions): DivergenceWatch {
  const watch = watchDivergence(config.divergence);
  for (const line of before) watch.see(line);
  return watch;
}

function tellGap(before: readonly Line[], { out, done, log }: StepLogOptions): void {
  const last = before.at(-1)?.step ?? 0;
  if (last >= done) return;
  log(
    `${join(out, METRICS)}: ${last === 0 ? 'has no steps' : `ends at step ${last}`}, the checkpoint is of step ${done}; ` +
      'the report and its curves will lack the steps between',
  );
}

/** The log of a run's steps, open. */
export class StepLog {
  private readonly options: StepLogOptions;
  private readonly progress: Progress;
  private metrics: MetricsLog;
  private watch: DivergenceWatch;
  /** From when on the time counts as the next step's. */
  private since: number;

  /** `before`: the lines that are there. */
  constructor(options: StepLogOptions, before: readonly Line[]) {
    this.options = options;
    this.watch = watchAfter(before, options);
    this.metrics = openMetricsLog(join(options.out, METRICS));
    this.progress = createProgress({ label: 'pretrain', total: options.stopAt, initial: options.done });
    this.since = performance.now();
  }

  /** Writes a step down, with the seconds that it waited for music. @returns why the run counts as diverged, if it does. */
  async step(step: number, measured: StepMetrics, learningRate: number, waited: number): Promise<string | undefined> {
    const { config, dataLog } = this.options;
    const now = performance.now();
    const seconds = (now - this.since) / 1000;
    this.since = now;
    const clipsPerSecond = (config.training.batchSize * config.training.accumulate) / seconds;
    const { loss, lossRvq, lossCqt, accuracy, gradNorm, ...rest } = lineOf(measured, step, config.monitor.every);
    const skipped = !Number.isFinite(measured.gradNorm);
    this.metrics.append({
      ...{ step, loss, lossRvq, lossCqt, accuracy, gradNorm, learningRate },
      ...{ clipsPerSecond, seconds, ...(skipped && { skipped }), ...rest },
    });
    await dataLog?.step(step, seconds, waited, (line) => this.line(line));
    this.progress.update(
      step,
      `loss ${measured.loss.toFixed(3)}  rvq ${measured.lossRvq.toFixed(3)}  cqt ${measured.lossCqt.toFixed(3)}  ${clipsPerSecond.toFixed(1)} clips/s${dataLog ? `  waited ${dataLog.share()} on data` : ''}`,
    );
    return this.watch.see(measured);
  }

  /** Writes down what the held-out music scored after a step. */
  heldOut(step: number, { losses, baselines }: HeldOut): void {
    const log = openMetricsLog(join(this.options.out, VALIDATION));
    log.append({ step, ...losses, ...baselines });
    log.close();
  }

  /** Whether the last step was bad. */
  suspicious(): boolean {
    return this.watch.suspicious();
  }

  /** Forgets the steps after this one. */
  async cutBack(step: number): Promise<void> {
    const { out } = this.options;
    this.metrics.close();
    await truncateLogs(this.options, step);
    this.metrics = openMetricsLog(join(out, METRICS));
    this.watch = watchAfter(await lastMetrics(out), this.options);
  }

  /** Counts the time until now as no step's. */
  skipTime(): void {
    this.since = performance.now();
  }

  /** Prints a line without breaking the bar. */
  line(text: string): void {
    this.progress.line(text);
  }

  async close(): Promise<void> {
    this.progress.end();
    this.metrics.close();
    await this.options.dataLog?.close();
  }
}

/** Opens a run's log after the steps that are done: what it says of later ones goes. */
export async function openStepLog(options: StepLogOptions): Promise<StepLog> {
  await truncateLogs(options, options.done);
  const before = await lastMetrics(options.out);
  tellGap(before, options);
  return new StepLog(options, before);
}

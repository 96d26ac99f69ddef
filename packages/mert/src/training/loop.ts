/** The steps of a run: one after another, written down, saved by rule, and taken back when they lead nowhere. */
import { existsSync } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { openMetricsLog, truncateMetricsLog } from '@dawnchorus/formats';
import { type Device, DeviceLostError } from '@dawnchorus/tensor';
import type { PretrainConfig } from '../config/index.ts';
import type { HostBatch } from '../data/batch.ts';
import { createFeed, type Feed } from '../data/feed.ts';
import { picturesOf } from '../seeing/mirror.ts';
import { latestCheckpoint, removeSuspicious } from './checkpoints.ts';
import { rateFactor, readRollbacks, watchDivergence, writeRollbacks } from './divergence.ts';
import type { StepMetrics } from './metrics.ts';
import { createProgress } from './progress.ts';
import type { Runner } from './runner.ts';
import type { HeldOut } from './validation.ts';
import type { DataLog } from './waiting.ts';

/** What a run's steps need. */
export interface LoopOptions {
  device: Device;
  config: PretrainConfig;
  out: string;
  runner: Runner;
  /** The learning rate of a step, before returns lower it. */
  schedule(step: number): number;
  /** The steps that are done, and the last to do. */
  done: number;
  stopAt: number;
  /** The batches of a step. */
  read(step: number): Promise<HostBatch[]>;
  /** Steps whose batches are read before they are needed; default 1. */
  ahead?: number;
  /** Takes down what was waited for. */
  dataLog?: DataLog;
  /** Writes a checkpoint, `suspicious` where the last steps were bad; `load` fills the trainer from one, `restart` with what it began with. */
  save(step: number, heldOut: { step: number; loss: number } | undefined, suspicious?: boolean): Promise<string>;
  load(folder: string): Promise<void>;
  restart(): Promise<void>;
  /** Scores the held-out music, where there is some. */
  evaluate?(): Promise<HeldOut>;
  /** Leaves pictures of what the student makes of it at a step. */
  draw?(step: number): Promise<void>;
  stopped?: () => boolean;
  log(line: string): void;
}

/** A step that is on its way. */
interface Flying {
  step: number;
  rate: number;
  waited: number;
  result: Promise<StepMetrics>;
}

const METRICS = 'metrics.jsonl';
const VALIDATION = 'validation.jsonl';
/** Lines that are looked at when a run goes on, so that its running means are those of an unbroken one. */
const REMEMBERED = 2000;

/** Cuts a run's logs back to a step. */
async function truncateLogs(out: string, step: number): Promise<void> {
  for (const name of [METRICS, VALIDATION]) {
    if (existsSync(join(out, name))) await truncateMetricsLog(join(out, name), step);
  }
  for (const { path } of picturesOf(out, step + 1)) await rm(path);
}

/** The last lines of a run's metrics. */
async function lastMetrics(out: string): Promise<(StepMetrics & { step: number })[]> {
  if (!existsSync(join(out, METRICS))) return [];
  const lines = (await readFile(join(out, METRICS), 'utf8')).split('\n').filter(Boolean);
  return lines.slice(-REMEMBERED).map((line) => {
    const { gradNorm, ...rest } = JSON.parse(line) as StepMetrics & { step: number };
    return { ...rest, gradNorm: gradNorm ?? Number.NaN, loss: rest.loss ?? Number.NaN };
  });
}

const layerFields = ['attentionLogits', 'activations', 'layerGradNorms', 'partGradNorms'] as const;

/** What of a step's metrics goes into its line: what each layer does only every so often. */
function lineOf(metrics: StepMetrics, step: number, every: number): Partial<StepMetrics> {
  const line: Partial<StepMetrics> = { ...metrics };
  if (every === 0 || step % every !== 0) for (const field of layerFields) delete line[field];
  return line;
}

/** @returns the last step that was done, and the one of the last checkpoint. */
export async function runSteps(options: LoopOptions): Promise<{ done: number; saved: number }> {
  const { device, config, out, runner, stopAt, read, ahead = 1, dataLog, stopped, log } = options;
  const { every } = config.checkpoint;
  const { batchSize, accumulate } = config.training;
  const rollbacks = await readRollbacks(out);
  await truncateLogs(out, options.done);
  await dataLog?.cut(options.done);
  let watch = watchDivergence(config.divergence);
  const before = await lastMetrics(out);
  for (const line of before) watch.see(line);
  const last = before.at(-1)?.step ?? 0;
  if (last < options.done) {
    log(
      `${join(out, METRICS)}: ${last === 0 ? 'has no steps' : `ends at step ${last}`}, the checkpoint is of step ${options.done}; ` +
        'the report and its curves will lack the steps between',
    );
  }
  let metrics = openMetricsLog(join(out, METRICS));
  const progress = createProgress({ label: 'pretrain', total: stopAt, initial: options.done });
  let done = options.done;
  let saved = done;
  let due = false;
  let heldOut: { step: number; loss: number } | undefined;
  let flying: Flying | undefined;
  let atTheEnd: string | undefined;
  let lastTime = performance.now();
  // The next batches are read while the GPU works on these.
  const feedFrom = (first: number): Feed<HostBatch[]> => createFeed({ first, last: stopAt, ahead, read });
  let feed: Feed<HostBatch[]>;

  /** Waits for a step and writes it down. @returns why the run counts as diverged, if it does. */
  async function settle({ step, rate, waited, result }: Flying): Promise<string | undefined> {
    const measured = await result;
    const now = performance.now();
    const seconds = (now - lastTime) / 1000;
    lastTime = now;
    const clipsPerSecond = (batchSize * accumulate) / seconds;
    const { loss, lossRvq, lossCqt, accuracy, gradNorm, ...rest } = lineOf(measured, step, config.monitor.every);
    const skipped = !Number.isFinite(measured.gradNorm);
    metrics.append({
      ...{ step, loss, lossRvq, lossCqt, accuracy, gradNorm, learningRate: rate },
      ...{ clipsPerSecond, seconds, ...(skipped && { skipped }), ...rest },
    });
    done = step;
    await dataLog?.step(step, seconds, waited, (line) => progress.line(line));
    progress.update(
      step,
      `loss ${measured.loss.toFixed(3)}  rvq ${measured.lossRvq.toFixed(3)}  cqt ${measured.lossCqt.toFixed(3)}  ${clipsPerSecond.toFixed(1)} clips/s${dataLog ? `  waited ${dataLog.share()} on data` : ''}`,
    );
    return watch.see(measured);
  }

  /** Goes back to the last good checkpoint, or to the start where there is none yet, with a lower rate. */
  async function rollBack(reason: string): Promise<void> {
    const diverged = `the run diverged at step ${done}: ${reason}`;
    const { rollback, maxRollbacks, rateFactor: factor } = config.divergence;
    await flying?.result.catch(() => {});
    flying = undefined;
    if (!rollback) throw new Error(`${diverged}; lower optimizer.learningRate, or set divergence.rollback`);
    if (rollbacks.length >= maxRollbacks) {
      throw new Error(
        `${diverged}, after ${rollbacks.length} returns to earlier steps; lower optimizer.learningRate or ` +
          'optimizer.clipNorm (divergence.maxRollbacks says how often a run goes back)',
      );
    }
    const { folder, step, damaged } = await latestCheckpoint(out, { good: true });
    for (const line of damaged) log(`passed over ${line}`);
    if (!folder && damaged.length > 0) {
      throw new Error(`${diverged}, and no checkpoint to go back to is whole; restore one from a copy`);
    }
    rollbacks.push({ fromStep: done, toStep: step, reason, rateFactor: factor });
    await writeRollbacks(out, rollbacks);
    metrics.close();
    await truncateLogs(out, step);
    await dataLog?.cut(step);
    metrics = openMetricsLog(join(out, METRICS));
    await (folder ? options.load(folder) : options.restart());
    await removeSuspicious(out);
    progress.line(
      `${diverged}; back to step ${step}, from where the learning rate is ${rateFactor(rollbacks, step + 1)} of the schedule's`,
    );
    watch = watchDivergence(config.divergence);
    for (const line of await lastMetrics(out)) watch.see(line);
    done = step;
    saved = step;
    due = false;
    lastTime = performance.now();
    feed = feedFrom(step + 1);
  }

  try {
    feed = feedFrom(done + 1);
    while (!stopped?.()) {
      const step = (flying?.step ?? done) + 1;
      const taken = await feed.take();
      if (!taken) break;
      const { value: batches, waited } = taken;
      const rate = options.schedule(step) * rateFactor(rollbacks, step);
      const result = runner.run(batches, step, rate);
      result.catch(() => {});
      device.flush();
      const before = flying;
      flying = { step, rate, waited, result };
      // What a compiled step measured is read while the next one runs.
      let reason = before && (await settle(before));
      const evaluating = options.evaluate && config.validation.every > 0 && step % config.validation.every === 0;
      due ||= every > 0 && step % every === 0;
      if (!reason && (!runner.compiled || step === stopAt || evaluating || due)) {
        const own: Flying = flying;
        flying = undefined;
        reason = await settle(own);
      }
      if (reason) {
        await rollBack(reason);
        continue;
      }
      if (evaluating && options.evaluate) {
        const { losses, baselines } = await options.evaluate();
        heldOut = { step, loss: losses.loss };
        const log = openMetricsLog(join(out, VALIDATION));
        log.append({ step, ...losses, ...baselines });
        log.close();
        await options.draw?.(step);
        lastTime = performance.now();
      }
      // A checkpoint in a bad stretch would be no place to go back to.
      if (due && flying === undefined && !watch.suspicious()) {
        await options.save(step, heldOut);
        saved = step;
        due = false;
        lastTime = performance.now();
      }
    }
    atTheEnd = flying && (await settle(flying));
  } catch (error) {
    if (error instanceof DeviceLostError) {
      throw new Error(
        `${error.message}\nStep ${done} was the last that is known; the last checkpoint is of step ${saved}: go on with --resume`,
        { cause: error },
      );
    }
    throw error;
  } finally {
    progress.end();
    metrics.close();
    await dataLog?.close();
  }
  const waiting = dataLog?.summary();
  if (waiting) log(waiting);
  if (done > saved) {
    const suspicious = atTheEnd !== undefined || watch.suspicious();
    if (suspicious)
      log(`the last steps were bad${atTheEnd ? `: ${atTheEnd}` : ''}; the checkpoint before this one is kept, too`);
    await options.save(done, heldOut, suspicious);
    saved = done;
  }
  return { done, saved };
}

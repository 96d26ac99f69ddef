/** The steps of a run: one after another, saved by rule, and taken back when they lead nowhere. */
import { type Device, DeviceLostError } from '@dawnchorus/tensor';
import type { HostBatch } from '../data/batch.ts';
import { createFeed, type Feed } from '../data/feed.ts';
import { latestCheckpoint, removeSuspicious } from './checkpoints.ts';
import { type Rollback, rateFactor, readRollbacks, writeRollbacks } from './divergence.ts';
import type { StepMetrics } from './metrics.ts';
import type { Runner } from './runner.ts';
import { openStepLog, type StepLog, type StepLogOptions } from './step-log.ts';
import type { HeldOut } from './validation.ts';

/** What a run's steps need. */
export interface LoopOptions extends StepLogOptions {
  device: Device;
  runner: Runner;
  /** The learning rate of a step, before returns lower it. */
  schedule(step: number): number;
  /** The batches of a step. */
  read(step: number): Promise<HostBatch[]>;
  /** Steps whose batches are read before they are needed; default 1. */
  ahead?: number;
  /** Writes a checkpoint, `suspicious` where the last steps were bad; `load` fills the trainer from one, `restart` with what it began with. */
  save(step: number, heldOut: { step: number; loss: number } | undefined, suspicious?: boolean): Promise<string>;
  load(folder: string): Promise<void>;
  restart(): Promise<void>;
  /** Scores the held-out music, where there is some. */
  evaluate?(): Promise<HeldOut>;
  /** Leaves pictures of what the student makes of it at a step. */
  draw?(step: number): Promise<void>;
  stopped?: () => boolean;
}

/** A step that is on its way. */
interface Flying {
  step: number;
  rate: number;
  waited: number;
  result: Promise<StepMetrics>;
}

/** Whether something is done at a step that is done every so many; 0: never. */
const isEvery = (step: number, every: number): boolean => every > 0 && step % every === 0;

/** A run at its steps. */
class Loop {
  /** The last step that is written down, and the one of the last checkpoint. */
  done: number;
  saved: number;
  private readonly options: LoopOptions;
  private readonly stepLog: StepLog;
  private readonly rollbacks: Rollback[];
  private feed: Feed<HostBatch[]>;
  /** The step that is on its way, if one is. */
  private flying: Flying | undefined;
  /** Whether a checkpoint waits for a good step. */
  private due = false;
  private heldOut: { step: number; loss: number } | undefined;

  constructor(options: LoopOptions, stepLog: StepLog, rollbacks: Rollback[]) {
    this.options = options;
    this.stepLog = stepLog;
    this.rollbacks = rollbacks;
    this.done = options.done;
    this.saved = options.done;
    this.feed = this.feedAfter(options.done);
  }

  /** The next batches are read while the GPU works on these. */
  private feedAfter(step: number): Feed<HostBatch[]> {
    const { stopAt, ahead = 1, read } = this.options;
    return createFeed({ first: step + 1, last: stopAt, ahead, read });
  }

  /** Goes on to the last step, or until the run is stopped. @returns why it counts as diverged then, if it does. */
  async run(): Promise<string | undefined> {
    const { config, runner, stopAt, stopped } = this.options;
    while (!stopped?.()) {
      const next = await this.launch();
      if (!next) break;
      const { step } = next;
      // What a compiled step measured is read while the next one runs.
      let reason = await this.settle();
      this.flying = next;
      const evaluate = isEvery(step, config.validation.every) ? this.options.evaluate : undefined;
      this.due ||= isEvery(step, config.checkpoint.every);
      if (!reason && (!runner.compiled || step === stopAt || evaluate || this.due)) reason = await this.settle();
      if (reason) {
        await this.rollBack(reason);
        continue;
      }
      if (evaluate) await this.keepScores(step, await evaluate());
      // A checkpoint in a bad stretch would be no place to go back to.
      if (this.due && !this.flying && !this.stepLog.suspicious()) await this.save();
    }
    return this.settle();
  }

  /** Sends the next step on its way, if there is one. */
  private async launch(): Promise<Flying | undefined> {
    const { device, runner, schedule } = this.options;
    const step = (this.flying?.step ?? this.done) + 1;
    const taken = await this.feed.take();
    if (!taken) return undefined;
    const rate = schedule(step) * rateFactor(this.rollbacks, step);
    const result = runner.run(taken.value, step, rate);
    // Whoever settles it gets the error.
    result.catch(() => {});
    device.flush();
    return { step, rate, waited: taken.waited, result };
  }

  /** Waits for the step that is on its way, and writes it down. @returns why the run counts as diverged, if it does. */
  private async settle(): Promise<string | undefined> {
    if (!this.flying) return undefined;
    const { step, rate, waited, result } = this.flying;
    this.flying = undefined;
    const measured = await result;
    this.done = step;
    return this.stepLog.step(step, measured, rate, waited);
  }

  /** Writes down, and draws, how the student does on the held-out music. */
  private async keepScores(step: number, scores: HeldOut): Promise<void> {
    this.heldOut = { step, loss: scores.losses.loss };
    this.stepLog.heldOut(step, scores);
    await this.options.draw?.(step);
    this.stepLog.skipTime();
  }

  private async save(suspicious?: boolean): Promise<void> {
    await this.options.save(this.done, this.heldOut, suspicious);
    this.saved = this.done;
    this.due = false;
    this.stepLog.skipTime();
  }

  /** Goes back to the last good checkpoint, or to the start where there is none yet, with a lower rate. */
  private async rollBack(reason: string): Promise<void> {
    const { config, out, load, restart } = this.options;
    const diverged = `the run diverged at step ${this.done}: ${reason}`;
    await this.flying?.result.catch(() => {});
    this.flying = undefined;
    this.checkMayGoBack(diverged);
    const { folder, step } = await this.placeToGoBackTo(diverged);
    this.rollbacks.push({ fromStep: this.done, toStep: step, reason, rateFactor: config.divergence.rateFactor });
    await writeRollbacks(out, this.rollbacks);
    await this.stepLog.cutBack(step);
    await (folder ? load(folder) : restart());
    await removeSuspicious(out);
    this.stepLog.line(
      `${diverged}; back to step ${step}, from where the learning rate is ${rateFactor(this.rollbacks, step + 1)} of the schedule's`,
    );
    this.done = step;
    this.saved = step;
    this.due = false;
    this.stepLog.skipTime();
    this.feed = this.feedAfter(step);
  }

  /** @throws Error when a run that diverged is to end. */
  private checkMayGoBack(diverged: string): void {
    const { rollback, maxRollbacks } = this.options.config.divergence;
    if (!rollback) throw new Error(`${diverged}; lower optimizer.learningRate, or set divergence.rollback`);
    if (this.rollbacks.length >= maxRollbacks) {
      throw new Error(
        `${diverged}, after ${this.rollbacks.length} returns to earlier steps; lower optimizer.learningRate or ` +
          'optimizer.clipNorm (divergence.maxRollbacks says how often a run goes back)',
      );
    }
  }

  /** The last good checkpoint; step 0 where there is none. @throws Error when those that there are are damaged. */
  private async placeToGoBackTo(diverged: string): Promise<{ folder: string | undefined; step: number }> {
    const { out, log } = this.options;
    const { folder, step, damaged } = await latestCheckpoint(out, { good: true });
    for (const line of damaged) log(`passed over ${line}`);
    if (!folder && damaged.length > 0) {
      throw new Error(`${diverged}, and no checkpoint to go back to is whole; restore one from a copy`);
    }
    return { folder, step };
  }

  /** Saves the last steps, where no checkpoint has them. @param reason why the run counts as diverged, if it does. */
  async saveLast(reason: string | undefined): Promise<void> {
    if (this.done <= this.saved) return;
    const suspicious = reason !== undefined || this.stepLog.suspicious();
    if (suspicious) {
      this.options.log(
        `the last steps were bad${reason ? `: ${reason}` : ''}; the checkpoint before this one is kept, too`,
      );
    }
    await this.save(suspicious);
  }
}

/** @returns the last step that was done, and the one of the last checkpoint. */
export async function runSteps(options: LoopOptions): Promise<{ done: number; saved: number }> {
  const { out, dataLog, log } = options;
  const rollbacks = await readRollbacks(out);
  const stepLog = await openStepLog(options);
  const loop = new Loop(options, stepLog, rollbacks);
  let reason: string | undefined;
  try {
    reason = await loop.run();
  } catch (error) {
    if (error instanceof DeviceLostError) {
      throw new Error(
        `${error.message}\nStep ${loop.done} was the last that is known; the last checkpoint is of step ${loop.saved}: go on with --resume`,
        { cause: error },
      );
    }
    throw error;
  } finally {
    await stepLog.close();
  }
  const waiting = dataLog?.summary();
  if (waiting) log(waiting);
  await loop.saveLast(reason);
  return { done: loop.done, saved: loop.saved };
}

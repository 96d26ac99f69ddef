import { existsSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Device } from '@dawnchorus/tensor';
import { cropSamples, frameCount, type PretrainConfig } from '../config/index.ts';
import { readBatch } from '../data/batch.ts';
import { tellMusic } from '../data/collection.ts';
import { type Dataset, dataFolders } from '../data/dataset.ts';
import { lockFolder } from '../lock.ts';
import { trainingBaselines } from './baselines.ts';
import {
  type Beginning,
  checkConfig,
  checkFiles,
  loadBeginning,
  type MusicFiles,
  musicFiles,
  saveBeginning,
} from './beginning.ts';
import { prepareRunFolder, removeClosingFiles } from './checkpoints.ts';
import { readRollbacks } from './divergence.ts';
import { openLabelled, openRunLabels, openRunTeacher, type RunLabels } from './labels.ts';
import { createLearner, describeLearner, type Learner, loadTrainer, saveTrainer } from './learner.ts';
import { type LoopOptions, runSteps } from './loop.ts';
import { type MetricsLine, readMetricsLog, writeReport } from './report.ts';
import { loadTrainerState, type TrainerState } from './state.ts';
import { checkPrecision, restartTrainer } from './step.ts';
import { obtainTeacher } from './teacher.ts';
import { openValidation, sumsOf, type Validation } from './validation.ts';
import { openDataLog } from './waiting.ts';

/** A pretraining run: what to train on what, and where to leave it. */
export interface PretrainOptions {
  device: Device;
  config: PretrainConfig;
  /** Folder of music. Where it has the folders train and valid, the second is held out. */
  data: string;
  out: string;
  /** Folder of labels of that music, made by `mert label`: what the student learns in the place of an RVQ-VAE's codes. */
  labels?: string;
  /**
   * A teacher that was made before, which labels each crop as it comes: EnCodec's folder or file, a K-means teacher's
   * folder, or teacher/ of another run.
   */
  teacher?: string;
  /** Go on where the run in `out` was stopped. */
  resume?: boolean;
  /** Steps at which to stop; the learning rate's schedule spans config.training.steps, or this where it is more. */
  steps?: number;
  /** Threads that decode music; default 0, the calling one. What the student hears does not depend on it. */
  workers?: number;
  /** Asked after each step; true makes the run stop and save. */
  stopped?: () => boolean;
  /** Lines for people to read; default: standard error. */
  log?: (line: string) => void;
}

/** How a pretraining run ended. */
export interface PretrainResult {
  /** The last step that was done. */
  step: number;
  /** False when the run was stopped before its last step. */
  finished: boolean;
  checkpoint: string | undefined;
  report: string | undefined;
}

/** Steps whose batches threads decode before they are needed. */
const STEPS_AHEAD = 4;

/** A run that is open: what it is told of, and what it hears. */
interface Run {
  options: PretrainOptions;
  log(line: string): void;
  /** What each of its checkpoints says of it. */
  about: Beginning & MusicFiles;
  dataset: Dataset;
  labels: RunLabels | undefined;
  validation: Validation | undefined;
}

/** The samples and frames of a crop. */
function cropOf({ audio, model }: PretrainConfig): { samples: number; frames: number } {
  const samples = cropSamples(audio);
  return { samples, frames: frameCount(samples, model) };
}

/** Locks a run's folder. One that `isNew` and still empty goes with the lock: a start that was refused leaves none. */
async function lockRun(out: string, isNew: boolean): Promise<AsyncDisposable> {
  const unlock = await lockFolder(out, 'training');
  return {
    async [Symbol.asyncDispose]() {
      await unlock();
      if (isNew) await rmdir(out).catch(() => {});
    },
  };
}

/** Says where a run goes on. */
function tellResumed({ log, about: { config, stopAt } }: Run, { step, config: before }: TrainerState): void {
  log(
    step < stopAt ? `resuming after step ${step}` : `the run is at step ${step}, its end; --steps N with more goes on`,
  );
  if (config.training.steps !== before.training.steps) {
    log(
      `the learning rate's schedule spans ${config.training.steps} steps from here on, ${before.training.steps} before`,
    );
  }
}

/** The steps of a run, after those that are done. */
async function stepsOf(run: Run, { trainer, teachers, runner }: Learner, done: number): Promise<LoopOptions> {
  const { about, dataset, labels, validation, log } = run;
  const { device, data, out, workers = 0, stopped } = run.options;
  const { config, stopAt } = about;
  const { frames } = cropOf(config);
  return {
    ...{ device, config, out, runner, done, stopAt, stopped, log },
    schedule: trainer.schedule,
    read: (step) =>
      Promise.all(
        Array.from({ length: config.training.accumulate }, (_, part) =>
          readBatch(dataset, config, step, frames, labels, part),
        ),
      ),
    ahead: workers > 0 ? STEPS_AHEAD : 1,
    dataLog: await openDataLog({ out, data, dataset, workers, adapter: device.adapter.name }),
    save: (step, heldOut, suspicious) =>
      saveTrainer(trainer, out, {
        step,
        ...about,
        // The loss of another step says nothing of this one.
        ...(heldOut?.step === step &&
          Number.isFinite(heldOut.loss) && { heldOutLoss: heldOut.loss, heldOutStep: step }),
        ...(suspicious && { suspicious }),
      }),
    load: (folder) => loadTrainer(trainer, config, folder, log),
    restart: () => restartTrainer(trainer, config),
    ...(validation && {
      evaluate: () => validation.evaluate(trainer, teachers),
      draw: (step: number) => validation.draw(trainer, teachers, out, step),
    }),
  };
}

/** What each clip's mean spectrum scored over the run, where it was measured. */
function clipMeanOf(lines: readonly MetricsLine[]): { cqtClipLoss?: number } {
  // One that was not finite is null in the log.
  const all = lines.flatMap(({ guessCqtClip }) => (typeof guessCqtClip === 'number' ? [guessCqtClip] : []));
  return all.length > 0 ? { cqtClipLoss: all.reduce((sum, loss) => sum + loss / all.length, 0) } : {};
}

/** Scores what was learnt, and writes the run's report. @returns its text. */
async function report(run: Run, { trainer, teachers }: Learner, steps: number, checkpoint = ''): Promise<string> {
  const { dataset, validation } = run;
  const { device, data, out } = run.options;
  const sums = await sumsOf(trainer);
  const lines = await readMetricsLog(join(out, 'metrics.jsonl'));
  return writeReport(out, {
    adapter: device.adapter.name,
    steps,
    seconds: lines.reduce((sum, line) => sum + line.seconds, 0),
    data,
    files: dataset.files.length,
    hours: dataset.seconds / 3600,
    skipped: dataset.skipped,
    silentCrops: dataset.silentCrops,
    skippedSteps: lines.filter((line) => !Number.isFinite(line.gradNorm)).length,
    training: { ...trainingBaselines(sums), ...clipMeanOf(lines) },
    heldOut: await validation?.evaluate(trainer, teachers),
    rollbacks: await readRollbacks(out),
    checkpoint,
  });
}

/** Does the steps after those that are done, and reports if none is left. */
async function learn(run: Run, learner: Learner, done: number): Promise<PretrainResult> {
  const { out } = run.options;
  const { stopAt } = run.about;
  const { done: step } = await runSteps(await stepsOf(run, learner, done));
  const checkpoint = step > 0 ? join(out, 'checkpoint') : undefined;
  if (step < stopAt) {
    run.log(`stopped after step ${step} of ${stopAt}; saved in ${checkpoint ?? 'nothing yet'}; go on with --resume`);
    return { step, finished: false, checkpoint, report: undefined };
  }
  return { step, finished: true, checkpoint, report: await report(run, learner, step, checkpoint) };
}

/**
 * Pretrains a MERT student: trains the acoustic teacher on the same music, unless the run has one or labels or a teacher were
 * given, then the student to predict masked codes and constant-Q spectra. Writes metrics.jsonl, teacher/, checkpoint/, report.md and
 * curves.svg into `out`. The same configuration, data and seed give the same metrics to the bit on one adapter, also across
 * stops and crashes. A run that diverges goes back to its last good checkpoint, or to its start, with a lower learning rate.
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { device, data, out, workers = 0, stopped, log = (line: string) => console.error(line) } = options;
  // Before a teacher is trained in vain.
  checkPrecision(device, options.config);
  const isNew = !existsSync(out);
  const resumeFrom = await prepareRunFolder({ ...options, others: ['metrics.jsonl', 'teacher'] }, log);
  await using _lock = await lockRun(out, isNew);
  const state = resumeFrom ? await loadTrainerState(resumeFrom) : undefined;
  const config = structuredClone(options.config);
  const stopAt = options.steps ?? config.training.steps;
  config.training.steps = Math.max(config.training.steps, stopAt);
  const folders = dataFolders(data);
  const crop = cropOf(config);
  await using labels = await openRunLabels(options, config, crop.frames, state);
  using given = await openRunTeacher(options, config, crop, state);
  const before = state ?? (options.resume ? await loadBeginning(out) : undefined);
  if (before) checkConfig(out, config, before.config);

  const { sampleRate } = config.audio;
  const { seed } = config.training;
  const dataset = await openLabelled(
    { folder: folders.train, sampleRate, cropSamples: crop.samples, seed, workers },
    labels,
  );
  await using _readers = { [Symbol.asyncDispose]: () => dataset.close() };
  tellMusic(log, dataset, folders.train, data);
  const files = musicFiles(dataset, folders.train);
  if (before) checkFiles(folders.train, files, before);
  // Before anything is trained in vain.
  await using validation = await openValidation(folders.valid, config, labels, log);
  if (validation) log(`held out: ${validation.files} files, from ${folders.valid}`);

  const steps = options.config.training.steps;
  const about = {
    ...{ config, stopAt, data, ...files, labels: labels?.state, teacher: given?.state },
    // A configuration that says the steps of before says what it said then.
    givenSteps: before?.config.training.steps === steps ? before.givenSteps : steps,
  };
  if (!state) await saveBeginning(out, about);
  const source = labels ?? given;
  if (source) log(source.description);
  const own = source ? undefined : await obtainTeacher({ config, out, folder: folders.train, workers, stopped, log });
  if (!own && !source) {
    log('stopped while training the teacher; nothing was saved, the next run starts it anew');
    return { step: 0, finished: false, checkpoint: undefined, report: undefined };
  }
  const run = { options, log, about, dataset, labels, validation };
  using learner = createLearner(device, config, { own, given: given?.teacher });
  if (state && resumeFrom) {
    await loadTrainer(learner.trainer, config, resumeFrom, log);
    tellResumed(run, state);
  }
  log(describeLearner(learner, config));
  if (options.resume && (state?.step ?? 0) < stopAt) await removeClosingFiles(out);
  return await learn(run, learner, state?.step ?? 0);
}

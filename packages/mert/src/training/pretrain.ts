import { existsSync } from 'node:fs';
import { rmdir } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { createCqt } from '@dawnchorus/dsp';
import type { Device } from '@dawnchorus/tensor';
import { cqtSettingsAt, cropSamples, frameCount, type PretrainConfig } from '../config/index.ts';
import { readBatch } from '../data/batch.ts';
import { nameWithin } from '../data/collection.ts';
import { type Dataset, dataFolders } from '../data/dataset.ts';
import { lockFolder } from '../lock.ts';
import { trainingBaselines } from './baselines.ts';
import { type Beginning, forgetBeginning, loadBeginning, saveBeginning } from './beginning.ts';
import { prepareRunFolder, removeClosingFiles, writeCheckpoint } from './checkpoints.ts';
import { readRollbacks } from './divergence.ts';
import { openLabelled, openRunLabels, openRunTeacher } from './labels.ts';
import { runSteps } from './loop.ts';
import { type MetricsLine, readMetricsLog, writeReport } from './report.ts';
import { createRunner } from './runner.ts';
import { fillCheckpoint, loadCheckpoint, loadTrainerState, type TrainerState } from './state.ts';
import {
  averagedStudent,
  checkPrecision,
  createTrainer,
  disposeTrainer,
  mendStatistics,
  restartTrainer,
  trainingTensors,
} from './step.ts';
import { obtainTeacher } from './teacher.ts';
import { openValidation, sumsOf } from './validation.ts';
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

/** Settings that may change when a run goes on: they change nothing of what is learnt. */
const freeToChange = /^(training\.(steps|compile)|(checkpoint|validation|monitor|divergence)\..*)$/;

/** Names the settings that differ between two configurations. */
function differences(a: PretrainConfig, b: PretrainConfig): string[] {
  const found: string[] = [];
  for (const section of Object.keys(a) as (keyof PretrainConfig)[]) {
    const [left, right] = [a[section], b[section]] as [Record<string, unknown>, Record<string, unknown>];
    for (const key of Object.keys(left)) {
      const name = `${section}.${key}`;
      if (JSON.stringify(left[key]) !== JSON.stringify(right?.[key]) && !freeToChange.test(name)) {
        found.push(`${name}: ${JSON.stringify(right?.[key])} in the run, ${JSON.stringify(left[key])} now`);
      }
    }
  }
  return found;
}

/** What a resumed run must find again of its files. */
const filesOf = ({ files }: Dataset, folder: string) => ({
  files: files.map(({ path }) => relative(folder, path)),
  samples: files.map(({ frames }) => frames),
  sampleRates: files.map(({ sampleRate }) => sampleRate),
});

/** @throws Error that names what is missing, new, in another place or another file than before. */
function checkFiles(folder: string, now: ReturnType<typeof filesOf>, before: Beginning): void {
  const { files = now.files, samples = now.samples, sampleRates = now.sampleRates } = before;
  const names = now.files;
  if (names.join('\n') !== files.join('\n')) {
    const [known, there] = [new Set(files), new Set(names)];
    const missing = files.filter((name) => !there.has(name));
    const added = names.filter((name) => !known.has(name));
    const first = names.findIndex((name, i) => name !== files[i]);
    const what =
      missing.length + added.length > 0
        ? `${missing.length} missing${missing.length ? `, e.g. ${missing[0]}` : ''}; ${added.length} new${added.length ? `, e.g. ${added[0]}` : ''}`
        : `they are in another order: file ${first + 1} was ${files[first]} and is ${names[first]}`;
    throw new Error(
      `${folder}: not the files that this run was started on (${what}); a resumed run needs the same ones in the same order`,
    );
  }
  const changed = names.findIndex((_, i) => samples[i] !== now.samples[i] || sampleRates[i] !== now.sampleRates[i]);
  if (changed >= 0) {
    throw new Error(
      `${folder}: ${names[changed]} is another file than the run was started on: it had ${samples[changed]} samples at ` +
        `${sampleRates[changed]} Hz and has ${now.samples[changed]} at ${now.sampleRates[changed]} Hz; a resumed run needs the same ones`,
    );
  }
}

/** What each clip's mean spectrum scored over the run, where it was measured. */
function clipMeanOf(lines: readonly MetricsLine[]): { cqtClipLoss?: number } {
  // One that was not finite is null in the log.
  const all = lines.flatMap(({ guessCqtClip }) => (typeof guessCqtClip === 'number' ? [guessCqtClip] : []));
  return all.length > 0 ? { cqtClipLoss: all.reduce((sum, loss) => sum + loss / all.length, 0) } : {};
}

/**
 * Pretrains a MERT student: trains the acoustic teacher on the same music, unless the run has one or labels or a teacher were
 * given, then the student to predict masked codes and constant-Q spectra. Writes metrics.jsonl, teacher/, checkpoint/, report.md and
 * curves.svg into `out`. The same configuration, data and seed give the same metrics to the bit on one adapter, also across
 * stops and crashes. A run that diverges goes back to its last good checkpoint, or to its start, with a lower learning rate.
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { device, out, log = (line: string) => console.error(line), stopped } = options;
  // Before a teacher is trained in vain.
  checkPrecision(device, options.config);
  const isNew = !existsSync(out);
  const resumeFrom = await prepareRunFolder({ ...options, others: ['metrics.jsonl', 'teacher'] }, log);
  const unlock = await lockFolder(out, 'training');
  await using _lock = {
    async [Symbol.asyncDispose]() {
      await unlock();
      // A start that was refused leaves no empty folder.
      if (isNew) await rmdir(out).catch(() => {});
    },
  };
  const state = resumeFrom ? await loadTrainerState(resumeFrom) : undefined;
  const config = structuredClone(options.config);
  const stopAt = options.steps ?? config.training.steps;
  config.training.steps = Math.max(config.training.steps, stopAt);
  const folders = dataFolders(options.data);
  const samples = cropSamples(config.audio);
  const frames = frameCount(samples, config.model);
  const { sampleRate } = config.audio;
  const { seed, accumulate, batchSize } = config.training;
  await using labels = await openRunLabels(options, config, frames, state);
  using given = await openRunTeacher(options, config, { samples, frames }, state);
  const before = state ?? (options.resume ? await loadBeginning(out) : undefined);
  if (before) {
    const changed = differences(config, before.config);
    if (changed.length > 0) {
      throw new Error(
        `${out}: the run was started with another configuration:\n  ${changed.join('\n  ')}\nresume with the same one`,
      );
    }
  }

  const { workers = 0 } = options;
  const dataset = await openLabelled(
    { folder: folders.train, sampleRate, cropSamples: samples, seed, workers },
    labels,
  );
  await using _readers = { [Symbol.asyncDispose]: () => dataset.close() };
  const minutes = (dataset.seconds / 60).toFixed(1);
  log(
    `data: ${dataset.files.length} files, ${minutes} min, from ${folders.train}${dataset.skipped.length ? `; ${dataset.skipped.length} left out` : ''}`,
  );
  for (const { path, reason } of dataset.skipped) log(`  left out ${nameWithin(options.data, path)}: ${reason}`);
  const files = filesOf(dataset, folders.train);
  if (before) checkFiles(folders.train, files, before);
  // Before anything is trained in vain.
  await using validation = await openValidation(folders.valid, config, labels, log);
  if (validation) log(`held out: ${validation.files} files, from ${folders.valid}`);

  const steps = options.config.training.steps;
  const about = {
    ...{ config, stopAt, data: options.data, ...files, labels: labels?.state, teacher: given?.state },
    // A configuration that says the steps of before says what it said then.
    givenSteps: before?.config.training.steps === steps ? before.givenSteps : steps,
  };
  if (!state) await saveBeginning(out, about);
  const source = labels ?? given;
  if (source) log(source.description);
  const rvq = source ? undefined : await obtainTeacher({ config, out, folder: folders.train, workers, stopped, log });
  if (!rvq && !source) {
    log('stopped while training the teacher; nothing was saved, the next run starts it anew');
    return { step: 0, finished: false, checkpoint: undefined, report: undefined };
  }
  const teachers = { acoustic: given?.teacher ?? rvq, cqt: createCqt(device, cqtSettingsAt(sampleRate)) };
  const trainer = createTrainer(config);
  const runner = createRunner(device, trainer, teachers, config);
  using _memory = {
    [Symbol.dispose]() {
      runner.dispose();
      disposeTrainer(trainer);
      rvq?.dispose();
      teachers.cqt.dispose();
    },
  };
  const parts = () => ({ student: trainer.student.stateDict(), training: trainingTensors(trainer) });
  const load = async (folder: string) => {
    trainer.optimizer.setSteps((await loadTrainerState(folder)).optimizerSteps);
    await loadCheckpoint(folder, parts());
    if (await mendStatistics(trainer, config)) {
      log(
        `${folder}: its sums over the targets are not finite; they begin anew, and so do the guesses beside the losses`,
      );
    }
  };
  if (state && resumeFrom) {
    await load(resumeFrom);
    log(
      state.step < stopAt
        ? `resuming after step ${state.step}`
        : `the run is at step ${state.step}, its end; --steps N with more goes on`,
    );
    if (config.training.steps !== state.config.training.steps) {
      log(
        `the learning rate's schedule spans ${config.training.steps} steps from here on, ${state.config.training.steps} before`,
      );
    }
  }
  log(
    `student: ${(trainer.student.parameterCount() / 1e6).toFixed(2)} M parameters (${(trainer.heads.parameterCount() / 1e6).toFixed(2)} M more in the heads), ` +
      `${batchSize * accumulate} clips of ${config.audio.cropSeconds} s a step${accumulate > 1 ? `, ${batchSize} at a time` : ''}` +
      `${config.training.precision === 'f16' ? ', in half precision' : ''}${runner.compiled ? ', compiled' : ''}`,
  );

  const save = async (step: number, heldOut?: { step: number; loss: number }, suspicious = false) => {
    const averaged = averagedStudent(trainer);
    const own: TrainerState = {
      step,
      optimizerSteps: await trainer.optimizer.steps.item(),
      ...about,
      // The loss of another step says nothing of this one.
      ...(heldOut?.step === step && Number.isFinite(heldOut.loss) && { heldOutLoss: heldOut.loss, heldOutStep: step }),
      ...(suspicious && { suspicious }),
    };
    try {
      const written = await writeCheckpoint(out, step, config.checkpoint, (folder) =>
        fillCheckpoint(folder, { ...parts(), averaged }, own),
      );
      await forgetBeginning(out);
      return written;
    } finally {
      for (const view of averaged?.values() ?? []) view.dispose();
    }
  };
  if (options.resume && (state?.step ?? 0) < stopAt) await removeClosingFiles(out);
  const { done } = await runSteps({
    device,
    config,
    out,
    runner,
    schedule: trainer.schedule,
    done: state?.step ?? 0,
    stopAt,
    read: (step) =>
      Promise.all(
        Array.from({ length: accumulate }, (_, part) => readBatch(dataset, config, step, frames, labels, part)),
      ),
    ahead: workers > 0 ? STEPS_AHEAD : 1,
    dataLog: await openDataLog({ out, data: options.data, dataset, workers, adapter: device.adapter.name }),
    save,
    load,
    restart: () => restartTrainer(trainer, config),
    ...(validation && {
      evaluate: () => validation.evaluate(trainer, teachers),
      draw: (step: number) => validation.draw(trainer, teachers, out, step),
    }),
    stopped,
    log,
  });
  const checkpoint = done > 0 ? join(out, 'checkpoint') : undefined;
  if (done < stopAt) {
    log(`stopped after step ${done} of ${stopAt}; saved in ${checkpoint ?? 'nothing yet'}; go on with --resume`);
    return { step: done, finished: false, checkpoint, report: undefined };
  }
  const sums = await sumsOf(trainer);
  const lines = await readMetricsLog(join(out, 'metrics.jsonl'));
  const report = await writeReport(out, {
    adapter: device.adapter.name,
    steps: done,
    seconds: lines.reduce((sum, line) => sum + line.seconds, 0),
    files: dataset.files.length,
    hours: dataset.seconds / 3600,
    skipped: dataset.skipped,
    silentCrops: dataset.silentCrops,
    skippedSteps: lines.filter((line) => !Number.isFinite(line.gradNorm)).length,
    training: { ...trainingBaselines(sums), ...clipMeanOf(lines) },
    heldOut: await validation?.evaluate(trainer, teachers),
    rollbacks: await readRollbacks(out),
    checkpoint: checkpoint ?? '',
  });
  return { step: done, finished: true, checkpoint, report };
}

import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { createCqt } from '@dawnchorus/dsp';
import { openMetricsLog, truncateMetricsLog } from '@dawnchorus/formats';
import type { Device } from '@dawnchorus/tensor';
import { cropSamples, frameCount, type PretrainConfig } from '../config/index.ts';
import { prepareBatch, readBatch, readCrops } from '../data/batch.ts';
import { type Dataset, dataFolders, openDataset } from '../data/dataset.ts';
import { emptyTeacher, type RvqTeacher, SAMPLES_PER_CODE, trainTeacher } from '../rvq/teacher.ts';
import { heldOutBaselines, type TargetSums, trainingBaselines } from './baselines.ts';
import { openLabelled, openRunLabels, type RunLabels } from './labels.ts';
import { createProgress, formatDuration } from './progress.ts';
import { type ReportInput, readMetricsLog, writeReport } from './report.ts';
import {
  checkpointFolder,
  loadCheckpoint,
  loadTensors,
  loadTrainerState,
  saveCheckpoint,
  saveTensors,
  type TrainerState,
} from './state.ts';
import {
  cqtSettings,
  createTrainer,
  disposeTrainer,
  evaluateStep,
  type Teachers,
  type Trainer,
  trainingTensors,
  trainStep,
} from './step.ts';

/** A pretraining run: what to train on what, and where to leave it. */
export interface PretrainOptions {
  device: Device;
  config: PretrainConfig;
  /** Folder of music. Where it has the folders train and valid, the second is held out. */
  data: string;
  out: string;
  /** Folder of labels of that music, made by `mert label`: what the student learns in the place of an RVQ-VAE's codes. */
  labels?: string;
  /** Go on where the run in `out` was stopped. */
  resume?: boolean;
  /** Steps at which to stop; the learning rate's schedule spans config.training.steps, or this where it is more. */
  steps?: number;
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

const HELD_OUT_BATCHES = 6;

/** Settings that may change when a run goes on. */
const freeToChange = new Set(['training.steps', 'training.checkpointEvery']);

/** Names the settings that differ between two configurations. */
function differences(a: PretrainConfig, b: PretrainConfig): string[] {
  const found: string[] = [];
  for (const section of Object.keys(a) as (keyof PretrainConfig)[]) {
    const [left, right] = [a[section], b[section]] as [Record<string, unknown>, Record<string, unknown>];
    for (const key of Object.keys(left)) {
      const name = `${section}.${key}`;
      if (JSON.stringify(left[key]) !== JSON.stringify(right?.[key]) && !freeToChange.has(name)) {
        found.push(`${name}: ${JSON.stringify(right?.[key])} in the run, ${JSON.stringify(left[key])} now`);
      }
    }
  }
  return found;
}

async function sumsOf({ statistics }: Trainer): Promise<TargetSums> {
  const [codebooks, size] = statistics.labelCounts.shape;
  const counts = (await statistics.labelCounts.data()) as Float32Array;
  const sums = (await statistics.cqtSums.data()) as Float32Array;
  const bins = statistics.cqtSums.shape[1];
  return {
    labelCounts: Array.from({ length: codebooks }, (_, i) =>
      Float64Array.from(counts.subarray(i * size, (i + 1) * size)),
    ),
    cqtSum: Float64Array.from(sums.subarray(0, bins)),
    cqtSumOfSquares: Float64Array.from(sums.subarray(bins)),
    frames: await statistics.frames.item(),
  };
}

/** The acoustic teacher: loaded from the run's folder, or trained now and saved there. */
async function obtainTeacher(
  options: PretrainOptions,
  folder: string,
  log: (line: string) => void,
): Promise<RvqTeacher | undefined> {
  const { config, out, stopped } = options;
  const path = join(out, 'teacher', 'rvq.safetensors');
  if (existsSync(path)) {
    const teacher = emptyTeacher(config.rvq, config.training.seed);
    await loadTensors(path, teacher.named());
    return teacher;
  }
  const clipSamples =
    Math.round((config.rvq.cropSeconds * config.audio.sampleRate) / SAMPLES_PER_CODE) * SAMPLES_PER_CODE;
  const dataset = await openDataset({
    folder,
    sampleRate: config.audio.sampleRate,
    cropSamples: clipSamples,
    seed: config.training.seed + 1,
  });
  const progress = createProgress({ label: 'teacher', total: config.rvq.steps });
  const start = performance.now();
  let last = '';
  const teacher = await trainTeacher({
    config: config.rvq,
    seed: config.training.seed,
    readClips: (first, count) => Promise.all(Array.from({ length: count }, (_, i) => dataset.readCrop(first + i))),
    onStep({ step, loss, error, perplexity }) {
      const use = perplexity.length > 0 ? `  perplexity ${perplexity.map((value) => value.toFixed(0)).join(' ')}` : '';
      last = `loss ${loss.toFixed(3)}  waveform error ${error.toFixed(3)}${use}`;
      progress.update(step, last);
    },
    stopped,
  });
  progress.end();
  if (!teacher) return undefined;
  await mkdir(join(out, 'teacher'), { recursive: true });
  await saveTensors(path, teacher.named());
  log(
    `teacher: ${config.rvq.numCodebooks} codebooks of ${config.rvq.codebookSize}, trained in ${formatDuration((performance.now() - start) / 1000)}; ${last}`,
  );
  return teacher;
}

async function evaluateHeldOut(
  folder: string,
  trainer: Trainer,
  teachers: Teachers,
  config: PretrainConfig,
  sums: TargetSums,
  labels: RunLabels | undefined,
): Promise<ReportInput['heldOut']> {
  const { seed, batchSize } = config.training;
  const samples = cropSamples(config.audio);
  const frames = frameCount(samples, config.model);
  const dataset = await openLabelled(
    { folder, sampleRate: config.audio.sampleRate, cropSamples: samples, seed },
    labels,
  );
  const losses = { loss: 0, lossRvq: 0, lossCqt: 0, accuracy: 0 };
  const baselines = { labelFrequencyLoss: 0, majorityAccuracy: 0, cqtMeanLoss: 0, cqtZeroLoss: 0 };
  for (let i = 0; i < HELD_OUT_BATCHES; i++) {
    const crops = await readCrops(dataset, i * batchSize, batchSize, labels);
    const prepared = prepareBatch(crops.clean, config, i, frames, { seed, mixture: false });
    const host = { ...prepared, labels: crops.labels };
    const { metrics, labels: targets, cqt } = await evaluateStep(trainer, teachers, host, config);
    const guesses = heldOutBaselines(sums, targets, cqt);
    for (const key of Object.keys(losses) as (keyof typeof losses)[]) losses[key] += metrics[key] / HELD_OUT_BATCHES;
    for (const key of Object.keys(baselines) as (keyof typeof baselines)[])
      baselines[key] += guesses[key] / HELD_OUT_BATCHES;
  }
  return { losses, baselines, files: dataset.files.length };
}

async function prepareFolder({ out, resume }: PretrainOptions): Promise<string | undefined> {
  const signs = ['metrics.jsonl', 'checkpoint', 'checkpoint.previous', 'teacher'].map((name) => join(out, name));
  const holdsRun = signs.some((path) => existsSync(path));
  if (holdsRun && !resume) {
    throw new Error(`${out}: this folder already holds a run; go on with --resume, or choose another --out`);
  }
  if (!holdsRun && resume) throw new Error(`${out}: there is no run to resume here; leave out --resume to start one`);
  await mkdir(out, { recursive: true });
  return resume ? checkpointFolder(out) : undefined;
}

function checkFiles(dataset: Dataset, folder: string, state: TrainerState): void {
  const names = dataset.files.map((file) => relative(folder, file.path));
  if (names.join('\n') === state.files.join('\n')) return;
  const missing = state.files.filter((name) => !names.includes(name));
  const added = names.filter((name) => !state.files.includes(name));
  throw new Error(
    `${folder}: not the files that this run was started on (${missing.length} missing${missing.length ? `, e.g. ${missing[0]}` : ''}; ` +
      `${added.length} new${added.length ? `, e.g. ${added[0]}` : ''}); a resumed run needs the same ones`,
  );
}

/**
 * Pretrains a MERT student: trains the acoustic teacher on the same music unless the run has one, then the student to
 * predict masked codes and constant-Q spectra. Writes metrics.jsonl, teacher/, checkpoint/, report.md and curves.svg into
 * `out`. The same configuration, data and seed give the same metrics to the bit on one adapter, also across a stop.
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { device, out, log = (line: string) => console.error(line), stopped } = options;
  const resumeFrom = await prepareFolder(options);
  const state = resumeFrom ? await loadTrainerState(resumeFrom) : undefined;
  const config = structuredClone(options.config);
  const stopAt = options.steps ?? config.training.steps;
  config.training.steps = Math.max(config.training.steps, stopAt);
  const folders = dataFolders(options.data);
  const samples = cropSamples(config.audio);
  const frames = frameCount(samples, config.model);
  const { sampleRate } = config.audio;
  const { seed } = config.training;
  await using labels = await openRunLabels(options, config, frames, state);
  if (state) {
    const changed = differences(config, state.config);
    if (changed.length > 0) {
      throw new Error(
        `${out}: the run was started with another configuration:\n  ${changed.join('\n  ')}\nresume with the same one`,
      );
    }
  }

  const dataset = await openLabelled({ folder: folders.train, sampleRate, cropSamples: samples, seed }, labels);
  const minutes = (dataset.seconds / 60).toFixed(1);
  log(
    `data: ${dataset.files.length} files, ${minutes} min, from ${folders.train}${dataset.skipped.length ? `; ${dataset.skipped.length} left out` : ''}`,
  );
  for (const { path, reason } of dataset.skipped) log(`  left out ${basename(path)}: ${reason}`);
  if (state) checkFiles(dataset, folders.train, state);

  if (labels) log(labels.description);
  const rvq = labels ? undefined : await obtainTeacher({ ...options, config }, folders.train, log);
  if (!rvq && !labels) {
    log('stopped while training the teacher; nothing was saved, the next run starts it anew');
    return { step: 0, finished: false, checkpoint: undefined, report: undefined };
  }
  const teachers = { rvq, cqt: createCqt(device, cqtSettings) };
  const trainer = createTrainer(config);
  using _memory = {
    [Symbol.dispose]() {
      disposeTrainer(trainer);
      teachers.rvq?.dispose();
      teachers.cqt.dispose();
    },
  };
  const parts = () => ({ student: trainer.student.stateDict(), training: trainingTensors(trainer) });
  let done = 0;
  const metricsPath = join(out, 'metrics.jsonl');
  if (state && resumeFrom) {
    await loadCheckpoint(resumeFrom, parts());
    trainer.optimizer.setSteps(state.optimizerSteps);
    done = state.step;
    log(`resuming after step ${done}`);
  }
  if (existsSync(metricsPath)) await truncateMetricsLog(metricsPath, done);
  log(
    `student: ${(trainer.student.parameterCount() / 1e6).toFixed(2)} M parameters (${(trainer.heads.parameterCount() / 1e6).toFixed(2)} M more in the heads), ` +
      `${config.training.batchSize} clips of ${config.audio.cropSeconds} s a step`,
  );

  const metrics = openMetricsLog(metricsPath);
  const save = async (step: number) =>
    saveCheckpoint(out, parts(), {
      step,
      stopAt,
      optimizerSteps: await trainer.optimizer.steps.item(),
      config,
      data: options.data,
      files: dataset.files.map((file) => relative(folders.train, file.path)),
      labels: labels?.state,
    });
  const progress = createProgress({ label: 'pretrain', total: stopAt, initial: done });
  let saved = done;
  try {
    let next = done < stopAt ? readBatch(dataset, config, done + 1, frames, labels) : undefined;
    while (done < stopAt && next !== undefined && !stopped?.()) {
      const step = done + 1;
      const start = performance.now();
      const host = await next;
      const result = trainStep(trainer, teachers, host, config, step);
      device.flush();
      // The next batch is read while the GPU works on this one.
      next = step < stopAt ? readBatch(dataset, config, step + 1, frames, labels) : undefined;
      next?.catch(() => {});
      const { loss, lossRvq, lossCqt, accuracy, gradNorm, ...rest } = await result;
      const seconds = (performance.now() - start) / 1000;
      const clipsPerSecond = config.training.batchSize / seconds;
      const learningRate = trainer.schedule(step);
      metrics.append({
        step,
        loss,
        lossRvq,
        lossCqt,
        accuracy,
        gradNorm,
        learningRate,
        clipsPerSecond,
        seconds,
        ...rest,
      });
      done = step;
      progress.update(
        step,
        `loss ${loss.toFixed(3)}  rvq ${lossRvq.toFixed(3)}  cqt ${lossCqt.toFixed(3)}  ${clipsPerSecond.toFixed(1)} clips/s`,
      );
      const { checkpointEvery } = config.training;
      if (checkpointEvery > 0 && step % checkpointEvery === 0) {
        await save(step);
        saved = step;
      }
    }
  } finally {
    progress.end();
    metrics.close();
  }
  const checkpoint = done > saved ? await save(done) : checkpointFolder(out);
  if (done < stopAt) {
    log(`stopped after step ${done} of ${stopAt}; saved in ${checkpoint ?? 'nothing yet'}; go on with --resume`);
    return { step: done, finished: false, checkpoint, report: undefined };
  }
  const sums = await sumsOf(trainer);
  const lines = await readMetricsLog(metricsPath);
  const report = await writeReport(out, {
    adapter: device.adapter.name,
    steps: done,
    seconds: lines.reduce((sum, line) => sum + line.seconds, 0),
    files: dataset.files.length,
    hours: dataset.seconds / 3600,
    skipped: dataset.skipped,
    silentCrops: dataset.silentCrops,
    skippedSteps: lines.filter((line) => !Number.isFinite(line.gradNorm)).length,
    training: trainingBaselines(sums),
    heldOut: folders.valid ? await evaluateHeldOut(folders.valid, trainer, teachers, config, sums, labels) : undefined,
    checkpoint: checkpoint ?? '',
  });
  return { step: done, finished: true, checkpoint, report };
}

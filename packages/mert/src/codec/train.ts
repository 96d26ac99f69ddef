import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join, relative } from 'node:path';
import { openMetricsLog, truncateMetricsLog, writeJson } from '@dawnchorus/formats';
import type { Tensor } from '@dawnchorus/tensor';
import { stackClips } from '../data/batch.ts';
import { type Dataset, openDataset } from '../data/dataset.ts';
import { lockFolder } from '../lock.ts';
import { forgetBeginning, saveBeginning } from '../training/beginning.ts';
import { prepareRunFolder, writeCheckpoint } from '../training/checkpoints.ts';
import { createProgress, formatDuration } from '../training/progress.ts';
import { loadTensors, saveTensors } from '../training/state.ts';
import { codecReportText, evaluateCodec } from './evaluate.ts';
import { readCodecInto, saveCodec } from './load.ts';
import { CODEC_RATE, type CodecTrainConfig, codecCropSamples } from './train-config.ts';
import {
  type CodecMetrics,
  type CodecTrainer,
  codecTrainingTensors,
  createCodecTrainer,
  disposeTrainingState,
  startCodebooks,
  trainCodecStep,
} from './trainer.ts';
import { startAsTransform } from './transform-start.ts';

/** A training run of a codec: what to train on what, and where to leave it. */
export interface CodecTraining {
  config: CodecTrainConfig;
  /** Folder of music. Where it has the folders train and valid, the second is held out. */
  data: string;
  out: string;
  /** Go on where the run in `out` was stopped. */
  resume?: boolean;
  /** Steps at which to stop; default training.steps. */
  steps?: number;
  /** Asked after each step; true makes the run stop and save. */
  stopped?(): boolean;
  /** Lines for people to read; default: standard error. */
  log?(line: string): void;
}

/** What a codec's resumed run must know besides its tensors. */
export interface RunState {
  step: number;
  stopAt: number;
  started: boolean;
  /** The optimisers' own counts. */
  optimizerSteps: number;
  discriminatorSteps: number;
  config: CodecTrainConfig;
  data: string;
  files: string[];
}

/** What a run was started with. */
export type CodecBeginning = Pick<RunState, 'config' | 'data' | 'stopAt'>;

/** How a run ended. */
export interface CodecTrainingResult {
  step: number;
  finished: boolean;
  /** The folder of the codec, in Hugging Face's layout. */
  checkpoint: string | undefined;
  report: string | undefined;
}

/** The state of the run in a checkpoint's folder. */
export async function readCodecRun(folder: string): Promise<RunState> {
  const path = join(folder, 'trainer.json');
  try {
    const state = JSON.parse(await readFile(path, 'utf8')) as RunState;
    if (state.config?.quantizer === undefined) throw new Error('it is that of another kind of run');
    return state;
  } catch (cause) {
    throw new Error(`${path}: cannot be read as the state of a run; resume needs the folder that codec train wrote`, {
      cause,
    });
  }
}

function checkUnchanged(
  out: string,
  dataset: Dataset,
  folder: string,
  config: CodecTrainConfig,
  state: RunState,
): void {
  const changed = (Object.keys(config) as (keyof CodecTrainConfig)[]).flatMap((section) => {
    const [now, then] = [config[section], state.config[section]] as Record<string, unknown>[];
    return Object.keys(now)
      .filter((key) => key !== 'checkpointEvery' && JSON.stringify(now[key]) !== JSON.stringify(then?.[key]))
      .map((key) => `${section}.${key}: ${JSON.stringify(then?.[key])} in the run, ${JSON.stringify(now[key])} now`);
  });
  if (changed.length > 0) {
    throw new Error(`${out}: the run was started with another configuration:\n  ${changed.join('\n  ')}`);
  }
  const files = dataset.files.map((file) => relative(folder, file.path));
  if (files.join('\n') !== state.files.join('\n')) {
    throw new Error(
      `${folder}: not the ${state.files.length} files that this run was started on; it needs the same ones`,
    );
  }
}

/** The latest checkpoint alone stays. */
const KEEP = { keepLast: 1, keepEvery: 0, keepBest: false };

/** Clips of a step: [batch] of [samples] each. They depend on the number of the step alone. */
async function readClips(dataset: Dataset, { training }: CodecTrainConfig, step: number): Promise<Float32Array[]> {
  const first = (step - 1) * training.batchSize;
  return Promise.all(Array.from({ length: training.batchSize }, (_, i) => dataset.readCrop(first + i)));
}

/** More clips for k-means, beyond those of the steps before it. */
async function* clipsForKMeans(dataset: Dataset, config: CodecTrainConfig, step: number): AsyncGenerator<Tensor> {
  for (let at = step; ; at++) yield stackClips(await readClips(dataset, config, at));
}

function describe({ losses, entropies, discriminator }: CodecMetrics, codebookSize: number): string {
  const parts = Object.entries(losses).map(([name, value]) => `${name} ${value.toFixed(3)}`);
  if (discriminator !== undefined) parts.push(`discriminator ${discriminator.toFixed(2)}`);
  const most = Math.log2(codebookSize);
  if (entropies.length > 0) {
    parts.push(
      `use ${entropies
        .slice(0, 8)
        .map((bits) => `${((100 * bits) / most).toFixed(0)}%`)
        .join(' ')}`,
    );
  }
  return parts.join('  ');
}

function checkFinite(metrics: CodecMetrics, step: number): void {
  for (const [name, value] of Object.entries({ ...metrics.losses, commitment: metrics.commitment })) {
    if (!Number.isFinite(value)) {
      throw new Error(`the codec's ${name} loss became ${value} at step ${step}; lower optimizer.learningRate`);
    }
  }
}

/**
 * Trains a codec and measures it on held-out tracks. Writes metrics.jsonl, checkpoint/ (a folder that `loadCodec` reads),
 * report.md, report.json and clips/ into `out`. The same configuration, data and seed give the same metrics to the bit on
 * one adapter, also across a stop.
 */
export async function trainCodec(run: CodecTraining): Promise<CodecTrainingResult> {
  const { out, config, stopped, log = (line: string) => console.error(line) } = run;
  const resumeFrom = await prepareRunFolder({ ...run, others: ['metrics.jsonl'] }, log);
  const unlock = await lockFolder(out, 'training');
  await using _lock = { [Symbol.asyncDispose]: unlock };
  const state = resumeFrom ? await readCodecRun(resumeFrom) : undefined;
  const stopAt = run.steps ?? config.training.steps;
  const [train, valid] = ['train', 'valid'].map((name) => join(run.data, name));
  const split = existsSync(train) && existsSync(valid);
  const folder = split ? train : run.data;
  const cropSamples = codecCropSamples(config);
  const dataset = await openDataset({ folder, sampleRate: CODEC_RATE, cropSamples, seed: config.training.seed });
  const left = dataset.skipped.length > 0 ? `; ${dataset.skipped.length} left out` : '';
  log(`data: ${dataset.files.length} files, ${(dataset.seconds / 60).toFixed(1)} min, from ${folder}${left}`);
  for (const { path, reason } of dataset.skipped) log(`  left out ${basename(path)}: ${reason}`);
  if (state) checkUnchanged(out, dataset, folder, config, state);
  else await saveBeginning<CodecBeginning>(out, { config, data: run.data, stopAt });

  const trainer = createCodecTrainer(config);
  using _memory = {
    [Symbol.dispose]() {
      disposeTrainingState(trainer);
      trainer.codec.dispose();
    },
  };
  const metricsPath = join(out, 'metrics.jsonl');
  let done = 0;
  if (state && resumeFrom) {
    await restore(trainer, resumeFrom, state);
    done = state.step;
    log(`resuming after step ${done}`);
  } else if (config.training.start === 'transform') await startAsTransform(trainer.codec);
  if (existsSync(metricsPath)) await truncateMetricsLog(metricsPath, done);
  const { codec } = trainer;
  const parameters = codec.encoder.parameterCount() + codec.decoder.parameterCount();
  const judge = trainer.discriminator
    ? `, discriminator ${(trainer.discriminator.parameterCount() / 1e6).toFixed(2)} M`
    : '';
  log(
    `codec: ${(parameters / 1e6).toFixed(2)} M parameters${judge}; ${config.quantizer.numCodebooks} codebooks of ` +
      `${config.quantizer.codebookSize}; ${config.training.batchSize} clips of ${cropSamples / CODEC_RATE} s a step`,
  );

  const metrics = openMetricsLog(metricsPath);
  const save = async (step: number) => {
    const written = await saveRun(out, trainer, {
      step,
      stopAt,
      config,
      data: run.data,
      files: dataset.files.map((file) => relative(folder, file.path)),
    });
    await forgetBeginning(out);
    return written;
  };
  const progress = createProgress({ label: 'codec', total: stopAt, initial: done });
  let saved = done;
  let checkpoint = resumeFrom;
  const began = performance.now();
  try {
    let next = done < stopAt ? readClips(dataset, config, done + 1) : undefined;
    while (done < stopAt && next !== undefined && !stopped?.()) {
      const step = done + 1;
      const start = performance.now();
      const waveform = stackClips(await next);
      next = step < stopAt ? readClips(dataset, config, step + 1) : undefined;
      next?.catch(() => {});
      if (!trainer.started && step > config.quantizer.startSteps) {
        await startCodebooks(trainer, clipsForKMeans(dataset, config, step), step);
      }
      const measured = await trainCodecStep(trainer, waveform, step);
      waveform.dispose();
      checkFinite(measured, step);
      const seconds = (performance.now() - start) / 1000;
      const clipsPerSecond = config.training.batchSize / seconds;
      const { losses, ...rest } = measured;
      metrics.append({ step, ...losses, ...rest, learningRate: trainer.schedule(step), clipsPerSecond, seconds });
      done = step;
      progress.update(
        step,
        `${describe(measured, config.quantizer.codebookSize)}  ${clipsPerSecond.toFixed(1)} clips/s`,
      );
      const { checkpointEvery } = config.training;
      if (checkpointEvery > 0 && step % checkpointEvery === 0) {
        checkpoint = await save(step);
        saved = step;
      }
    }
  } finally {
    progress.end();
    metrics.close();
  }
  if (done > saved) checkpoint = await save(done);
  if (done < stopAt) {
    log(`stopped after step ${done} of ${stopAt}; saved in ${checkpoint ?? 'nothing yet'}; go on with --resume`);
    return { step: done, finished: false, checkpoint, report: undefined };
  }
  log(
    `trained in ${formatDuration((performance.now() - began) / 1000)}; measuring on ${split ? valid : `${folder}, nothing is held out`}`,
  );
  const report = await evaluateCodec({ codec, data: split ? valid : folder, out });
  return { step: done, finished: true, checkpoint, report: codecReportText(report) };
}

async function saveRun(
  out: string,
  trainer: CodecTrainer,
  state: Omit<RunState, 'started' | 'optimizerSteps' | 'discriminatorSteps'>,
): Promise<string> {
  return writeCheckpoint(out, state.step, KEEP, async (folder) => {
    await saveCodec(folder, trainer.codec);
    await saveTensors(join(folder, 'training.safetensors'), codecTrainingTensors(trainer));
    const full: RunState = {
      ...state,
      started: trainer.started,
      optimizerSteps: (await trainer.optimizer.steps.item()) as number,
      discriminatorSteps: ((await trainer.discriminatorOptimizer?.steps.item()) ?? 0) as number,
    };
    await writeJson(join(folder, 'trainer.json'), full);
  });
}

async function restore(trainer: CodecTrainer, folder: string, state: RunState): Promise<void> {
  await readCodecInto(trainer.codec, folder);
  await loadTensors(join(folder, 'training.safetensors'), codecTrainingTensors(trainer));
  trainer.started = state.started;
  trainer.optimizer.setSteps(state.optimizerSteps);
  trainer.discriminatorOptimizer?.setSteps(state.discriminatorSteps);
}

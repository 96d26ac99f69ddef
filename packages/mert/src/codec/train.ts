/** Training a codec: its music, its steps, and the measuring at its end. */
import { join, relative } from 'node:path';
import { openMetricsLog, truncateMetricsLog } from '@dawnchorus/formats';
import type { Tensor } from '@dawnchorus/tensor';
import { stackClips } from '../data/batch.ts';
import { tellMusic } from '../data/collection.ts';
import { type Dataset, dataFolders, openDataset } from '../data/dataset.ts';
import { createFeed } from '../data/feed.ts';
import { lockFolder } from '../lock.ts';
import { differences, saveBeginning } from '../training/beginning.ts';
import { prepareRunFolder } from '../training/checkpoints.ts';
import { createProgress, formatDuration } from '../training/progress.ts';
import { codecReportText, evaluateCodec } from './evaluate.ts';
import { type CodecBeginning, type RunState, readCodecRun, restoreRun, saveRun } from './run-state.ts';
import { CODEC_RATE, type CodecTrainConfig, codecCropSamples } from './train-config.ts';
import {
  type CodecMetrics,
  type CodecTrainer,
  createCodecTrainer,
  disposeTrainingState,
  startCodebooks,
  trainCodecStep,
} from './trainer.ts';
import { startAsTransform } from './transform-start.ts';

/** A training run of a codec: what to train on what, and where to leave it. */
export interface CodecTraining {
  config: CodecTrainConfig;
  /** Music, see `listAudio`. Of what `dataFolders` finds train and valid in, the second is held out. */
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

/** How a run ended. */
export interface CodecTrainingResult {
  step: number;
  finished: boolean;
  /** The folder of the codec, in Hugging Face's layout. */
  checkpoint: string | undefined;
  report: string | undefined;
}

/** What a run hears. */
interface Music {
  /** Folder of the files to learn from, and that of those that are held out, if there are any. */
  train: string;
  valid: string | undefined;
  dataset: Dataset;
  /** The files, by their places in the folder. */
  files: string[];
}

/** Opens a run's music, and says what it is. */
async function openMusic(data: string, config: CodecTrainConfig, log: (line: string) => void): Promise<Music> {
  const { train, valid } = dataFolders(data);
  const cropSamples = codecCropSamples(config);
  const dataset = await openDataset({ folder: train, sampleRate: CODEC_RATE, cropSamples, seed: config.training.seed });
  tellMusic(log, dataset, train, data);
  return { train, valid, dataset, files: dataset.files.map(({ path }) => relative(train, path)) };
}

/** @throws Error when a run goes on with other settings or other music than it was started with. */
function checkUnchanged(out: string, { train, files }: Music, config: CodecTrainConfig, state: RunState): void {
  const changed = differences(config, state.config, /^training\.checkpointEvery$/);
  if (changed.length > 0) {
    throw new Error(`${out}: the run was started with another configuration:\n  ${changed.join('\n  ')}`);
  }
  if (files.join('\n') !== state.files.join('\n')) {
    throw new Error(
      `${train}: not the ${state.files.length} files that this run was started on; it needs the same ones`,
    );
  }
}

const METRICS = 'metrics.jsonl';

/** Clips of a step: [batch] of [samples] each. They depend on the number of the step alone. */
async function readClips(dataset: Dataset, { training }: CodecTrainConfig, step: number): Promise<Float32Array[]> {
  const first = (step - 1) * training.batchSize;
  return Promise.all(Array.from({ length: training.batchSize }, (_, i) => dataset.readCrop(first + i)));
}

/** More clips for k-means, beyond those of the steps before it. */
async function* clipsForKMeans(dataset: Dataset, config: CodecTrainConfig, step: number): AsyncGenerator<Tensor> {
  for (let at = step; ; at++) yield stackClips(await readClips(dataset, config, at));
}

/** What learns, for people. */
function describeTrainer({ codec, discriminator, config }: CodecTrainer): string {
  const { quantizer, training } = config;
  const millions = (count: number) => `${(count / 1e6).toFixed(2)} M`;
  const parameters = codec.encoder.parameterCount() + codec.decoder.parameterCount();
  const judge = discriminator ? `, discriminator ${millions(discriminator.parameterCount())}` : '';
  return (
    `codec: ${millions(parameters)} parameters${judge}; ${quantizer.numCodebooks} codebooks of ` +
    `${quantizer.codebookSize}; ${training.batchSize} clips of ${codecCropSamples(config) / CODEC_RATE} s a step`
  );
}

/** What a step measured, for people. */
function describeStep({ losses, entropies, discriminator }: CodecMetrics, codebookSize: number): string {
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

/** Learns from a step's clips. The codebooks start in the first step that is to have them. */
async function trainOnClips(
  trainer: CodecTrainer,
  dataset: Dataset,
  clips: Float32Array[],
  step: number,
): Promise<CodecMetrics> {
  const { config } = trainer;
  const waveform = stackClips(clips);
  if (!trainer.started && step > config.quantizer.startSteps) {
    await startCodebooks(trainer, clipsForKMeans(dataset, config, step), step);
  }
  const measured = await trainCodecStep(trainer, waveform, step);
  waveform.dispose();
  checkFinite(measured, step);
  return measured;
}

/** What the steps of a run need. */
interface Steps {
  trainer: CodecTrainer;
  dataset: Dataset;
  out: string;
  /** The steps that are done, and the last to do. */
  done: number;
  stopAt: number;
  save(step: number): Promise<void>;
  stopped?(): boolean;
}

/** Does the steps after those that are done, and saves now and then and after the last. @returns the last one. */
async function runSteps({ trainer, dataset, out, done: before, stopAt, save, stopped }: Steps): Promise<number> {
  const { config } = trainer;
  const { batchSize, checkpointEvery } = config.training;
  const metrics = openMetricsLog(join(out, METRICS));
  const progress = createProgress({ label: 'codec', total: stopAt, initial: before });
  const read = (step: number) => readClips(dataset, config, step);
  const feed = createFeed({ first: before + 1, last: stopAt, ahead: 1, read });
  let done = before;
  let saved = before;
  try {
    while (!stopped?.()) {
      const start = performance.now();
      const taken = await feed.take();
      if (!taken) break;
      const step = done + 1;
      const measured = await trainOnClips(trainer, dataset, taken.value, step);
      const seconds = (performance.now() - start) / 1000;
      const clipsPerSecond = batchSize / seconds;
      const { losses, ...rest } = measured;
      metrics.append({ step, ...losses, ...rest, learningRate: trainer.schedule(step), clipsPerSecond, seconds });
      done = step;
      progress.update(
        step,
        `${describeStep(measured, config.quantizer.codebookSize)}  ${clipsPerSecond.toFixed(1)} clips/s`,
      );
      if (checkpointEvery > 0 && step % checkpointEvery === 0) {
        await save(step);
        saved = step;
      }
    }
  } finally {
    progress.end();
    metrics.close();
  }
  if (done > saved) await save(done);
  return done;
}

/**
 * Trains a codec and measures it on held-out tracks. Writes metrics.jsonl, checkpoint/ (a folder that `loadCodec` reads),
 * report.md, report.json and clips/ into `out`. The same configuration, data and seed give the same metrics to the bit on
 * one adapter, also across a stop.
 */
export async function trainCodec(run: CodecTraining): Promise<CodecTrainingResult> {
  const { out, config, data, stopped, log = (line: string) => console.error(line) } = run;
  const resumeFrom = await prepareRunFolder({ ...run, others: [METRICS] }, log);
  const unlock = await lockFolder(out, 'training');
  await using _lock = { [Symbol.asyncDispose]: unlock };
  const state = resumeFrom ? await readCodecRun(resumeFrom) : undefined;
  const stopAt = run.steps ?? config.training.steps;
  const music = await openMusic(data, config, log);
  const { dataset, files } = music;
  if (state) checkUnchanged(out, music, config, state);
  else await saveBeginning<CodecBeginning>(out, { config, data, stopAt });

  const trainer = createCodecTrainer(config);
  using _memory = {
    [Symbol.dispose]() {
      disposeTrainingState(trainer);
      trainer.codec.dispose();
    },
  };
  if (state && resumeFrom) {
    await restoreRun(trainer, resumeFrom, state);
    log(`resuming after step ${state.step}`);
  } else if (config.training.start === 'transform') await startAsTransform(trainer.codec);
  const before = state?.step ?? 0;
  await truncateMetricsLog(join(out, METRICS), before);
  log(describeTrainer(trainer));

  let checkpoint = resumeFrom;
  const save = async (step: number) => {
    checkpoint = await saveRun(out, trainer, { step, stopAt, config, data, files });
  };
  const began = performance.now();
  const done = await runSteps({ trainer, dataset, out, done: before, stopAt, save, stopped });
  if (done < stopAt) {
    log(`stopped after step ${done} of ${stopAt}; saved in ${checkpoint ?? 'nothing yet'}; go on with --resume`);
    return { step: done, finished: false, checkpoint, report: undefined };
  }
  const { train, valid } = music;
  log(
    `trained in ${formatDuration((performance.now() - began) / 1000)}; measuring on ${valid ?? `${train}, nothing is held out`}`,
  );
  const report = await evaluateCodec({ codec: trainer.codec, data: valid ?? train, out });
  return { step: done, finished: true, checkpoint, report: codecReportText(report) };
}

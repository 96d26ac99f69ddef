/** How a student does on music that it never learns from. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { writeAtomically } from '@dawnchorus/formats';
import { cropSamples, frameCount, type PretrainConfig } from '../config/index.ts';
import { prepareBatch, readCrops } from '../data/batch.ts';
import { nameWithin } from '../data/collection.ts';
import type { SkippedFile } from '../data/dataset.ts';
import { PICTURES, picturesOf } from '../seeing/mirror.ts';
import { pngOf, seePrediction } from '../seeing/pictures.ts';
import { type Baselines, heldOutBaselines, type TargetSums } from './baselines.ts';
import { openLabelled, type RunLabels } from './labels.ts';
import type { Losses } from './report.ts';
import { evaluateStep, type Trainer } from './step.ts';
import type { Teachers } from './targets.ts';

/** What the student and trivial guesses score on the held-out music. */
export interface HeldOut {
  losses: Losses;
  baselines: Baselines;
  /** Files of it. */
  files: number;
  /** Files of it that were left out. */
  skipped: readonly SkippedFile[];
}

/** The sums over the training targets so far. */
export async function sumsOf({ statistics }: Trainer): Promise<TargetSums> {
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

/** A run's held-out music. */
export interface Validation {
  /** Files of it. */
  files: number;
  /** The same crops and masks each time. */
  evaluate(trainer: Trainer, teachers: Teachers): Promise<HeldOut>;
  /** Writes the spectrum that the student predicts for the first crop, and once what it is. */
  draw(trainer: Trainer, teachers: Teachers, out: string, step: number): Promise<void>;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Opens the held-out music of a run, if it has any. @throws Error when it cannot be used. */
export async function openValidation(
  folder: string | undefined,
  config: PretrainConfig,
  labels: RunLabels | undefined,
  log: (line: string) => void,
): Promise<Validation | undefined> {
  if (folder === undefined) return undefined;
  const { seed, batchSize } = config.training;
  const samples = cropSamples(config.audio);
  const frames = frameCount(samples, config.model);
  const count = config.validation.batches;
  const dataset = await openLabelled(
    { folder, sampleRate: config.audio.sampleRate, cropSamples: samples, seed },
    labels,
  ).catch((cause: Error) => {
    throw new Error(
      `the held-out music cannot be used: ${cause.message}\nrepair it${labels ? ' or label it, too' : ''}, or give --data what holds the training music alone`,
      { cause },
    );
  });
  let told = 0;
  /** Names the files that were left out since it was asked last. */
  const tell = () => {
    for (const { path, reason } of dataset.skipped.slice(told)) {
      log(`  left out ${nameWithin(folder, path)}, held out: ${reason}`);
    }
    told = dataset.skipped.length;
  };
  tell();
  return {
    files: dataset.files.length,
    [Symbol.asyncDispose]: () => dataset.close(),
    async evaluate(trainer, teachers) {
      const sums = await sumsOf(trainer);
      const losses = { loss: 0, lossRvq: 0, lossCqt: 0, accuracy: 0 };
      const baselines = { labelFrequencyLoss: 0, majorityAccuracy: 0, cqtMeanLoss: 0, cqtZeroLoss: 0, cqtClipLoss: 0 };
      for (let i = 0; i < count; i++) {
        const crops = await readCrops(dataset, i * batchSize, batchSize, labels);
        // All masked frames are hidden here: of one that is kept there would be nothing to predict.
        const { masked, ...hidden } = prepareBatch(crops.clean, config, i, frames, { seed, mixture: false });
        const host = { ...hidden, labels: crops.labels };
        const { metrics, labels: targets, cqt } = await evaluateStep(trainer, teachers, host, config);
        const guesses = { ...heldOutBaselines(sums, targets, cqt), cqtClipLoss: metrics.guessCqtClip ?? Number.NaN };
        for (const key of Object.keys(losses) as (keyof typeof losses)[]) losses[key] += metrics[key] / count;
        for (const key of Object.keys(baselines) as (keyof typeof baselines)[]) baselines[key] += guesses[key] / count;
      }
      tell();
      return { losses, baselines, files: dataset.files.length, skipped: dataset.skipped };
    },
    async draw(trainer, { cqt }, out, step) {
      const { samples: clip } = await dataset.readPlaced(0);
      const scenes = Object.entries(await seePrediction(trainer, cqt, clip, config));
      const known = new Set(picturesOf(out).map(({ name }) => name));
      await mkdir(join(out, PICTURES), { recursive: true });
      for (const [name, scene] of scenes) {
        if (name === 'target' && known.has(name)) continue;
        const { png } = pngOf(scene);
        const path = join(out, PICTURES, `${name}-${String(step).padStart(6, '0')}.png`);
        await writeAtomically(path, [png], { what: 'picture', bytes: png.length });
      }
    },
  };
}

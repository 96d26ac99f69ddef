/** How a student does on music that it never learns from. */
import { cropSamples, frameCount, type PretrainConfig } from '../config/index.ts';
import { prepareBatch, readCrops } from '../data/batch.ts';
import type { Dataset } from '../data/dataset.ts';
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
  /** The same crops and masks each time. */
  evaluate(trainer: Trainer, teachers: Teachers): Promise<HeldOut>;
}

/** Opens the held-out music of a run, if it has any. */
export async function openValidation(
  folder: string | undefined,
  config: PretrainConfig,
  labels: RunLabels | undefined,
): Promise<Validation | undefined> {
  if (folder === undefined) return undefined;
  const { seed, batchSize } = config.training;
  const samples = cropSamples(config.audio);
  const frames = frameCount(samples, config.model);
  const count = config.validation.batches;
  let dataset: Dataset | undefined;
  return {
    async evaluate(trainer, teachers) {
      const options = { folder, sampleRate: config.audio.sampleRate, cropSamples: samples, seed };
      dataset ??= await openLabelled(options, labels);
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
      return { losses, baselines, files: dataset.files.length };
    },
  };
}

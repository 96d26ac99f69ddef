import { type Tensor, tensor } from '@dawnchorus/tensor';
import type { PretrainConfig } from '../config/index.ts';
import type { CropLabels } from '../labels/crops.ts';
import { drawReplacements, type MaskedInput, maskBatch, maskingAt } from '../model/masking.ts';
import { drawMixture, type MixtureDraw } from '../model/mixture.ts';
import { hostRandom, purpose } from '../random.ts';
import type { Dataset } from './dataset.ts';

/** A batch before it goes to the GPU. */
export interface HostBatch {
  /** Clean clips: what the teachers hear. */
  clean: Float32Array[];
  /** What is mixed into each clip, on the GPU, before the student hears it. */
  draws: MixtureDraw[][];
  /** A row of 0 and 1 for each clip, [batch][frames]: the frames to predict. */
  masks: Uint8Array[];
  /** Where not all of them are masked: what stands in for them. */
  masked?: MaskedInput;
  /** What a teacher said of the clean clips, where it was asked before: [batch] of [codebooks, frames]. */
  labels?: Int32Array[];
}

/** Clips of one length on the GPU: f32 [clips, samples]. */
export function stackClips(clips: readonly Float32Array[]): Tensor {
  const length = clips[0].length;
  const data = new Float32Array(clips.length * length);
  for (const [i, clip] of clips.entries()) data.set(clip, i * length);
  return tensor(data, { shape: [clips.length, length] });
}

/**
 * The clips, mixture and masks of a step's batch: all by seed and number, whatever was drawn before. Where a step takes several
 * batches, `part` counts them.
 */
export async function readBatch(
  dataset: Dataset,
  config: PretrainConfig,
  step: number,
  frames: number,
  labels?: CropLabels,
  part = 0,
): Promise<HostBatch> {
  const { batchSize, accumulate, seed } = config.training;
  const first = ((step - 1) * accumulate + part) * batchSize;
  const crops = await readCrops(dataset, first, batchSize, labels);
  return {
    ...prepareBatch(crops.clean, config, step, frames, { seed, mixture: true, part }),
    labels: crops.labels,
  };
}

/** `count` crops from number `first` on, with their labels. */
export async function readCrops(
  dataset: Dataset,
  first: number,
  count: number,
  labels?: CropLabels,
): Promise<{ clean: Float32Array[]; labels: Int32Array[] | undefined }> {
  const crops = await Promise.all(Array.from({ length: count }, (_, i) => dataset.readPlaced(first + i)));
  return {
    clean: crops.map(({ samples }) => samples),
    labels: labels && (await Promise.all(crops.map((crop) => labels.of(crop)))),
  };
}

/** Mixture and masks of given clips, for a step. */
export function prepareBatch(
  clean: Float32Array[],
  config: PretrainConfig,
  step: number,
  frames: number,
  { seed, mixture, part = 0 }: { seed: number; mixture: boolean; part?: number },
): HostBatch {
  // A step of one batch draws what it drew when there were no others.
  const random = (of: number) => hostRandom(seed, of, step, ...(part > 0 ? [part] : []));
  const draws = mixture
    ? drawMixture(random(purpose.mixture), clean.length, clean[0].length, config.mixture)
    : clean.map(() => []);
  const plan = maskingAt(config.masking, step);
  const masks = maskBatch(random(purpose.mask), clean.length, frames, plan);
  const replacing = plan.replace + plan.keep > 0;
  return {
    clean,
    draws,
    masks,
    ...(replacing && { masked: drawReplacements(random(purpose.replacement), masks, plan) }),
  };
}

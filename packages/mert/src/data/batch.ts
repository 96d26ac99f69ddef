import { type Tensor, tensor } from '@dawnchorus/tensor';
import type { PretrainConfig } from '../config/index.ts';
import type { CropLabels } from '../labels/crops.ts';
import { maskBatch } from '../model/masking.ts';
import { drawMixture, mix } from '../model/mixture.ts';
import { hostRandom, purpose } from '../random.ts';
import type { Dataset } from './dataset.ts';

/** A batch before it goes to the GPU. */
export interface HostBatch {
  /** Clean clips: what the teachers hear. */
  clean: Float32Array[];
  /** Mixed and normalised clips: what the student hears. */
  mixed: Float32Array[];
  /** A row of 0 and 1 for each clip, [batch][frames]. */
  masks: Uint8Array[];
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

/** Zero mean and unit variance, as Hugging Face's feature extractor does it before the model. */
export function normaliseWaveform(samples: Float32Array): Float32Array {
  let sum = 0;
  for (const sample of samples) sum += sample;
  const mean = sum / Math.max(1, samples.length);
  let squares = 0;
  for (const sample of samples) squares += (sample - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / Math.max(1, samples.length) + 1e-7);
  return samples.map((sample) => (sample - mean) * scale);
}

/** The clips, mixture and masks of a step: all by (seed, step), whatever was drawn before. */
export async function readBatch(
  dataset: Dataset,
  config: PretrainConfig,
  step: number,
  frames: number,
  labels?: CropLabels,
): Promise<HostBatch> {
  const { batchSize, seed } = config.training;
  const crops = await readCrops(dataset, (step - 1) * batchSize, batchSize, labels);
  return { ...prepareBatch(crops.clean, config, step, frames, { seed, mixture: true }), labels: crops.labels };
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

/** Mixture and masks of given clips. */
export function prepareBatch(
  clean: Float32Array[],
  config: PretrainConfig,
  step: number,
  frames: number,
  { seed, mixture }: { seed: number; mixture: boolean },
): HostBatch {
  const draws = mixture
    ? drawMixture(hostRandom(seed, purpose.mixture, step), clean.length, clean[0].length, config.mixture)
    : clean.map(() => []);
  const mixed = mix(clean, draws, config.mixture.volume).map(normaliseWaveform);
  const masks = maskBatch(hostRandom(seed, purpose.mask, step), clean.length, frames, config.masking);
  return { clean, mixed, masks };
}

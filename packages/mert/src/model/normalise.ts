/** Clips at zero mean and unit variance, as the student hears them. */
import { rsqrt, type Tensor } from '@dawnchorus/tensor';

/** Keeps silence silent: what Hugging Face's feature extractor adds to the variance. */
const EPSILON = 1e-7;

/** Zero mean and unit variance, as Hugging Face's feature extractor does it before the model. */
export function normaliseWaveform(samples: Float32Array): Float32Array {
  let sum = 0;
  for (const sample of samples) sum += sample;
  const mean = sum / Math.max(1, samples.length);
  let squares = 0;
  for (const sample of samples) squares += (sample - mean) ** 2;
  const scale = 1 / Math.sqrt(squares / Math.max(1, samples.length) + EPSILON);
  return samples.map((sample) => (sample - mean) * scale);
}

/**
 * Zero mean and unit variance of each clip, as `normaliseWaveform` does it on the host: [batch, samples] -> the same.
 *
 * @param epsilon - added to variances.
 */
export function normaliseOnDevice(clips: Tensor, epsilon = EPSILON): Tensor {
  const centred = clips.sub(clips.mean({ dim: 1, keepdim: true }));
  return centred.mul(rsqrt(centred.square().mean({ dim: 1, keepdim: true }).add(epsilon)));
}

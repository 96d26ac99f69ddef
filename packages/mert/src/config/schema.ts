/**
 * The pretraining configuration: sections, fields, units and defaults. The defaults are the published values of
 * MERT-95M (Li et al. 2024, arXiv 2306.00107, and its training configuration), so an empty file is valid.
 */
import { z } from 'zod';

const count = () => z.int().positive();
const rate = () => z.number().min(0).lt(1);
const perLayer = () => z.array(count()).length(7);
const range = () => z.tuple([count(), count()]);

const audio = z.strictObject({
  sampleRate: z
    .int()
    .refine((hertz) => hertz === 24000, {
      error: 'must be 24000 Hz, the rate the teachers work at (resample the audio)',
    })
    .default(24000)
    .describe('Hz'),
  cropSeconds: z.number().positive().default(5).describe('length of the random crop of each clip, seconds'),
});

const model = z.strictObject({
  hiddenSize: count().default(768).describe('width of the transformer'),
  numHiddenLayers: count().default(12).describe('transformer layers'),
  numAttentionHeads: count().default(12).describe('attention heads; must divide hiddenSize'),
  intermediateSize: count().default(3072).describe('width inside the feed-forward blocks'),
  convDim: perLayer().default([512, 512, 512, 512, 512, 512, 512]).describe('output channels of the 7 convolutions'),
  convKernel: perLayer()
    .default([10, 3, 3, 3, 3, 2, 2])
    .describe('kernel sizes of the 7 convolutions, in their input samples'),
  convStride: perLayer()
    .default([5, 2, 2, 2, 2, 2, 2])
    .describe('strides of the 7 convolutions; their product must be 320'),
  convBias: z.boolean().default(false).describe('whether the convolutions have a bias'),
  featExtractNorm: z
    .enum(['group', 'layer'])
    .default('group')
    .describe('group: each channel over time, after the first convolution only; layer: over channels, after each'),
  numConvPosEmbeddings: count().default(128).describe('kernel size of the positional convolution, frames'),
  numConvPosEmbeddingGroups: count()
    .default(16)
    .describe('groups of the positional convolution; must divide hiddenSize'),
  doStableLayerNorm: z
    .boolean()
    .default(false)
    .describe('true: layer norm before each block (pre-LN); false: after it (post-LN)'),
  hiddenDropout: rate()
    .default(0.1)
    .describe('dropout after attention, feed-forward and positional convolution, probability'),
  attentionDropout: rate().default(0.1).describe('dropout of attention weights, probability'),
  activationDropout: rate().default(0).describe('dropout inside the feed-forward blocks, probability'),
  featProjDropout: rate().default(0.1).describe('dropout after the feature projection, probability'),
  layerdrop: rate().default(0.05).describe('probability of skipping a transformer layer in training'),
  layerNormEps: z.number().positive().default(1e-5).describe('epsilon of every layer norm'),
  finalDim: count().default(64).describe('width of the projections that are compared with codebook entries'),
  logitTemperature: z.number().positive().default(0.1).describe('divisor of the cosine similarities'),
  featureGradMult: z.number().min(0).default(0.1).describe('factor on the gradient that enters the convolutions'),
});

const masking = z.strictObject({
  probability: z
    .number()
    .min(0)
    .max(1)
    .default(0.8)
    .describe('share of frames that spans would cover if none overlapped'),
  length: count().default(5).describe('length of a masked span, frames of 1/75 s'),
  minMasks: z.int().min(0).default(2).describe('least number of spans in a clip'),
});

const loss = z.strictObject({
  cqtWeight: z.number().min(0).default(1).describe('factor on the mean squared error of the constant-Q spectrum'),
  featurePenaltyWeight: z
    .number()
    .min(0)
    .default(10)
    .describe('factor on the mean square of the convolutional features'),
});

const mixture = z.strictObject({
  probability: z
    .number()
    .min(0)
    .max(1)
    .default(0.5)
    .describe('probability that parts of other clips are mixed into a clip'),
  numberRange: range().default([1, 3]).describe('least and greatest number of parts mixed into a clip'),
  lengthRange: range().default([12000, 24000]).describe('shortest and longest part, samples'),
  volume: z.number().positive().default(1).describe('amplitude factor on the parts'),
});

const rvq = z.strictObject({
  numCodebooks: count().default(8).describe('codebooks, each quantising what the ones before it left over'),
  codebookSize: z.int().min(2).default(1024).describe('entries of a codebook'),
  dimension: count().default(128).describe('width of a codebook entry'),
  channels: count().default(32).describe('channels of the first convolution of the autoencoder'),
  steps: count().default(600000).describe('optimiser steps of its training'),
  batchSize: count().default(64).describe('crops in a step'),
  cropSeconds: z.number().positive().default(1).describe('length of a training crop, seconds'),
  learningRate: z.number().positive().default(3e-4).describe('learning rate of Adam'),
  decay: z.number().gt(0).lt(1).default(0.99).describe('decay of the moving averages that the codebook entries follow'),
  deadCodeThreshold: z
    .number()
    .min(0)
    .default(2)
    .describe('entries used less than this, on average a step, are drawn anew'),
  commitmentWeight: z.number().min(0).default(1).describe('factor on the commitment loss'),
});

const optimizer = z.strictObject({
  learningRate: z
    .number()
    .positive()
    .default(5e-4)
    .describe('learning rate at the end of the warm-up; then it falls linearly to 0'),
  betas: z.tuple([rate(), rate()]).default([0.9, 0.98]).describe('decays of the first and second moment of AdamW'),
  eps: z.number().positive().default(1e-6).describe('epsilon of AdamW'),
  weightDecay: z.number().min(0).default(0.01).describe('decoupled weight decay'),
  clipNorm: z.number().positive().default(10).describe('greatest norm of the gradient of all parameters together'),
  warmupSteps: z.int().min(0).default(32000).describe('steps over which the learning rate rises from 0'),
});

const training = z.strictObject({
  steps: count().default(400000).describe('optimiser steps'),
  batchSize: count().default(16).describe('clips in a step on one device'),
  seed: z.int().min(0).max(0xffffffff).default(1337).describe('seed of every random draw, 32 bits'),
  precision: z
    .enum(['f32', 'f16'])
    .default('f32')
    .describe('what the student computes in; f16 keeps f32 masters and scales the loss'),
  lossScale: z
    .number()
    .positive()
    .max(2 ** 24)
    .default(128)
    .describe('with f16: what the loss is multiplied by at first; an overflow halves it'),
  lossScaleInterval: count()
    .default(256)
    .describe('with f16: steps without overflow after which the loss scale doubles'),
  checkpointEvery: z.int().min(0).default(25000).describe('steps between checkpoints; 0: only at the end'),
});

/** The sections by name, each a strict object whose fields all have defaults. */
export const sections = { audio, model, masking, loss, mixture, rvq, optimizer, training };

/** Fills in defaults; refuses unknown keys. Checks across fields are in checks.ts. */
export const configSchema = z.strictObject({
  audio: audio.prefault({}),
  model: model.prefault({}),
  masking: masking.prefault({}),
  loss: loss.prefault({}),
  mixture: mixture.prefault({}),
  rvq: rvq.prefault({}),
  optimizer: optimizer.prefault({}),
  training: training.prefault({}),
});

/** A whole checked configuration: audio, model, teachers, masking, mixture, training. */
export type PretrainConfig = z.output<typeof configSchema>;
/** The student's part of a configuration. */
export type ModelConfig = PretrainConfig['model'];

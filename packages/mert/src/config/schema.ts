/**
 * The pretraining configuration: sections, fields, units and defaults. The defaults are the published values of
 * MERT-95M (Li et al. 2024, arXiv 2306.00107, and its training configuration), so an empty file is valid.
 */
import { z } from 'zod';

const count = () => z.int().positive();
/** A size, with room far beyond what is trained: one that is mistyped is told before memory runs out. */
const size = (most: number) => count().max(most);
const rate = () => z.number().min(0).lt(1);
const perLayer = () => z.array(size(16384)).length(7);
const range = () => z.tuple([count(), count()]);

const audio = z.strictObject({
  sampleRate: z
    .int()
    .refine((hertz) => hertz === 24000 || hertz === 16000, {
      error:
        'must be 24000 Hz (75 frames a second) or 16000 Hz (50), as the published models have it (resample the audio)',
    })
    .default(24000)
    .describe('Hz; a frame takes 320 samples'),
  cropSeconds: z.number().positive().max(3600).default(5).describe('length of the random crop of each clip, seconds'),
});

const model = z.strictObject({
  hiddenSize: size(16384).default(768).describe('width of the transformer'),
  numHiddenLayers: size(512).default(12).describe('transformer layers'),
  numAttentionHeads: size(1024).default(12).describe('attention heads; must divide hiddenSize'),
  intermediateSize: size(65536).default(3072).describe('width inside the feed-forward blocks'),
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
  numConvPosEmbeddings: size(4096).default(128).describe('kernel size of the positional convolution, frames'),
  numConvPosEmbeddingGroups: size(16384)
    .default(16)
    .describe('groups of the positional convolution; must divide hiddenSize'),
  doStableLayerNorm: z
    .boolean()
    .default(false)
    .describe('true: layer norm before each block (pre-LN); false: after it (post-LN)'),
  deepnorm: z.boolean().default(false).describe('post-LN with residuals and first weights scaled by depth (DeepNorm)'),
  attentionRelax: z
    .number()
    .default(-1)
    .describe(
      'c of softmax((q/(c sqrt d) k - max) c), which keeps scores of halves small; -1: none; published for 330M: 32',
    ),
  featureExtractorCqt: z
    .boolean()
    .default(false)
    .describe('whether the constant-Q spectrum of what is heard joins the convolutional features'),
  featureExtractorCqtBins: count().default(336).describe('its bins, 48 an octave from 32.7 Hz'),
  hiddenDropout: rate()
    .default(0.1)
    .describe('dropout after attention, feed-forward and positional convolution, probability'),
  attentionDropout: rate().default(0.1).describe('dropout of attention weights, probability'),
  activationDropout: rate().default(0).describe('dropout inside the feed-forward blocks, probability'),
  featProjDropout: rate().default(0.1).describe('dropout after the feature projection, probability'),
  layerdrop: rate().default(0.05).describe('probability of skipping a transformer layer in training'),
  layerNormEps: z.number().positive().default(1e-5).describe('epsilon of every layer norm, but 1e-5 in the extractor'),
  finalDim: size(16384).default(64).describe('width of the projections that are compared with codebook entries'),
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
  length: count().default(5).describe('length of a masked span, frames of 320 samples'),
  minMasks: z.int().min(0).default(2).describe('least number of spans in a clip'),
  replace: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('share of the masked frames that another frame stands in for, not the learnt mask, in training'),
  replaceFrom: z
    .enum(['sample', 'batch'])
    .default('sample')
    .describe('where such frames come from: the same clip, or any of the batch'),
  keep: z
    .number()
    .min(0)
    .max(1)
    .default(0)
    .describe('share of the masked frames that are heard all the same, in training'),
  schedule: z
    .array(
      z.strictObject({
        fromStep: z.int().min(1).describe('first step it holds for'),
        probability: z.number().min(0).max(1).optional(),
        length: count().optional(),
      }),
    )
    .default([])
    .describe('other probabilities and lengths from some steps on, in the order of steps'),
});

const targets = z.strictObject({
  classes: z
    .array(z.int().min(2).max(65536))
    .default([])
    .describe(
      'classes of each set of labels, e.g. [300, 200]; empty: those of the acoustic teacher, or of given labels',
    ),
  specialClasses: z
    .int()
    .min(0)
    .default(4)
    .describe('classes in front of the codes that never occur, as fairseq’s dictionaries have them'),
  cqtNormalize: z
    .boolean()
    .default(false)
    .describe(
      'whether the constant-Q target is of the clip at zero mean and unit variance, as the student hears it; published: false',
    ),
  melBins: size(4096).default(84).describe('bands of the mel spectrum that loss.melWeight asks for'),
});

const loss = z.strictObject({
  cqtWeight: z.number().min(0).default(1).describe('factor on the mean squared error of the constant-Q spectrum'),
  melWeight: z
    .number()
    .min(0)
    .default(0)
    .describe('factor on the mean squared error of the standardised log-mel spectrum; 0: no such head'),
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
  snr: z
    .tuple([z.number(), z.number()])
    .nullable()
    .default(null)
    .describe(
      'least and greatest level of a clip over its part, dB, as in WavLM: one part each, scaled; null: volume as it is',
    ),
});

const rvq = z.strictObject({
  numCodebooks: size(1024).default(8).describe('codebooks, each quantising what the ones before it left over'),
  codebookSize: z.int().min(2).max(65536).default(1024).describe('entries of a codebook'),
  dimension: size(16384).default(128).describe('width of a codebook entry'),
  channels: size(16384).default(32).describe('channels of the first convolution of the autoencoder'),
  steps: count().default(600000).describe('optimiser steps of its training'),
  batchSize: size(65536).default(64).describe('crops in a step'),
  cropSeconds: z.number().positive().max(3600).default(1).describe('length of a training crop, seconds'),
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
    .describe('learning rate at the end of the warm-up; then it falls to endLearningRate, linearly if decayPower is 1'),
  betas: z.tuple([rate(), rate()]).default([0.9, 0.98]).describe('decays of the first and second moment of AdamW'),
  eps: z.number().positive().default(1e-6).describe('epsilon of AdamW'),
  weightDecay: z.number().min(0).default(0.01).describe('decoupled weight decay'),
  clipNorm: z.number().positive().default(10).describe('greatest norm of the gradient of all parameters together'),
  warmupSteps: z.int().min(0).default(32000).describe('steps over which the learning rate rises from 0'),
  decayPower: z.number().positive().default(1).describe('power of the decay after the warm-up; 1: linear'),
  endLearningRate: z.number().min(0).default(0).describe('learning rate after the last step'),
});

const training = z.strictObject({
  steps: count().default(400000).describe('optimiser steps'),
  batchSize: size(65536).default(16).describe('clips that go through the student at once'),
  accumulate: size(65536).default(1).describe('such batches in one step of the optimiser'),
  checkpointActivations: z
    .boolean()
    .default(false)
    .describe(
      'transformer layers keep only their input and are computed again for the backward pass: less memory, a third more time',
    ),
  compile: z
    .enum(['auto', 'always', 'never'])
    .default('auto')
    .describe(
      'whether a step is compiled into one plan; auto: on GPUs, but not on CPU drivers, whose compilers take minutes',
    ),
  ema: z
    .number()
    .min(0)
    .lt(1)
    .default(0)
    .describe('decay of averaged weights, saved as a model of their own, checkpoint/ema; 0: none'),
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
});

const checkpoint = z.strictObject({
  every: z.int().min(0).default(25000).describe('steps between checkpoints; 0: only at the end'),
  keepLast: count().default(1).describe('how many of the latest are kept'),
  keepEvery: z.int().min(0).default(0).describe('those of steps that are multiples of this are kept for good; 0: none'),
  keepBest: z.boolean().default(false).describe('whether the one with the least held-out loss is kept'),
});

const validation = z.strictObject({
  every: z.int().min(0).default(0).describe('steps between evaluations on the held-out music; 0: only at the end'),
  batches: count().default(6).describe('batches of each'),
});

const monitor = z.strictObject({
  every: z
    .int()
    .min(0)
    .default(1)
    .describe('steps between lines of metrics.jsonl that also say what each layer does; 0: none do'),
  attention: z.boolean().default(true).describe('whether the largest attention logit of each layer is among it'),
  attentionClips: count().default(1).describe('of how many of the clips of a batch that is, the first ones'),
});

const divergence = z.strictObject({
  rollback: z
    .boolean()
    .default(true)
    .describe('whether a diverged run goes back to its last good checkpoint or its start, or ends'),
  lossFactor: z
    .number()
    .gt(1)
    .default(2)
    .describe('a loss this many times its running mean counts as diverged, for `patience` steps on end'),
  gradNormFactor: z.number().gt(1).default(1000).describe('the same of the norm of the gradients'),
  patience: count().default(20).describe('steps on end that must be bad'),
  afterSteps: z.int().min(0).default(50).describe('steps in which the means are learnt and nothing counts as diverged'),
  minLossScale: z.number().positive().default(1e-4).describe('with f16: a loss scale below this counts as diverged'),
  rateFactor: z.number().gt(0).lt(1).default(0.5).describe('what the learning rate is multiplied by after each return'),
  maxRollbacks: z.int().min(0).default(3).describe('returns after which the run ends with an error'),
});

/** The sections by name, each a strict object whose fields all have defaults. */
export const sections = {
  audio,
  model,
  masking,
  targets,
  loss,
  mixture,
  rvq,
  optimizer,
  training,
  checkpoint,
  validation,
  monitor,
  divergence,
};

/** Fills in defaults; refuses unknown keys. Checks across fields are in checks.ts. */
export const configSchema = z.strictObject({
  audio: audio.prefault({}),
  model: model.prefault({}),
  masking: masking.prefault({}),
  targets: targets.prefault({}),
  loss: loss.prefault({}),
  mixture: mixture.prefault({}),
  rvq: rvq.prefault({}),
  optimizer: optimizer.prefault({}),
  training: training.prefault({}),
  checkpoint: checkpoint.prefault({}),
  validation: validation.prefault({}),
  monitor: monitor.prefault({}),
  divergence: divergence.prefault({}),
});

/** A whole checked configuration: audio, model, teachers, masking, mixture, training. */
export type PretrainConfig = z.output<typeof configSchema>;
/** The student's part of a configuration. */
export type ModelConfig = PretrainConfig['model'];

/** The configuration of `mert codec train`. The defaults are audiocraft's training of EnCodec at 24 kHz. */
import { z } from 'zod';
import { type ConfigKind, type ConfigSources, loadKind, presetsOf } from '../config/load.ts';
import { codecSchema, hopLength } from './config.ts';
import { transformProblem } from './transform-start.ts';

const count = () => z.int().positive();
const share = () => z.number().min(0).max(1);

const { sampleRate, numCodebooks, codebookSize, ...network } = codecSchema.shape;
const model = z.strictObject(network);

const quantizer = z.strictObject({
  numCodebooks,
  codebookSize,
  dropout: z
    .boolean()
    .default(true)
    .describe('whether each step uses a random number of codebooks, from 1 to all of them'),
  startSteps: z
    .int()
    .min(0)
    .default(0)
    .describe('steps that train the network alone, before k-means starts the codebooks on its latents'),
  kmeansIterations: count().default(50).describe('iterations of that k-means'),
  kmeansRows: count().default(8).describe('latent vectors that it sees for each entry of a codebook'),
  decay: z.number().gt(0).lt(1).default(0.99).describe('decay of the moving averages that the entries follow'),
  deadCodeThreshold: z
    .number()
    .min(0)
    .default(2)
    .describe('entries used less than this, on average a step, are drawn anew; 0: never, as the published code does'),
});

const loss = z.strictObject({
  l1: z.number().min(0).default(0.1).describe('weight of the mean absolute error of the waveform; 0: off'),
  mel: z.number().min(0).default(2).describe('weight of the multi-scale mel loss; 0: off'),
  adversarial: z.number().min(0).default(4).describe('weight of what the discriminator says; 0: off'),
  feature: z.number().min(0).default(4).describe('weight of the match of the discriminator’s features; 0: off'),
  commitment: z.number().min(0).default(1).describe('weight of the commitment loss, outside the balancer; 0: off'),
  balancer: z
    .boolean()
    .default(true)
    .describe('whether weights are shares of the gradient (the loss balancer), or factors of the losses'),
  balancerDecay: z.number().min(0).lt(1).default(0.999).describe('decay of the balancer’s means of gradient norms'),
  melScales: z
    .array(z.int().min(4).max(14))
    .min(1)
    .default([6, 7, 8, 9, 10])
    .describe('the mel loss has frames of 2^i samples for each of these'),
  melBins: count().default(64).describe('mel filters at each scale'),
  melAlphas: z
    .enum(['one', 'root'])
    .default('one')
    .describe('weight of the logarithmic part at each scale: 1, or the root of 2^i - 1'),
  adversarialForm: z
    .enum(['linear', 'relu'])
    .default('linear')
    .describe('linear: -D (audiocraft); relu: max(0, 1 - D) (the paper)'),
  relativeFeatures: z
    .boolean()
    .default(false)
    .describe('whether feature differences are divided by the real features’ size (the paper)'),
});

const discriminator = z.strictObject({
  filters: count().default(32).describe('channels of its convolutions'),
  nFfts: z
    .array(z.int().min(16))
    .min(1)
    .default([2048, 1024, 512, 256, 128])
    .describe('samples of a frame at each scale'),
  slope: z.number().min(0).lt(1).default(0.3).describe('slope of its leaky rectifiers below zero'),
  updateProbability: share().default(1).describe('how often it learns; the paper says 2/3 at 24 kHz'),
  startStep: z.int().min(0).default(0).describe('steps before it joins'),
});

const optimizer = z.strictObject({
  learningRate: z.number().positive().default(3e-4).describe('learning rate of codec and discriminator'),
  betas: z.tuple([share(), share()]).default([0.5, 0.9]).describe('decays of the first and second moment of Adam'),
  eps: z.number().positive().default(1e-8).describe('epsilon of Adam'),
  clipNorm: z.number().min(0).default(0).describe('greatest norm of the codec’s gradient; 0: any'),
  warmupSteps: z.int().min(0).default(0).describe('steps over which the learning rate rises from 0'),
  decay: z.boolean().default(false).describe('whether the learning rate then falls linearly, to a tenth at the end'),
});

const training = z.strictObject({
  steps: count().default(400000).describe('optimiser steps'),
  batchSize: count().default(64).describe('crops in a step'),
  cropSeconds: z.number().positive().default(1).describe('length of a crop, seconds'),
  start: z
    .enum(['random', 'transform'])
    .default('random')
    .describe('what the network starts as: random weights, or a cosine transform of blocks and its inverse'),
  seed: z.int().min(0).max(0xffffffff).default(1337).describe('seed of every random draw, 32 bits'),
  checkpointEvery: z.int().min(0).default(2000).describe('steps between checkpoints; 0: only at the end'),
});

export const codecSections = { model, quantizer, loss, discriminator, optimizer, training };

/** Fills in defaults; refuses unknown keys. */
export const codecTrainSchema = z.strictObject({
  model: model.prefault({}),
  quantizer: quantizer.prefault({}),
  loss: loss.prefault({}),
  discriminator: discriminator.prefault({}),
  optimizer: optimizer.prefault({}),
  training: training.prefault({}),
});

/** Everything that decides what a training run of a codec does. */
export type CodecTrainConfig = z.output<typeof codecTrainSchema>;

/** Samples a second: the teachers' rate. */
export const CODEC_RATE = 24000;

/** Samples of a training crop: whole codes. */
export function codecCropSamples({ model, training }: CodecTrainConfig): number {
  const hop = hopLength(model as Parameters<typeof hopLength>[0]);
  return Math.round((training.cropSeconds * CODEC_RATE) / hop) * hop;
}

/** Whether there is a discriminator. */
export const isAdversarial = ({ loss }: CodecTrainConfig): boolean => loss.adversarial > 0 || loss.feature > 0;

const kind: ConfigKind<CodecTrainConfig> = {
  schema: codecTrainSchema,
  sections: codecSections,
  presetFolder: 'configs/codec',
  crossChecks: [
    {
      paths: [
        ['loss', 'l1'],
        ['loss', 'mel'],
        ['loss', 'adversarial'],
        ['loss', 'feature'],
      ],
      problem: ({ loss }) =>
        loss.l1 + loss.mel + loss.adversarial + loss.feature > 0
          ? undefined
          : 'all losses of the waveform are off; give one of loss.l1, mel, adversarial and feature a weight',
    },
    {
      paths: [
        ['training', 'cropSeconds'],
        ['loss', 'melScales'],
        ['discriminator', 'nFfts'],
      ],
      problem: (config) => {
        const samples = codecCropSamples(config);
        const longest = Math.max(
          config.loss.mel > 0 ? 2 ** Math.max(...config.loss.melScales) : 0,
          isAdversarial(config) ? Math.max(...config.discriminator.nFfts) : 0,
        );
        return samples > longest
          ? undefined
          : `a crop of ${samples} samples is not longer than the longest frame of the losses, ${longest}; take longer crops`;
      },
    },
    {
      paths: [
        ['training', 'start'],
        ['model', 'numFilters'],
        ['model', 'upsamplingRatios'],
      ],
      problem: ({ training, model }) => (training.start === 'transform' ? transformProblem(model) : undefined),
    },
    {
      paths: [
        ['quantizer', 'startSteps'],
        ['training', 'steps'],
      ],
      problem: ({ quantizer, training }) =>
        quantizer.startSteps < training.steps
          ? undefined
          : `quantizer.startSteps (${quantizer.startSteps}) leaves no steps of the ${training.steps} for the codebooks`,
    },
  ],
};

/** Reads a configuration for training a codec, as `loadConfig` reads one for pretraining. */
export const loadCodecTrainConfig = (sources: ConfigSources = {}): CodecTrainConfig => loadKind(kind, sources);

/** Names of the presets for training codecs. */
export const codecPresets = (): string[] => presetsOf(kind);

/** What must hold between fields of a configuration. */
import type { ModelConfig, PretrainConfig } from './schema.ts';

export type Path = readonly PropertyKey[];

export type CrossCheck<C = PretrainConfig> = {
  /** The fields it compares; a problem is reported at the first that was set. */
  paths: Path[];
  /** What is wrong, what was expected and what to do; undefined if nothing is wrong. */
  problem(config: C): string | undefined;
};

/** Samples that one frame of the teachers takes, at 24000 Hz (75 a second) and at 16000 Hz (50). */
export const frameLength = 320;

/** Elements of a head that the kernels of attention take. */
export const LARGEST_HEAD = 128;

export const crossChecks: CrossCheck[] = [
  divides('numAttentionHeads'),
  {
    paths: [
      ['model', 'numAttentionHeads'],
      ['model', 'hiddenSize'],
    ],
    problem: ({ model: { hiddenSize, numAttentionHeads } }) =>
      unless(
        hiddenSize / numAttentionHeads <= LARGEST_HEAD,
        `${numAttentionHeads} heads of ${hiddenSize / numAttentionHeads} elements; attention is there for 1 to ${LARGEST_HEAD}: take more heads`,
      ),
  },
  divides('numConvPosEmbeddingGroups'),
  {
    paths: [['model', 'convStride']],
    problem: ({ model: { convStride } }) => {
      const product = convStride.reduce((a, b) => a * b, 1);
      return unless(
        product === frameLength,
        `the strides must multiply to ${frameLength}, the samples of a frame of the teachers; [${convStride}] gives ${product}`,
      );
    },
  },
  {
    paths: [
      ['audio', 'cropSeconds'],
      ['masking', 'length'],
      ['model', 'convKernel'],
      ['model', 'convStride'],
    ],
    problem: ({ audio, model, masking }) => {
      const frames = frameCount(cropSamples(audio), model);
      return unless(
        frames > masking.length,
        `a crop of ${audio.cropSeconds} s has ${frames} frames, expected more than masking.length (${masking.length}); ` +
          'take longer crops or shorter masks',
      );
    },
  },
  {
    paths: [
      ['masking', 'minMasks'],
      ['masking', 'length'],
      ['audio', 'cropSeconds'],
    ],
    problem: ({ audio, model, masking }) => {
      const frames = frameCount(cropSamples(audio), model);
      return unless(
        masking.minMasks * masking.length < frames || frames <= masking.length,
        `masking.minMasks (${masking.minMasks}) spans of masking.length (${masking.length}) could cover all ${frames} frames of a crop; ` +
          'lower one of them or take longer crops',
      );
    },
  },
  {
    paths: [
      ['model', 'deepnorm'],
      ['model', 'doStableLayerNorm'],
    ],
    problem: ({ model }) =>
      unless(
        !(model.deepnorm && model.doStableLayerNorm),
        'DeepNorm is a form of post-LN; set model.doStableLayerNorm to false, or model.deepnorm',
      ),
  },
  {
    paths: [['model', 'attentionRelax']],
    problem: ({ model: { attentionRelax } }) =>
      unless(
        attentionRelax === -1 || attentionRelax > 0,
        `model.attentionRelax is ${attentionRelax}; expected a number above 0, 32 as published, or -1 for none`,
      ),
  },
  {
    paths: [
      ['masking', 'replace'],
      ['masking', 'keep'],
    ],
    problem: ({ masking: { replace, keep } }) =>
      unless(
        replace + keep <= 1,
        `masking.replace (${replace}) and masking.keep (${keep}) are shares of the same frames; lower one`,
      ),
  },
  {
    paths: [
      ['masking', 'schedule'],
      ['audio', 'cropSeconds'],
    ],
    problem: ({ audio, model, masking: { schedule, minMasks } }) => {
      const frames = frameCount(cropSamples(audio), model);
      const unordered = schedule.findIndex(({ fromStep }, i) => i > 0 && fromStep <= schedule[i - 1].fromStep);
      if (unordered >= 0) {
        return `entry ${unordered + 1} begins at step ${schedule[unordered].fromStep}, not after the one before it; order them by fromStep`;
      }
      const long = schedule.find(({ length = 0 }) => length >= frames || (length > 0 && minMasks * length >= frames));
      return unless(!long, `a mask of ${long?.length} frames could cover all ${frames} of a crop; shorten it`);
    },
  },
  {
    paths: [['mixture', 'snr']],
    problem: ({ mixture: { snr } }) =>
      unless(!snr || snr[0] <= snr[1], `[${snr}] must be [least, greatest]; swap the two`),
  },
  {
    paths: [
      ['checkpoint', 'keepBest'],
      ['validation', 'every'],
    ],
    problem: ({ checkpoint, validation }) =>
      unless(
        !checkpoint.keepBest || validation.every > 0,
        'the best checkpoint is that of the least held-out loss; set validation.every, too',
      ),
  },
  {
    paths: [
      ['optimizer', 'endLearningRate'],
      ['optimizer', 'learningRate'],
    ],
    problem: ({ optimizer: { endLearningRate, learningRate } }) =>
      unless(
        endLearningRate <= learningRate,
        `optimizer.endLearningRate (${endLearningRate}) must be at most optimizer.learningRate (${learningRate})`,
      ),
  },
  ascending('numberRange'),
  ascending('lengthRange'),
  {
    paths: [
      ['mixture', 'lengthRange'],
      ['audio', 'cropSeconds'],
      ['mixture', 'probability'],
    ],
    problem: ({ audio, mixture }) =>
      unless(
        mixture.probability === 0 || mixture.lengthRange[1] <= cropSamples(audio),
        `mixture.lengthRange goes up to ${mixture.lengthRange[1]} samples, but a crop of ${audio.cropSeconds} s has ` +
          `${cropSamples(audio)}; shorten the range or take longer crops`,
      ),
  },
  {
    paths: [
      ['training', 'batchSize'],
      ['mixture', 'probability'],
    ],
    problem: ({ training, mixture }) =>
      unless(
        training.batchSize > 1 || mixture.probability === 0,
        'a batch of one clip has no other clips to mix in; set mixture.probability to 0 or training.batchSize to 2 or more',
      ),
  },
  {
    paths: [['rvq', 'cropSeconds']],
    problem: ({ audio, rvq }) =>
      unless(
        rvq.cropSeconds * audio.sampleRate >= frameLength,
        `a crop of ${rvq.cropSeconds} s is shorter than one code of ${frameLength} samples; take longer crops`,
      ),
  },
  {
    paths: [
      ['optimizer', 'warmupSteps'],
      ['training', 'steps'],
    ],
    problem: ({ optimizer, training }) =>
      unless(
        optimizer.warmupSteps <= training.steps,
        `optimizer.warmupSteps (${optimizer.warmupSteps}) must be at most training.steps (${training.steps}); lower it or train longer`,
      ),
  },
];

/** Samples of a training crop. */
export function cropSamples(audio: PretrainConfig['audio']): number {
  return Math.round(audio.cropSeconds * audio.sampleRate);
}

/** Frames that the convolutions, which do not pad, make of `samples` samples; 0 if they are too few. */
export function frameCount(samples: number, model: Pick<ModelConfig, 'convKernel' | 'convStride'>): number {
  return model.convKernel.reduce(
    (length, kernel, layer) => Math.max(0, Math.floor((length - kernel) / model.convStride[layer]!) + 1),
    samples,
  );
}

function divides(divisor: 'numAttentionHeads' | 'numConvPosEmbeddingGroups'): CrossCheck {
  return {
    paths: [
      ['model', divisor],
      ['model', 'hiddenSize'],
    ],
    problem: ({ model }) =>
      unless(
        model.hiddenSize % model[divisor] === 0,
        `model.hiddenSize (${model.hiddenSize}) must be a multiple of model.${divisor} (${model[divisor]})`,
      ),
  };
}

function ascending(field: 'numberRange' | 'lengthRange'): CrossCheck {
  return {
    paths: [['mixture', field]],
    problem: ({ mixture }) =>
      unless(mixture[field][0] <= mixture[field][1], `[${mixture[field]}] must be [least, greatest]; swap the two`),
  };
}

function unless(holds: boolean, problem: string): string | undefined {
  return holds ? undefined : problem;
}

/** How many numbers a model of a configuration learns, without making it. */
import { frameLength } from './checks.ts';
import type { ModelConfig, PretrainConfig } from './schema.ts';

/** Bins of the constant-Q spectrum that is predicted: 7 octaves of 48. */
export const CQT_BINS = 336;

/** Settings of the constant-Q transform at a rate (nnAudio's CQT1992v2 as MERT calls it): a spectrum a frame. */
export const cqtSettingsAt = (sampleRate: number) => ({
  sampleRate,
  hopLength: frameLength,
  fMin: 32.7,
  bins: CQT_BINS,
  binsPerOctave: 48,
});

/** Parameters by part. */
export interface ParameterCounts {
  /** What a checkpoint for others holds: convolutions, projection, positional convolution, transformer, mask. */
  encoder: number;
  /** Encoder and heads. */
  pretraining: number;
  parts: {
    convolutions: number;
    projection: number;
    positionalConvolution: number;
    layer: number;
    layers: number;
    encoderNorm: number;
    mask: number;
    codeProjection: number;
    codeEmbeddings: number;
    cqtHead: number;
    melHead: number;
  };
}

/** Classes of each set of labels that the student predicts, without those in front that never occur. */
export function classesOf({ targets, rvq }: Pick<PretrainConfig, 'targets' | 'rvq'>): number[] {
  return targets.classes.length > 0 ? targets.classes : Array(rvq.numCodebooks).fill(rvq.codebookSize);
}

/** Channels that go into the projection. */
export const projectedChannels = (model: ModelConfig): number =>
  model.convDim[model.convDim.length - 1] + (model.featureExtractorCqt ? model.featureExtractorCqtBins : 0);

/** Counts the parameters of a configuration. */
export function countParameters(config: Pick<PretrainConfig, 'model' | 'targets' | 'rvq' | 'loss'>): ParameterCounts {
  const { model, targets, loss } = config;
  const { hiddenSize: width, intermediateSize: inner, convDim, convKernel } = model;
  const linear = (from: number, to: number) => from * to + to;
  const norm = (features: number) => 2 * features;
  const convolutions = convDim.reduce((sum, channels, i) => {
    const weights = channels * (i === 0 ? 1 : convDim[i - 1]) * convKernel[i];
    const normed = model.featExtractNorm === 'layer' || i === 0;
    return sum + weights + (model.convBias ? channels : 0) + (normed ? norm(channels) : 0);
  }, 0);
  const channels = projectedChannels(model);
  const kernel = model.numConvPosEmbeddings;
  const layer = 4 * linear(width, width) + linear(width, inner) + linear(inner, width) + 2 * norm(width);
  const sets = classesOf(config).map((classes) => classes + targets.specialClasses);
  const parts = {
    convolutions,
    projection: norm(channels) + linear(channels, width),
    positionalConvolution: kernel + ((width * width) / model.numConvPosEmbeddingGroups) * kernel + width,
    layer,
    layers: layer * model.numHiddenLayers,
    encoderNorm: norm(width),
    mask: width,
    codeProjection: linear(width, sets.length * model.finalDim),
    codeEmbeddings: sets.reduce((sum, classes) => sum + classes, 0) * model.finalDim,
    cqtHead: linear(width, CQT_BINS),
    melHead: loss.melWeight > 0 ? linear(width, targets.melBins) : 0,
  };
  const encoder =
    parts.convolutions + parts.projection + parts.positionalConvolution + parts.layers + parts.encoderNorm + parts.mask;
  const heads = parts.codeProjection + parts.codeEmbeddings + parts.cqtHead + parts.melHead;
  return { encoder, pretraining: encoder + heads, parts };
}

/** How many numbers a model of a configuration learns, without making it. */
import { sizeOf } from '@dawnchorus/tensor';
import { frameLength } from './checks.ts';
import type { PretrainConfig } from './schema.ts';
import { layerShapes, type Named, shapesBesideLayers } from './shapes.ts';

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

/** Counts the parameters of a configuration. */
export function countParameters(config: Pick<PretrainConfig, 'model' | 'targets' | 'rvq' | 'loss'>): ParameterCounts {
  const { model, targets, loss } = config;
  const { hiddenSize: width } = model;
  const linear = (from: number, to: number) => from * to + to;
  const count = (tensors: Iterable<Named>) => [...tensors].reduce((sum, [, shape]) => sum + sizeOf(shape), 0);
  const beside = [...shapesBesideLayers(model)];
  const part = (prefix: string) => count(beside.filter(([name]) => name.startsWith(prefix)));
  const layer = count(layerShapes(model, 0));
  const sets = classesOf(config).map((classes) => classes + targets.specialClasses);
  const parts = {
    convolutions: part('feature_extractor.'),
    projection: part('feature_projection.'),
    positionalConvolution: part('encoder.pos_conv_embed.'),
    layer,
    layers: layer * model.numHiddenLayers,
    encoderNorm: part('encoder.layer_norm.'),
    mask: part('masked_spec_embed'),
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

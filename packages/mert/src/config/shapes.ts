/** What tensors a student has, without making it. */
import type { Shape } from '@dawnchorus/tensor';
import type { ModelConfig } from './schema.ts';

/** Channels that go into the projection. */
export const projectedChannels = (model: ModelConfig): number =>
  model.convDim[model.convDim.length - 1] + (model.featureExtractorCqt ? model.featureExtractorCqtBins : 0);

/** A tensor of a student. */
export type Named = readonly [name: string, shape: Shape];

const affine = (name: string, shape: Shape): Named[] => [
  [`${name}.weight`, shape],
  [`${name}.bias`, shape.slice(0, 1)],
];

/** All but those of the layers. */
export function* shapesBesideLayers(model: ModelConfig): Generator<Named> {
  const { hiddenSize: width, convDim, convKernel, numConvPosEmbeddings: taps } = model;
  yield ['masked_spec_embed', [width]];
  for (const [i, channels] of convDim.entries()) {
    const name = `feature_extractor.conv_layers.${i}`;
    const convolution = affine(`${name}.conv`, [channels, i === 0 ? 1 : convDim[i - 1], convKernel[i]]);
    yield* model.convBias ? convolution : convolution.slice(0, 1);
    if (model.featExtractNorm === 'layer' || i === 0) yield* affine(`${name}.layer_norm`, [channels]);
  }
  const channels = projectedChannels(model);
  yield* affine('feature_projection.layer_norm', [channels]);
  yield* affine('feature_projection.projection', [width, channels]);
  yield ['encoder.pos_conv_embed.conv.bias', [width]];
  yield ['encoder.pos_conv_embed.conv.weight_g', [1, 1, taps]];
  yield ['encoder.pos_conv_embed.conv.weight_v', [width, width / model.numConvPosEmbeddingGroups, taps]];
  yield* affine('encoder.layer_norm', [width]);
}

/** Those of a layer. */
export function* layerShapes({ hiddenSize: width, intermediateSize: inner }: ModelConfig, i: number): Generator<Named> {
  const name = `encoder.layers.${i}`;
  for (const own of ['k', 'v', 'q', 'out']) yield* affine(`${name}.attention.${own}_proj`, [width, width]);
  yield* affine(`${name}.layer_norm`, [width]);
  yield* affine(`${name}.feed_forward.intermediate_dense`, [inner, width]);
  yield* affine(`${name}.feed_forward.output_dense`, [width, inner]);
  yield* affine(`${name}.final_layer_norm`, [width]);
}

/** The student's tensors by Hugging Face's names. */
export function* studentShapes(model: ModelConfig): Generator<Named> {
  yield* shapesBesideLayers(model);
  for (let i = 0; i < model.numHiddenLayers; i++) yield* layerShapes(model, i);
}

/** What tensors a student has, without making it. */
import type { SafetensorsTensor } from '@dawnchorus/formats';
import { formatShape, type Shape } from '@dawnchorus/tensor';
import { projectedChannels } from '../config/count.ts';
import type { ModelConfig } from '../config/index.ts';

type Named = readonly [name: string, shape: Shape];

const affine = (name: string, shape: Shape): Named[] => [
  [`${name}.weight`, shape],
  [`${name}.bias`, shape.slice(0, 1)],
];

function* beforeLayers(model: ModelConfig): Generator<Named> {
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

function* layer({ hiddenSize: width, intermediateSize: inner }: ModelConfig, i: number): Generator<Named> {
  const name = `encoder.layers.${i}`;
  for (const own of ['k', 'v', 'q', 'out']) yield* affine(`${name}.attention.${own}_proj`, [width, width]);
  yield* affine(`${name}.layer_norm`, [width]);
  yield* affine(`${name}.feed_forward.intermediate_dense`, [inner, width]);
  yield* affine(`${name}.feed_forward.output_dense`, [width, inner]);
  yield* affine(`${name}.final_layer_norm`, [width]);
}

/** The student's tensors by Hugging Face's names. */
export function* studentShapes(model: ModelConfig): Generator<Named> {
  yield* beforeLayers(model);
  for (let i = 0; i < model.numHiddenLayers; i++) yield* layer(model, i);
}

/** Layers that the names speak of. */
function layersOf(names: Iterable<string>): number {
  const numbers = [...names].map((name) => Number(/^encoder\.layers\.(\d+)\./.exec(name)?.[1] ?? -1));
  return numbers.reduce((most, own) => Math.max(most, own + 1), 0);
}

function problemOf(weight: SafetensorsTensor | undefined, [name, shape]: Named): string | undefined {
  if (!weight) return name === 'masked_spec_embed' ? undefined : `${name}: missing`;
  if (weight.shape.join() !== shape.join()) {
    return `${name}: shape ${formatShape(weight.shape)} in the file, ${formatShape(shape)} in the model`;
  }
  if (!(weight.data instanceof Float32Array)) {
    return `${name}: dtype ${weight.dtype} in the file, expected F32, F16, BF16 or F64`;
  }
  const bad = weight.data.findIndex((value) => !Number.isFinite(value));
  return bad < 0
    ? undefined
    : `${name}: element ${bad} is ${weight.data[bad]}; the file was written by a run that failed`;
}

/**
 * Holds the weights of a file against the configuration beside it, before anything is made of either.
 *
 * @throws Error that lists every tensor that is missing, unknown, of another shape or dtype, or not finite.
 */
export function checkWeights(model: ModelConfig, weights: ReadonlyMap<string, SafetensorsTensor>, path: string): void {
  const problems: string[] = [];
  const there = layersOf(weights.keys());
  const { numHiddenLayers: count } = model;
  if (there !== count) problems.push(`encoder.layers: ${there} in the file, num_hidden_layers is ${count}`);
  // Of layers that a file has not the first is enough: a configuration may ask for any number.
  const known = new Set<string>();
  for (const named of studentShapes({ ...model, numHiddenLayers: Math.min(count, there + 1) })) {
    known.add(named[0]);
    const problem = problemOf(weights.get(named[0]), named);
    if (problem) problems.push(problem);
  }
  for (const name of weights.keys()) if (!known.has(name)) problems.push(`${name}: no such tensor in the model`);
  if (problems.length === 0) return;
  throw new Error(
    `${path}: the checkpoint does not fit the model:\n  ${problems.join('\n  ')}\n` +
      'Use the configuration that the checkpoint was made with.',
  );
}

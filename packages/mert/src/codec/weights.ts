import type { SafetensorsTensor } from '@dawnchorus/formats';
import { formatShape, type Tensor } from '@dawnchorus/tensor';
import { huggingFaceName } from '../model/names.ts';
import type { Codec } from './codec.ts';
import type { CodecConfig } from './config.ts';
import { canonicalName, spelledName, spellingOf } from './names.ts';

/** Tensors of a checkpoint by the names that its file has for them. */
export type Weights = ReadonlyMap<string, SafetensorsTensor>;

/** One tensor that a checkpoint must hold. */
export interface ExpectedTensor {
  /** Under Hugging Face's name. */
  name: string;
  shape: readonly number[];
  /** Where it goes; `inited` of codebooks goes nowhere. */
  tensor?: Tensor;
}

/** Everything that a checkpoint of this codec holds, in its order. */
export function expectedTensors(codec: Codec): ExpectedTensor[] {
  const named = [...codec.named()].map(([name, tensor]) => ({
    name: huggingFaceName(name),
    shape: tensor.shape,
    tensor,
  }));
  const flags = codec.quantizer.codebooks.map((_, i) => ({
    name: `quantizer.layers.${i}.codebook.inited`,
    shape: [1],
  }));
  return [...named, ...flags];
}

/** Tells which layers are transposed convolutions: all of the decoder but its first and last. */
export function transposedLayers({ upsamplingRatios, numResidualLayers, numLstmLayers }: CodecConfig) {
  const first = numLstmLayers > 0 ? 3 : 2;
  const layers = upsamplingRatios.map((_, i) => `decoder.layers.${first + i * (2 + numResidualLayers)}`);
  return (layer: string): boolean => layers.includes(layer);
}

/** What does not fit when a checkpoint is to fill a codec, a line each; and what fits. */
export interface Comparison {
  problems: string[];
  found: [tensor: Tensor, data: Float32Array][];
}

/** Compares the tensors that a codec needs with those of a file, by all spellings. */
function compareWeights(expected: readonly ExpectedTensor[], config: CodecConfig, weights: Weights): Comparison {
  const spelling = spellingOf(weights.keys());
  const isTransposed = transposedLayers(config);
  const problems: string[] = [];
  const byName = new Map<string, string>();
  for (const name of weights.keys()) {
    const canonical = canonicalName(name);
    const other = byName.get(canonical);
    if (other !== undefined) problems.push(`${name}: the same tensor as ${other}, by another spelling`);
    else byName.set(canonical, name);
  }
  const found: Comparison['found'] = [];
  const wanted = new Set<string>();
  for (const { name, shape, tensor } of expected) {
    wanted.add(name);
    const given = byName.get(name);
    if (given === undefined) {
      problems.push(`${spelledName(name, spelling, isTransposed)}: missing`);
      continue;
    }
    const weight = weights.get(given)!;
    if (weight.shape.join() !== shape.join()) {
      problems.push(`${given}: shape ${formatShape(weight.shape)} in the file, ${formatShape(shape)} in the model`);
    } else if (tensor !== undefined) {
      const data = floatsOf(weight);
      if (!data) problems.push(`${given}: dtype ${weight.dtype} in the file, expected F32, F64, F16 or BF16`);
      else if (!data.every(Number.isFinite)) problems.push(`${given}: holds numbers that are NaN or infinite`);
      else found.push([tensor, data]);
    }
  }
  for (const [canonical, name] of byName) if (!wanted.has(canonical)) problems.push(`${name}: not in the model`);
  return { problems, found };
}

function floatsOf({ data }: SafetensorsTensor): Float32Array | undefined {
  if (data instanceof Float32Array) return data;
  return data instanceof Float64Array ? Float32Array.from(data) : undefined;
}

/**
 * Fills a codec from a checkpoint.
 *
 * @throws Error that lists every tensor that is missing, unknown, of another shape or not finite, before anything changes.
 */
export function fillCodec(codec: Codec, weights: Weights, path: string): void {
  const { problems, found } = compareWeights(expectedTensors(codec), codec.config, weights);
  if (problems.length > 0) {
    const count = problems.length === 1 ? 'one tensor' : `${problems.length} tensors`;
    throw new Error(
      `${path}: the checkpoint does not fit the model in ${count}:\n  ${problems.join('\n  ')}\n` +
        'Use the configuration that the checkpoint was made with, or fetch the file again.',
    );
  }
  for (const [tensor, data] of found) {
    tensor.device.write(tensor.storage, tensor.offset * 4, data as Float32Array<ArrayBuffer>);
  }
}

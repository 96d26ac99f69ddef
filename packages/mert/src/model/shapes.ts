/** What a file must hold for a student, found out without making it. */
import type { SafetensorsTensor } from '@dawnchorus/formats';
import { formatShape } from '@dawnchorus/tensor';
import { type ModelConfig, type Named, studentShapes } from '../config/index.ts';
import { misfit } from './checkpoint.ts';

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
  if (problems.length > 0) throw misfit(path, problems);
}

import {
  cast,
  checkOptions,
  checkWhole,
  concat,
  type Device,
  formatShape,
  isFloat,
  isTensor,
  type Shape,
  sameShape,
  type Tensor,
  valueText,
  zeros,
} from '@dawnchorus/tensor';
import { keep } from '../keep.ts';

/** A run of parameters that share one buffer. */
export interface Shard {
  readonly names: readonly string[];
  /** The parameters' shapes, in the order of `names`: they lie one after another. */
  readonly shapes: readonly Shape[];
  readonly size: number;
  /** `[size]`: every parameter's elements, one after another. */
  readonly values: Tensor;
}

/** @throws TypeError for anything but a map of f32 tensors, RangeError for an empty one. */
export function checkParameters(who: string, parameters: ReadonlyMap<string, Tensor>): void {
  if (!(parameters instanceof Map)) {
    throw new TypeError(
      `${who}: the parameters are ${valueText(parameters)}; expected a Map of tensors by name, as of model.namedParameters()`,
    );
  }
  if (parameters.size === 0) throw new RangeError(`${who}: there are no parameters`);
  for (const [name, parameter] of parameters) {
    if (!isTensor(parameter)) throw new TypeError(`${who}: ${name} is ${valueText(parameter)}; expected an f32 tensor`);
    if (parameter.dtype !== 'f32') throw new TypeError(`${who}: ${name} is ${parameter.dtype}; parameters are f32`);
  }
}

/**
 * Moves parameters into as few buffers as the adapter's binding limit allows, so that an optimiser, a norm or a
 * checkpoint is a few dispatches and not hundreds. The parameters become views of the arena.
 */
export function createArena(parameters: ReadonlyMap<string, Tensor>, options: { shardBytes?: number } = {}): Shard[] {
  checkParameters('createArena', parameters);
  checkOptions('createArena', options, ['shardBytes']);
  const { shardBytes } = options;
  if (shardBytes !== undefined) checkWhole('createArena', 'shardBytes', shardBytes, 1);
  const entries = [...parameters];
  const device: Device = entries[0][1].device;
  // A size class may round up by an eighth.
  const limit = shardBytes ?? Math.min(device.limits.maxStorageBufferBindingSize, device.limits.maxBufferSize) * 0.8;
  const groups: [string, Tensor][][] = [[]];
  let bytes = 0;
  for (const entry of entries) {
    const own = entry[1].size * 4;
    if (bytes + own > limit && groups[groups.length - 1].length > 0) {
      groups.push([]);
      bytes = 0;
    }
    groups[groups.length - 1].push(entry);
    bytes += own;
  }
  return groups.map((group) => {
    const values = keep(() => concat(group.map(([, parameter]) => parameter.reshape([-1]))));
    let offset = 0;
    for (const [, parameter] of group) {
      parameter.rebind(values.storage, offset);
      offset += parameter.size;
    }
    return {
      names: group.map(([name]) => name),
      shapes: group.map(([, { shape }]) => shape),
      size: offset,
      values,
    };
  });
}

/** Gradients laid out like their shard. */
export function gatherGradients(shard: Shard, gradients: ReadonlyMap<string, Tensor>): Tensor {
  const parts = shard.names.map((name, i) => {
    const gradient = gradients.get(name);
    if (!gradient) throw new Error(`AdamW: the gradient of ${name} is missing`);
    if (!isTensor(gradient) || !sameShape(gradient.shape, shard.shapes[i]) || !isFloat(gradient.dtype)) {
      throw new RangeError(
        `AdamW: the gradient of ${name} is ${valueText(gradient)}; expected f32 or f16 ${formatShape(shard.shapes[i])}, as the parameter`,
      );
    }
    // Those of halves are sums in f32 already where a compiled step joins this to the product.
    return cast(gradient, 'f32').reshape([-1]);
  });
  // One alone may lie as it should already.
  const [first] = parts;
  return parts.length === 1 && first.contiguous && first.offset === 0 ? first : concat(parts);
}

/** Zeros that outlive scopes, laid out like a shard. */
export function shardZeros(shard: Shard): Tensor {
  return keep(() => zeros([shard.size], { device: shard.values.device }));
}

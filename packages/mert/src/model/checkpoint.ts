import type { SafetensorsTensor } from '@dawnchorus/formats';
import type { Tensor } from '@dawnchorus/tensor';
import { huggingFaceName } from './names.ts';

/** Other spellings of the positional convolution's weight norm, by PyTorch's newer parametrisation. */
const aliases: Record<string, string> = {
  'encoder.pos_conv_embed.conv.weight_g': 'encoder.pos_conv_embed.conv.parametrizations.weight.original0',
  'encoder.pos_conv_embed.conv.weight_v': 'encoder.pos_conv_embed.conv.parametrizations.weight.original1',
};

/** Parameters by Hugging Face name. */
export function namedForHuggingFace(parameters: ReadonlyMap<string, Tensor>): Map<string, Tensor> {
  return new Map([...parameters].map(([name, parameter]) => [huggingFaceName(name), parameter]));
}

/** What parameters are called in a file, and which of them may be missing. */
export interface LoadOptions {
  /** Named in errors. */
  path: string;
  /** Parameters that may be absent and then keep their values. */
  optional?: readonly string[];
  /** In front of every name in the file. */
  prefix?: string;
  /** Whether the file must hold nothing else; default false. */
  only?: boolean;
}

/** The elements of a file as a parameter or a buffer holds them; PyTorch counts batches in I64. */
function elementsFor({ dtype }: Tensor, { data }: SafetensorsTensor): Float32Array | Int32Array | undefined {
  if (dtype === 'f32') return data instanceof Float32Array ? data : undefined;
  if (data instanceof BigInt64Array) return Int32Array.from(data, Number);
  return data instanceof Int32Array ? data : undefined;
}

/** What is said of a file whose tensors are not those of the model. */
export const misfit = (path: string, problems: readonly string[]): Error =>
  new Error(
    `${path}: the checkpoint does not fit the model:\n  ${problems.join('\n  ')}\n` +
      'Use the configuration that the checkpoint was made with.',
  );

/**
 * Copies weights from a checkpoint into parameters and buffers.
 *
 * @throws Error that lists every parameter that is missing or has another shape, and with `only` every tensor that is no
 *   parameter, before anything is changed.
 */
export function loadParameters(
  parameters: ReadonlyMap<string, Tensor>,
  weights: ReadonlyMap<string, SafetensorsTensor>,
  { path, optional = [], prefix = '', only = false }: LoadOptions,
): void {
  const problems: string[] = [];
  const found: [Tensor, Float32Array | Int32Array][] = [];
  const named = namedForHuggingFace(parameters);
  for (const [name, parameter] of named) {
    const weight = weights.get(prefix + name) ?? weights.get(prefix + (aliases[name] ?? name));
    if (!weight) {
      if (!optional.includes(name)) problems.push(`${name}: missing`);
    } else if (weight.shape.join() !== parameter.shape.join()) {
      problems.push(
        `${name}: shape [${weight.shape.join(', ')}] in the file, [${parameter.shape.join(', ')}] in the model`,
      );
    } else {
      const data = elementsFor(parameter, weight);
      const expected = parameter.dtype === 'i32' ? 'I32 or I64' : 'F32, F16 or BF16';
      if (data) found.push([parameter, data]);
      else problems.push(`${name}: dtype ${weight.dtype} in the file, expected ${expected}`);
    }
  }
  if (only) {
    const spelled = new Set([...named.keys()].flatMap((name) => [prefix + name, prefix + (aliases[name] ?? name)]));
    for (const name of weights.keys()) if (!spelled.has(name)) problems.push(`${name}: no such tensor in the model`);
  }
  if (problems.length > 0) throw misfit(path, problems);
  for (const [parameter, data] of found) {
    parameter.device.write(
      parameter.storage,
      parameter.offset * 4,
      data as Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>,
    );
  }
}

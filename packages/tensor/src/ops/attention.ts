import { type Family, runVariants, type Variant } from '../kernel/variants.ts';
import { formatShape, sameShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { checkProbability, expectDtype, expectFloat, expectRank } from './arguments.ts';
import { composed, composedBackward } from './attention-composed.ts';
import { matrix, matrixBackward, tiled, tiledBackward } from './attention-tiled.ts';
import { broadcastFor } from './matmul-tiles.ts';
import { kernelOp, type Stream } from './op.ts';

/** The largest head that kernels hold in registers and workgroup memory. */
const LARGEST_HEAD = 128;

/** Attributes of `attention`. */
export interface AttentionAttributes extends Stream {
  /** What scores are multiplied by. */
  scale: number;
  /** Whether a query attends to no key after its own place. */
  causal: boolean;
  /** The probability with which a weight is dropped; `seed` and `stream` name the draws. */
  dropout: number;
}

function check(name: string, [q, k, v, ...others]: readonly Tensor[], { dropout }: AttentionAttributes): void {
  const layout = '[batch, heads, time, headSize]';
  for (const [role, x] of [
    ['q', q],
    ['k', k],
    ['v', v],
  ] as const) {
    expectFloat(name, role, x);
    expectRank(name, role, x, 4, layout);
    if (x.dtype !== q.dtype) expectDtype(name, role, x, q.dtype);
  }
  const [batch, heads, , size] = q.shape;
  const wanted = [batch, heads, k.shape[2], size];
  if (!sameShape(k.shape, wanted) || !sameShape(v.shape, wanted)) {
    throw new RangeError(
      `${name}: q ${formatShape(q.shape)}, k ${formatShape(k.shape)} and v ${formatShape(v.shape)}; expected one batch, heads and headSize, and as many keys as values`,
    );
  }
  if (size < 1 || size > LARGEST_HEAD) {
    throw new RangeError(
      `${name}: heads of ${size} elements; from 1 to ${LARGEST_HEAD} are there, use matmul and softmax`,
    );
  }
  checkProbability(name, 'dropout', dropout);
  for (const x of others) {
    expectDtype(name, 'the mask or the step', x, 'bool', 'u32');
    if (x.dtype === 'u32' && x.size !== 1) {
      throw new RangeError(`${name}: the step is ${formatShape(x.shape)}; expected one element`);
    }
    if (x.dtype === 'bool' && !sameShape(x.shape, [batch, k.shape[2]])) {
      throw new RangeError(
        `${name}: the mask is ${formatShape(x.shape)}; expected [batch, keys], ${formatShape([batch, k.shape[2]])}`,
      );
    }
  }
}

/** Multiply-adds of the two products, counting two; under a causal mask half of them. */
const flopsOf = (products: number, q: Tensor, k: Tensor, causal: boolean) =>
  2 * products * q.size * k.shape[2] * (causal ? 0.5 : 1);

/** GPUs take the first of the fused kernels that they can run, CPU drivers what needs no barriers. */
function family(
  name: string,
  onProcessors: readonly Variant<AttentionAttributes>[],
  fused: readonly Variant<AttentionAttributes>[],
): Family<AttentionAttributes> {
  return {
    name,
    variants: [...onProcessors, ...fused],
    // Draws take the same time whatever they are named.
    relevant: ['causal', 'dropout'],
    prefer(device, inputs, ...others) {
      const able = fused.find(({ legal }) => legal?.(device, inputs, ...others) ?? true);
      if (able && !device.adapter.software) return able.name;
      const [q, k] = inputs;
      return broadcastFor(device, q.size * k.shape[2]) ?? 'composed';
    },
  };
}

/**
 * softmax(scale q k^T) v. Inputs: q [batch, heads, queries, headSize], k and v [batch, heads, keys, headSize], with any
 * strides; then, if any, the keys that may be attended to, bool [batch, keys], and the number of the step, u32. Outputs: the
 * mixed values, which are dense as [batch, queries, heads, headSize], so that their features lie side by side; and the
 * logarithms of the sums of each query's exponentials, f32 [batch, heads, queries]. A query that sees nothing attends to all
 * keys alike (up to its own, if causal).
 */
const attention = kernelOp<AttentionAttributes>({
  infer(inputs, attributes) {
    check('attention', inputs, attributes);
    const [q] = inputs;
    const [batch, heads, queries, size] = q.shape;
    return [
      { dtype: q.dtype, shape: [batch, queries, heads, size] },
      { dtype: 'f32', shape: [batch, heads, queries] },
    ];
  },
  flops: ([q, k], _, { causal }) => flopsOf(2, q, k, causal),
  ...runVariants(family('attention', composed, [matrix, tiled])),
});

/**
 * Gradients of q, k and v, dense as [batch, time, heads, headSize]. Inputs: q, k, v, the outputs of `attention`, the gradient
 * of the first one, and the mask and the step as there.
 */
const attentionBackward = kernelOp<AttentionAttributes>({
  infer([q, k, v, out, logSums, grad, ...others], attributes) {
    const name = 'attentionBackward';
    check(name, [q, k, v, ...others], attributes);
    const [batch, heads, queries, size] = q.shape;
    const wanted = [batch, queries, heads, size];
    for (const x of [out, grad]) {
      expectDtype(name, 'the output and its gradient', x, q.dtype);
      if (!sameShape(x.shape, wanted)) {
        throw new RangeError(`${name}: ${formatShape(x.shape)}; expected ${formatShape(wanted)}, as the output`);
      }
    }
    expectDtype(name, 'the logarithm of the sums', logSums, 'f32');
    if (!sameShape(logSums.shape, [batch, heads, queries])) {
      throw new RangeError(
        `${name}: the logarithms are ${formatShape(logSums.shape)}; expected [batch, heads, queries]`,
      );
    }
    const gradientOf = (x: Tensor) => ({ dtype: x.dtype, shape: [batch, x.shape[2], heads, size] });
    return [q, k, v].map(gradientOf);
  },
  // The scores once more, and four products of their size.
  flops: ([q, k], _, { causal }) => flopsOf(5, q, k, causal),
  ...runVariants(family('attentionBackward', composedBackward, [matrixBackward, tiledBackward])),
});

export const differentiableAttention = { attention, attentionBackward };

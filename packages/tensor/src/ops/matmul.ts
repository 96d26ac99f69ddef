import { promote } from '../dtype.ts';
import { runVariants } from '../kernel/variants.ts';
import { broadcastShapes, formatShape } from '../shape.ts';
import { expectFloat } from './arguments.ts';
import { matmulFamily } from './matmul-variants.ts';
import { kernelOp } from './op.ts';

/**
 * [..., m, k] x [..., k, n] -> [..., m, n], batch axes broadcast. Any strides: a transposed operand is read in place.
 * f32, or f16 where both operands are; sums are in f32.
 */
export const matmul = kernelOp<Record<never, never>>({
  infer([a, b]) {
    expectFloat('matmul', 'the left operand', a);
    expectFloat('matmul', 'the right operand', b);
    if (a.rank < 2 || b.rank < 2) {
      throw new RangeError(
        `matmul: ${formatShape(a.shape)} x ${formatShape(b.shape)}: both need two axes or more; use unsqueeze`,
      );
    }
    const [k, k2] = [a.shape[a.rank - 1], b.shape[b.rank - 2]];
    if (k !== k2) {
      throw new RangeError(
        `matmul: inner dimensions ${k} and ${k2} of ${formatShape(a.shape)} x ${formatShape(b.shape)} differ; transpose one operand?`,
      );
    }
    const batch = broadcastShapes('matmul (batch axes)', a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ dtype: promote(a.dtype, b.dtype), shape: [...batch, a.shape[a.rank - 2], b.shape[b.rank - 1]] }];
  },
  emits: 'fours',
  flops: ([a], [out]) => 2 * out.size * a.shape[a.rank - 1],
  ...runVariants(matmulFamily),
});

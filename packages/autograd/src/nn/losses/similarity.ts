import {
  broadcastShapes,
  cast,
  checkEps,
  checkNumber,
  checkOptions,
  checkTensors,
  div,
  eq,
  formatShape,
  maximum,
  normaliseAxis,
  relu,
  sqrt,
  sub,
  sumSquares,
  type Tensor,
  where,
} from '@dawnchorus/tensor';
import { type LossOptions, reduceLoss, wide } from './reduction.ts';

/** x over its length along an axis, or over `eps` where that is more. */
function unit(x: Tensor, dim: number, eps: number): Tensor {
  return div(x, sqrt(maximum(sumSquares(x, { dim, keepdim: true }), eps * eps)));
}

/**
 * The cosine of the angle between vectors along `dim` (1 by default, as in PyTorch): the sum of a b / (max(|a|, eps)
 * max(|b|, eps)). The shapes broadcast; the result lacks `dim`. Computed in f32; f16 where both inputs are.
 */
export function cosineSimilarity(a: Tensor, b: Tensor, options: { dim?: number; eps?: number } = {}): Tensor {
  checkOptions('cosineSimilarity', options, ['dim', 'eps']);
  const { dim = 1, eps = 1e-8 } = options;
  checkEps('cosineSimilarity', eps);
  checkTensors('cosineSimilarity', [a, b]);
  const shape = broadcastShapes('cosineSimilarity', a.shape, b.shape);
  const axis = normaliseAxis(dim, shape.length, 'cosineSimilarity') - shape.length;
  // A vector that stretches along the axis is as long as it becomes; other axes may stretch afterwards.
  const [x, y] = [a, b].map((own) => (own.shape.at(axis) === shape.at(axis) ? own : own.expand(shape)));
  const cosine = unit(wide(x), axis, eps)
    .mul(unit(wide(y), axis, eps))
    .sum({ dim: axis });
  return a.dtype === 'f16' && b.dtype === 'f16' ? cast(cosine, 'f16') : cosine;
}

/**
 * 1 - cosine of the pairs that belong together (`target` 1), max(0, cosine - margin) of the others (-1): a and b [batch,
 * features] with target [batch], or [features] with a scalar. An f32 scalar, or the shape of the target.
 *
 * @throws RangeError when the shapes do not fit.
 */
export function cosineEmbeddingLoss(
  a: Tensor,
  b: Tensor,
  target: Tensor,
  options: LossOptions & { margin?: number } = {},
): Tensor {
  checkOptions('cosineEmbeddingLoss', options, ['reduction', 'margin']);
  const { margin = 0 } = options;
  checkNumber('cosineEmbeddingLoss', 'margin', margin);
  checkTensors('cosineEmbeddingLoss', [a, b, target]);
  const fits = [a, b].every((x) => x.rank === target.rank + 1 && x.shape[0] === (target.shape[0] ?? x.shape[0]));
  if (!fits || a.rank > 2 || a.shape[a.rank - 1] !== b.shape[b.rank - 1]) {
    throw new RangeError(
      `cosineEmbeddingLoss: ${formatShape(a.shape)} and ${formatShape(b.shape)} with target ` +
        `${formatShape(target.shape)}; expected [batch, features] twice and [batch], or [features] twice and []`,
    );
  }
  const cosine = cosineSimilarity(wide(a), wide(b), { dim: -1 });
  return reduceLoss('cosineEmbeddingLoss', where(eq(target, 1), sub(1, cosine), relu(cosine.sub(margin))), options);
}

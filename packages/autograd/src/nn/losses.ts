import { cast, formatShape, gather, logSoftmax, type Tensor } from '@dawnchorus/tensor';

/** Losses are made in f32 from the start: a mean that was rounded to f16 says little about a step. */
const wide = (x: Tensor): Tensor => (x.dtype === 'f16' ? cast(x, 'f32') : x);

/** Mean cross-entropy of logits [rows, classes], f32 or f16, against labels [rows] (i32), in nats: an f32 scalar. */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  if (logits.rank !== 2 || labels.rank !== 1 || labels.shape[0] !== logits.shape[0]) {
    throw new RangeError(
      `crossEntropy: logits ${formatShape(logits.shape)} and labels ${formatShape(labels.shape)}; expected [rows, classes] and [rows]`,
    );
  }
  return gather(logSoftmax(wide(logits)), 1, labels.reshape([-1, 1]))
    .mean()
    .neg();
}

/** Mean squared error over all elements of f32 or f16: an f32 scalar. */
export function meanSquaredError(prediction: Tensor, target: Tensor): Tensor {
  return wide(prediction).sub(wide(target)).square().mean();
}

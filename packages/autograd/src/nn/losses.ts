import { formatShape, gather, logSoftmax, type Tensor } from '@dawnchorus/tensor';

/** Mean cross-entropy of logits [rows, classes] against labels [rows] (i32), in nats. */
export function crossEntropy(logits: Tensor, labels: Tensor): Tensor {
  if (logits.rank !== 2 || labels.rank !== 1 || labels.shape[0] !== logits.shape[0]) {
    throw new RangeError(
      `crossEntropy: logits ${formatShape(logits.shape)} and labels ${formatShape(labels.shape)}; expected [rows, classes] and [rows]`,
    );
  }
  return gather(logSoftmax(logits), 1, labels.reshape([-1, 1]))
    .mean()
    .neg();
}

/** Mean squared error over all elements. */
export function meanSquaredError(prediction: Tensor, target: Tensor): Tensor {
  return prediction.sub(target).square().mean();
}

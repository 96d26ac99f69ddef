/** The engine's side of layers.py: what each of its cases is called here. */
import { nn } from '../../src/index.ts';
import type { Golden } from './index.ts';

export const golden: Record<string, Golden> = {};

// Losses of classes.
const reductions = ['mean', 'sum', 'none'] as const;
for (const reduction of reductions) {
  golden[`crossEntropy, ${reduction}`] = (x, t) => nn.crossEntropy(x, t, { reduction });
  golden[`crossEntropy with weights and label smoothing, ${reduction}`] = (x, t, weight) =>
    nn.crossEntropy(x, t, { weight, labelSmoothing: 0.2, reduction });
  golden[`crossEntropy with ignored targets, ${reduction}`] = (x, t) => nn.crossEntropy(x, t, { reduction });
  golden[`crossEntropy with everything, ${reduction}`] = (x, t, weight) =>
    nn.crossEntropy(x, t, { weight, ignoreIndex: 2, labelSmoothing: 0.1, reduction });
  golden[`crossEntropy with probabilities, ${reduction}`] = (x, t, weight) =>
    nn.crossEntropy(x, t.softmax({ dim: 1 }), { weight, labelSmoothing: 0.1, reduction });
  golden[`nllLoss with weights and ignored targets, ${reduction}`] = (x, t, weight) =>
    nn.nllLoss(x.logSoftmax({ dim: 1 }), t, { weight, ignoreIndex: 0, reduction });
  golden[`binaryCrossEntropyWithLogits, ${reduction}`] = (x, y) => nn.binaryCrossEntropyWithLogits(x, y, { reduction });
  golden[`binaryCrossEntropyWithLogits with weights, ${reduction}`] = (x, y, weight, posWeight) =>
    nn.binaryCrossEntropyWithLogits(x, y, { weight, posWeight, reduction });
}
golden['crossEntropy of one example'] = (x, t) => nn.crossEntropy(x, t);
golden['crossEntropy of large logits'] = (x, t) => nn.crossEntropy(x, t);
golden['binaryCrossEntropyWithLogits of large logits'] = (x, y) => nn.binaryCrossEntropyWithLogits(x, y);
for (const reduction of [...reductions, 'batchmean'] as const) {
  golden[`klDiv, ${reduction}`] = (x, t) =>
    nn.klDiv(x.logSoftmax({ dim: 1 }), t.softmax({ dim: 1 }), { reduction });
  golden[`klDiv of logarithms, ${reduction}`] = (x, t) =>
    nn.klDiv(x.logSoftmax({ dim: 1 }), t.logSoftmax({ dim: 1 }), { logTarget: true, reduction });
}

// Losses of differences and of angles.
const { mseLoss, l1Loss, smoothL1Loss } = nn;
for (const reduction of reductions) {
  for (const [name, loss] of Object.entries({ mseLoss, l1Loss, smoothL1Loss })) {
    golden[`${name}, ${reduction}`] = (a, b) => loss(a, b, { reduction });
  }
  golden[`smoothL1Loss with beta, ${reduction}`] = (a, b) => smoothL1Loss(a, b, { beta: 0.4, reduction });
  golden[`cosineEmbeddingLoss, ${reduction}`] = (a, b, t) =>
    nn.cosineEmbeddingLoss(a, b, t, { margin: -0.2, reduction });
}
golden['smoothL1Loss with beta zero'] = (a, b) => smoothL1Loss(a, b, { beta: 0 });
golden.cosineSimilarity = (a, b) => nn.cosineSimilarity(a, b);
golden['cosineSimilarity of the last axis with eps'] = (a, b) => nn.cosineSimilarity(a, b, { dim: -1, eps: 2.5 });
golden['cosineSimilarity of all pairs'] = (a, b) => nn.cosineSimilarity(a, b, { dim: -1 });

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

// Batch normalisation: outputs are the result and the running statistics after it.
const batchNorm =
  (options: nn.BatchNormOptions): Golden =>
  (x, runningMean, runningVar, weight, bias) => {
    const y = nn.batchNorm(x, { runningMean, runningVar, weight, bias, ...options });
    return [y, runningMean.mul(1), runningVar.mul(1)];
  };
for (const training of [true, false]) {
  const mode = training ? 'training' : 'evaluation';
  golden[`batchNorm in ${mode}`] = batchNorm({ training });
  golden[`batchNorm in ${mode} over time`] = batchNorm({ training, momentum: 0.3, eps: 1e-2 });
  golden[`batchNorm in ${mode} over images without affine`] = batchNorm({ training });
  golden[`batchNorm in ${mode} far from zero`] = batchNorm({ training });
}
golden['BatchNorm1d averages all batches'] = (...batches) => {
  const layer = new nn.BatchNorm1d(4, { momentum: null });
  for (const x of batches) layer.forward(x, { training: true });
  return [...layer.namedBuffers().values()].map((buffer) => buffer.reshape(buffer.shape));
};

// Tables, convolutions.
golden.embedding = (index, weight) => nn.embedding(index, weight);
golden['embedding with padding'] = (index, weight) => nn.embedding(index, weight, { paddingIdx: -2 });
const keys = nn.keySequence(0);
golden.Conv2d = (x, weight, bias) => Object.assign(new nn.Conv2d(3, 4, [3, 2], keys), { weight, bias }).forward(x);
golden['Conv2d with everything'] = (x, weight, bias) => {
  const layer = new nn.Conv2d(4, 6, [3, 2], keys, { stride: [2, 1], padding: [1, 2], dilation: [1, 2], groups: 2 });
  return Object.assign(layer, { weight, bias }).forward(x);
};
golden.ConvTranspose1d = (x, weight, bias) => {
  const options = { stride: 3, padding: 2, outputPadding: 1, dilation: 2, groups: 2 };
  return Object.assign(new nn.ConvTranspose1d(4, 6, 3, keys, options), { weight, bias }).forward(x);
};
golden.ConvTranspose2d = (x, weight, bias) => {
  const layer = new nn.ConvTranspose2d(4, 6, [3, 2], keys, { stride: [3, 2], padding: 1, outputPadding: [2, 0], groups: 2 });
  return Object.assign(layer, { weight, bias }).forward(x);
};

// LSTM: inputs are x, lengths where they differ, the initial state where there is one, then the parameters in PyTorch's order.
const lstm =
  (withState: boolean, options: nn.LSTMOptions = {}): Golden =>
  (x, ...rest) => {
    const layer = new nn.LSTM(5, 3, keys, options);
    const lengths = rest[0].dtype === 'i32' ? rest.shift() : undefined;
    const [hidden, cell] = withState ? rest.splice(0, 2) : [];
    [...layer.namedParameters().keys()].forEach((name, i) => Object.assign(layer, { [name]: rest[i] }));
    const out = layer.forward(x, { hidden, cell, lengths });
    return [out.output, out.hidden, out.cell];
  };
golden.LSTM = lstm(false);
golden['LSTM without bias, of one step'] = lstm(false, { bias: false });
golden['LSTM with a state, batch first'] = lstm(true, { batchFirst: true });
golden['LSTM of two layers in both directions'] = lstm(true, { numLayers: 2, bidirectional: true });
golden['LSTM in both directions without a batch'] = lstm(true, { bidirectional: true });
golden['LSTM of sequences of different lengths'] = lstm(true, { numLayers: 2, bidirectional: true, batchFirst: true });

/** Options by other names, values of other kinds, and what else a program without types may pass: errors by its name. */
import { normal, ones, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/device.ts';
import * as autograd from '../src/index.ts';

type Untyped = Record<string, (...args: unknown[]) => unknown>;
type Layers = Record<string, new (...args: unknown[]) => Record<string, (...args: unknown[]) => unknown>>;

const ag = autograd as unknown as Untyped;
const nn = autograd.nn as unknown as Untyped;
const layers = autograd.nn as unknown as Layers;
const keys = autograd.nn.keySequence(1);
const x = normal([3, 4], { seed: 1, stream: 1 });
const target = tensor(Int32Array.of(3, 0, 1));
const batch = ones([2, 5, 4]);
const square = (y: Tensor) => y.square().sum();

const misuses: [body: () => unknown, message: RegExp][] = [
  [() => nn.mseLoss(x, x, { weight: x }), /^mseLoss: the options are \{ reduction \}; there is no 'weight'$/],
  [() => nn.l1Loss(x, x, { beta: 1 }), /^l1Loss: the options are \{ reduction \}; there is no 'beta'/],
  [
    () => nn.smoothL1Loss(x, x, { margin: 1 }),
    /^smoothL1Loss: the options are \{ reduction, beta \}; there is no 'margin'/,
  ],
  [
    () => nn.nllLoss(x, target, { labelSmoothing: 0.1 }),
    /^nllLoss: the options are \{ reduction, weight, ignoreIndex \}; there is no 'labelSmoothing'/,
  ],
  [
    () => nn.crossEntropy(x, target, { margin: 1 }),
    /^crossEntropy: the options are \{ reduction, weight, ignoreIndex, labelSmoothing \}; there is no 'margin'/,
  ],
  [
    () => nn.binaryCrossEntropyWithLogits(x, x, { ignoreIndex: 0 }),
    /^binaryCrossEntropyWithLogits: the options are \{ reduction, weight, posWeight \}; there is no 'ignoreIndex'/,
  ],
  [() => nn.klDiv(x, x, { weight: x }), /^klDiv: the options are \{ reduction, logTarget \}; there is no 'weight'/],
  [() => nn.klDiv(x, x, { logTarget: 'no' }), /^klDiv: logTarget is "no"; expected true or false/],
  [() => nn.cosineEmbeddingLoss(x, x, target, { beta: 1 }), /^cosineEmbeddingLoss: .*there is no 'beta'/],
  [() => nn.cosineSimilarity(x, x, { axis: 1 }), /^cosineSimilarity: .*there is no 'axis'/],
  [() => nn.mseLoss(x, 3), /^mseLoss: the target is 3; expected a tensor/],
  [() => nn.nllLoss(x, [3, 0, 1]), /^nllLoss: the target is \[3, 0, 1\]; expected a tensor/],
  [
    () => nn.crossEntropy(x, target, { weight: [1, 2, 3] }),
    /^crossEntropy: the weight is \[1, 2, 3\]; expected a tensor/,
  ],
  [() => nn.mseLoss(x, x, { reduction: 'avg' }), /^mseLoss: the reduction is "avg"; expected 'mean'/],

  [() => nn.embedding(target, x, { padding_idx: 0 }), /^embedding: the options are \{ paddingIdx \}; there is no/],
  [() => nn.batchNorm(x, { train: true }), /^batchNorm: the options are .*; there is no 'train'/],
  [() => nn.batchNorm(x, { training: 'no' }), /^batchNorm: training is "no"; expected true or false/],
  [() => nn.batchNorm(x, { training: true, eps: -1 }), /^batchNorm: eps is -1/],
  [() => nn.batchNorm(x, { training: true, weight: 3 }), /^batchNorm: weight is 3; expected a tensor \[4\]/],
  [() => nn.keySequence(-1), /^keySequence: seed is -1; expected a whole number in \[0, 2\^53\)/],
  [() => nn.keySequence(1, 0.3), /^keySequence: stream is/],
  [
    () => new layers.MultiHeadAttention(4, 2, keys).forward(batch, { is_causal: true }),
    /^MultiHead.*there is no 'is_causal'/,
  ],
  [
    () => new layers.MultiHeadAttention(4, 2, keys).forward(batch, { keys: {} }),
    /^MultiHead.*keys, for its draws, are/,
  ],
  [() => new layers.LSTM(4, 2, keys).forward(batch, { hidden0: x }), /^LSTM.forward: .*there is no 'hidden0'/],
  [() => new layers.BatchNorm1d(4).forward(x, true), /^BatchNorm.forward: the options are \{ training \}, not true/],
  [() => new layers.BatchNorm1d(4).forward(x, { train: true }), /^BatchNorm.forward: .*there is no 'train'/],
  [() => new layers.LayerNorm(4, { eps: 'x' }), /^LayerNorm: eps is "x"; expected a finite number from 0/],
  [() => new layers.GroupNorm(3, 4), /^GroupNorm: 4 channels do not divide into 3 groups/],
  [() => new layers.Dropout(-1), /^Dropout: p is -1; expected a probability in \[0, 1\)/],
  [() => new layers.Dropout('0.5'), /^Dropout: p is "0.5"/],
  [
    () => new layers.Dropout(0.5).forward(x, { seed: 1, stream: 1 }),
    /^Dropout: keys, for its draws, are object; pass nn.keySequence\(seed\)/,
  ],
  [() => new layers.Linear(0, 2, keys), /^Linear: inFeatures is 0; expected a whole number from 1/],
  [() => new layers.Embedding(3, 1.5, keys), /^Embedding: features is 1.5; expected a whole number from 1/],
  [() => new layers.Conv1d(3, 4, 3, keys, { pad: 1 }), /^Conv1d: the options are .*; there is no 'pad'/],
  [
    () => new layers.Conv1d(3, 4, 3, keys, { groups: 2 }),
    /^Conv1d: inChannels is 3, which does not divide into 2 groups/,
  ],
  [() => new layers.Conv2d(4, 3, 3, keys, { groups: 2 }), /^Conv2d: outChannels is 3, which does not divide/],
  [
    () => new layers.Conv2d(1, 1, [3, 3, 3], keys),
    /^Conv2d: the kernel is \[3, 3, 3\]; expected a number, or \[height/,
  ],
  [() => new layers.ConvTranspose1d(1, 1, 0, keys), /^ConvTranspose1d: kernel is 0; expected a whole number from 1/],
  [
    () => new layers.ConvTranspose2d(4, 3, 2, keys, { groups: 2 }),
    /^ConvTranspose2d: outChannels is 3, which does not divide into 2 groups/,
  ],
  [() => new layers.WeightNormConv1d(1, 1, 3, keys, {}), /^WeightNormConv1d: std is undefined; expected a finite/],

  [() => ag.vjp(square, [x]), /^vjp: gradient 0 is undefined; expected a tensor like the output/],
  [() => ag.grad(() => square(x), [x, null]), /^valueAndGrad: parameter 1 is null; expected a tensor/],
  [() => ag.grad(() => square(x), x), /the parameters are Tensor\(f32\[3, 4\]\); expected an array/],
  [() => ag.gradcheck(square, [x], { sample: 3 }), /^gradcheck: the options are .*; there is no 'sample'/],
  [() => ag.gradcheck(square, [x], { step: 0 }), /^gradcheck: step is 0; expected a number above 0/],
];

for (const [body, message] of misuses) {
  test(`${body.toString().slice(6)} is an error by its name`, async () => {
    let error: unknown;
    try {
      await body();
    } catch (thrown) {
      error = thrown;
    }
    assert.ok(error instanceof TypeError || error instanceof RangeError, `${error}`);
    assert.match(error.message, message);
  });
}

test.run();

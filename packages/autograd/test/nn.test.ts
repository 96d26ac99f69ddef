import { gelu, normal, ones, type Tensor, tensor, zeros } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { assertMatches } from '../../tensor/test/compare.ts';
import { build, eachIndex, flatIndex, type NDArray } from '../../tensor/test/reference/array.ts';
import * as norms from '../../tensor/test/reference/norm.ts';
import * as products from '../../tensor/test/reference/products.ts';
import '../../tensor/test/device.ts';
import { grad, nn, optim } from '../src/index.ts';

const { keySequence } = nn;
const keys = keySequence(2024);
const randomTensor = (...shape: number[]) => normal(shape, keys.next());

async function read(x: Tensor): Promise<NDArray> {
  return { dtype: x.dtype, shape: x.shape, data: Float64Array.from(await x.data()) };
}

/** Sums of a few dozen products of numbers around one. */
const tolerance = { relative: 1e-5, peak: true };

async function linear(x: NDArray, { weight, bias }: nn.Linear): Promise<NDArray> {
  const w = await read(weight);
  const b = bias && (await read(bias));
  const [outFeatures, inFeatures] = w.shape;
  return build([...x.shape.slice(0, -1), outFeatures], 'f32', (index) => {
    const row = flatIndex(x.shape.slice(0, -1), index.slice(0, -1)) * inFeatures;
    const to = index[index.length - 1];
    let total = b ? b.data[to] : 0;
    for (let i = 0; i < inFeatures; i++) total += x.data[row + i] * w.data[to * inFeatures + i];
    return total;
  });
}

test('Linear is x weight^T + bias over the last axis, for any leading axes', async () => {
  for (const shape of [[7], [3, 7], [2, 3, 7], [0, 7]]) {
    for (const bias of [true, false]) {
      const layer = new nn.Linear(7, 5, keys, { bias });
      const x = randomTensor(...shape);
      await assertMatches(`Linear of [${shape}]`, layer.forward(x), await linear(await read(x), layer), tolerance);
    }
  }
  const layer = new nn.Linear(7, 5, keys);
  const view = randomTensor(7, 2, 3).permute([2, 1, 0]);
  await assertMatches('Linear of a view', layer.forward(view), await linear(await read(view), layer), tolerance);
});

test('Linear starts uniform within 1 / sqrt(inFeatures), or normal with zero bias where a deviation is given', async () => {
  const layer = new nn.Linear(100, 80, keys);
  for (const parameter of layer.parameters()) {
    const { data } = await read(parameter);
    const largest = data.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    assert.ok(largest <= 0.1 && largest > 0.09, `largest ${largest}`);
  }
  const second = new nn.Linear(100, 80, keys, { std: 0.02 });
  const { data } = await read(second.weight);
  const deviation = Math.sqrt(data.reduce((total, value) => total + value * value, 0) / data.length);
  assert.ok(Math.abs(deviation - 0.02) < 0.001, `standard deviation ${deviation}`);
  assert.ok((await read(second.bias!)).data.every((value) => value === 0));
});

test('LayerNorm and GroupNorm start as plain normalisation and use their eps, weight and bias', async () => {
  const x = randomTensor(3, 6, 5).mul(2).add(30);
  const values = await read(x);
  const plain = (count: number) => [build([count], 'f32', () => 1), build([count], 'f32', () => 0)] as const;
  const [layer, group] = [new nn.LayerNorm(5), new nn.GroupNorm(3, 6)];
  const expectedLayer = norms.norm(values, ...plain(5), norms.layerNormLayout(values), 1e-5)[0];
  const expectedGroup = norms.norm(values, ...plain(6), norms.groupNormLayout(values, 3), 1e-5)[0];
  await assertMatches('LayerNorm', layer.forward(x), expectedLayer);
  await assertMatches('GroupNorm', group.forward(x), expectedGroup);
  const affine = new nn.GroupNorm(2, 6, { eps: 0.5 });
  affine.weight = randomTensor(6);
  affine.bias = randomTensor(6);
  const layout = norms.groupNormLayout(values, 2);
  const expected = norms.norm(values, await read(affine.weight), await read(affine.bias), layout, 0.5)[0];
  await assertMatches('GroupNorm with eps', affine.forward(x), expected);
});

function convolve(x: NDArray, weight: NDArray, bias: NDArray | undefined, options: nn.Conv1dOptions): NDArray {
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  const out = products.conv1d(x, weight, { stride, padding, dilation, groups });
  return build(out.shape, 'f32', (index, flat) => out.data[flat] + (bias ? bias.data[index[1]] : 0));
}

test('Conv1d', async () => {
  const x = randomTensor(2, 4, 23);
  for (const options of [
    {},
    { stride: 3, padding: 2 },
    { groups: 2, dilation: 2, bias: false },
    { groups: 4, padding: 5 },
  ]) {
    const layer = new nn.Conv1d(4, 8, 5, keys, options);
    const expected = convolve(await read(x), await read(layer.weight), layer.bias && (await read(layer.bias)), options);
    await assertMatches(`Conv1d ${JSON.stringify(options)}`, layer.forward(x), expected, tolerance);
    const bound = 1 / Math.sqrt((4 / (options.groups ?? 1)) * 5);
    for (const parameter of layer.parameters()) {
      assert.ok((await read(parameter)).data.every((value) => Math.abs(value) <= bound));
    }
  }
});

test('WeightNormConv1d starts with weight v, and each tap of its weight is as long as g', async () => {
  const layer = new nn.WeightNormConv1d(6, 9, 4, keys, { std: 0.3, groups: 3, padding: 2 });
  const v = await read(layer.weightV);
  assert.equal([...layer.weightG.shape], [1, 1, 4]);
  await assertMatches('the first weight', layer.weight(), v, { relative: 1e-6 });
  assert.ok((await read(layer.bias)).data.every((value) => value === 0));

  layer.weightG = tensor([[[1, 0.5, 2, -3]]]);
  const weight = await read(layer.weight());
  const lengths = new Float64Array(4);
  const along = new Float64Array(4);
  eachIndex(weight.shape, ([, , tap], flat) => {
    lengths[tap] += weight.data[flat] ** 2;
    along[tap] += weight.data[flat] * v.data[flat];
  });
  [1, 0.5, 2, -3].forEach((g, tap) => {
    assert.ok(Math.abs(Math.sqrt(lengths[tap]) - Math.abs(g)) < 1e-5, `tap ${tap} is ${Math.sqrt(lengths[tap])} long`);
    assert.is(Math.sign(along[tap]), Math.sign(g));
  });
  const x = randomTensor(2, 6, 11);
  const expected = convolve(await read(x), weight, await read(layer.bias), { groups: 3, padding: 2 });
  await assertMatches('WeightNormConv1d', layer.forward(x), expected, tolerance);
  // A weight that v's length does not touch: v has no gradient along itself.
  const [gradient] = grad(() => layer.forward(x).square().sum(), [layer.weightV]);
  const dv = await read(gradient);
  const dot = new Float64Array(4);
  let size = 0;
  eachIndex(dv.shape, ([, , tap], flat) => {
    dot[tap] += dv.data[flat] * v.data[flat];
    size += Math.abs(dv.data[flat] * v.data[flat]);
  });
  for (const value of dot) assert.ok(Math.abs(value) < 1e-5 * size, `${value} of ${size}`);
});

test('Dropout does nothing without keys or probability, and draws anew from every key', async () => {
  const x = ones([40, 50]);
  assert.is(new nn.Dropout(0.5).forward(x), x);
  assert.is(new nn.Dropout(0).forward(x, keySequence(1)), x);
  const dropout = new nn.Dropout(0.25);
  const sequence = keySequence(1);
  const [first, second] = [dropout.forward(x, sequence), dropout.forward(x, sequence)];
  const again = dropout.forward(x, keySequence(1));
  const [a, b, c] = await Promise.all([first, second, again].map(read));
  assert.equal(a.data, c.data);
  assert.not.equal(a.data, b.data);
  const kept = a.data.filter((value) => value !== 0);
  assert.ok(kept.every((value) => value === Math.fround(1 / 0.75)));
  // Four standard deviations of a binomial draw.
  assert.ok(Math.abs(kept.length - 1500) < 4 * Math.sqrt(2000 * 0.25 * 0.75), `${kept.length} of 2000 kept`);
});

class Block extends nn.Module {
  first: nn.Linear;
  scale: Tensor;
  layers: nn.Module[];
  readonly width = 4;
  activation = gelu;

  constructor() {
    super();
    this.layers = [new nn.LayerNorm(4), new nn.Linear(4, 2, keys, { bias: false })];
    this.scale = ones([3]);
    this.first = new nn.Linear(4, 4, keys);
  }
}

test('parameters are named by their path, in the order of the declared fields', () => {
  const block = new Block();
  const names = ['first.weight', 'first.bias', 'scale', 'layers.0.weight', 'layers.0.bias', 'layers.1.weight'];
  assert.equal([...block.namedParameters().keys()], names);
  assert.equal(
    [...block.namedParameters('model.').keys()],
    names.map((name) => `model.${name}`),
  );
  assert.is(block.namedParameters().get('scale'), block.scale);
  assert.equal(block.parameters(), [...block.namedParameters().values()]);
  assert.is(block.parameterCount(), 16 + 4 + 3 + 4 + 4 + 8);
  block.dispose();
  assert.ok(block.parameters().every((parameter) => parameter.disposed));
  const convolution = new nn.WeightNormConv1d(2, 2, 3, keys, { std: 1 });
  assert.equal([...convolution.namedParameters().keys()], ['bias', 'weightG', 'weightV']);
  const attention = new nn.MultiHeadAttention(4, 2, keys);
  assert.equal(
    [...attention.namedParameters().keys()],
    ['kProj', 'vProj', 'qProj', 'outProj'].flatMap((name) => [`${name}.weight`, `${name}.bias`]),
  );
});

test('loadStateDict fills parameters and buffers, in an arena too, or changes nothing', async () => {
  class Net extends nn.Module {
    linear = new nn.Linear(2, 2, keys);
    norm = new nn.BatchNorm1d(2);
  }
  const net = new Net();
  new optim.AdamW(net.namedParameters());
  const state = new Map<string, nn.StateEntry>(
    [...net.stateDict()].map(([name, { shape, dtype, size }], i) => [
      name,
      { shape, data: dtype === 'i32' ? BigInt64Array.of(7n) : new Float32Array(size).fill(i + 1) },
    ]),
  );
  net.loadStateDict(state);
  assert.equal(await net.linear.weight.toArray(), [
    [1, 1],
    [1, 1],
  ]);
  assert.equal(await net.norm.runningVar!.toArray(), [6, 6]);
  assert.is(await net.norm.numBatchesTracked!.item(), 7);
  const wrong = new Map([
    ...state,
    ['linear.bias', { shape: [3], data: new Float32Array(3) }],
    ['other', state.get('linear.bias')!],
  ]);
  wrong.delete('norm.weight');
  wrong.set('linear.weight', { shape: [2, 2], data: new Float32Array(4) });
  assert.throws(
    () => net.loadStateDict(wrong),
    /other: is not in the module\n {2}linear.bias: is \[3\], in the module \[2\]\n {2}norm.weight: missing/,
  );
  assert.equal(await net.linear.weight.toArray(), [
    [1, 1],
    [1, 1],
  ]);
});

test('loadStateDict takes the state of another module, and copies it', async () => {
  const [net, other] = [new nn.Linear(3, 2, keys), new nn.Linear(3, 2, keys)];
  new optim.AdamW(net.namedParameters());
  const before = await other.weight.toArray();
  assert.not.equal(await net.weight.toArray(), before);
  net.loadStateDict(other.stateDict());
  net.loadStateDict(net.stateDict());
  assert.equal(await net.weight.toArray(), before);
  // Within one arena, and from views.
  const transposed = new Map([
    ['weight', other.weight.transpose().reshape([3, 2]).transpose().neg().neg()],
    ['bias', net.weight.select(1, 0)],
  ]);
  net.loadStateDict(transposed);
  assert.equal(
    await net.bias!.toArray(),
    (before as number[][]).map(([first]) => first),
  );
  assert.equal(await other.weight.toArray(), before);
  assert.throws(
    () => net.loadStateDict(new Map([...other.stateDict(), ['bias', other.bias!.cast('i32')]])),
    /bias: is a i32 tensor of .*, in the module f32; cast it/,
  );
});

test('a parameter that two fields hold is one, with two names in the state', async () => {
  class Tied extends nn.Module {
    a = new nn.Linear(2, 2, keys, { bias: false });
    b = this.a;
    c = this.a.weight;
  }
  const tied = new Tied();
  assert.equal([...tied.namedParameters().keys()], ['a.weight']);
  assert.is(tied.parameterCount(), 4);
  assert.equal([...tied.stateDict().keys()], ['a.weight', 'b.weight', 'c']);
  const net = new Tied();
  net.loadStateDict(tied.stateDict());
  assert.equal(await net.c.toArray(), await tied.c.toArray());
});

test('crossEntropy is the mean negative log-probability of the labels', async () => {
  const logits = randomTensor(6, 5).mul(3);
  const labels = tensor(Int32Array.of(0, 4, 2, 2, 1, 3));
  const logProbabilities = norms.logSoftmax(await read(logits));
  const picked = [0, 4, 2, 2, 1, 3].map((label, row) => logProbabilities.data[row * 5 + label]);
  const expected = -picked.reduce((total, value) => total + value) / 6;
  assert.ok(Math.abs((await nn.crossEntropy(logits, labels).item()) - expected) < 1e-5);
  // Its gradient is the softmax less the one-hot labels, over the rows.
  const [gradient] = grad(() => nn.crossEntropy(logits, labels), [logits]);
  const probabilities = norms.softmax(await read(logits));
  const closed = build([6, 5], 'f32', ([row, c], flat) => {
    const hit = [0, 4, 2, 2, 1, 3][row] === c ? 1 : 0;
    return (probabilities.data[flat] - hit) / 6;
  });
  await assertMatches('gradient of crossEntropy', gradient, closed, tolerance);
  // Far apart logits neither overflow nor lose the loss.
  const far = tensor([[1000, -1000]]);
  assert.is(await nn.crossEntropy(far, tensor(Int32Array.of(0))).item(), 0);
  assert.is(await nn.crossEntropy(far, tensor(Int32Array.of(1))).item(), 2000);
  assert.throws(() => nn.crossEntropy(logits, tensor(Int32Array.of(1))), /\[6, 5\] and target \[1\]/);
});

test('mseLoss', async () => {
  assert.is(await nn.mseLoss(tensor([1, 2, 3, 4]), tensor([2, 2, 5, 0])).item(), 5.25);
});

test('a key sequence depends on seed, step and order alone, and steps do not overlap', () => {
  const draw = (seed: number, step: number, count: number) => {
    const sequence = keySequence(seed, step);
    return Array.from({ length: count }, () => sequence.next());
  };
  assert.equal(draw(5, 3, 4), draw(5, 3, 4));
  assert.equal(draw(5, 0, 3), draw(5, 0, 4).slice(0, 3));
  assert.ok(draw(5, 3, 4).every(({ seed }) => seed === 5));
  const streams = [0, 1, 2, 1e6, 1e6 + 1].flatMap((step) => draw(5, step, 100).map(({ stream }) => stream));
  assert.is(new Set(streams).size, streams.length);
  assert.ok(streams.every(Number.isSafeInteger));
  const sequence = keySequence(0, 7);
  for (let i = 0; i < 2 ** 20; i++) sequence.next();
  assert.throws(() => sequence.next(), /more than 1048576 draws/);
});

test('layers without keys, and inputs of another width, are errors by their name', () => {
  const none = undefined as never;
  assert.throws(
    () => new nn.Linear(3, 4, none),
    /Linear: keys, for its first values, are missing; pass nn.keySequence/,
  );
  assert.throws(() => new nn.Linear(3, 4, {} as never), /Linear: keys.* are object/);
  assert.throws(() => new nn.Conv1d(1, 1, 3, none), /Conv1d: keys/);
  assert.throws(() => new nn.Embedding(3, 4, none), /Embedding: keys/);
  assert.throws(() => new nn.MultiHeadAttention(4, 2, none), /MultiHeadAttention: keys/);
  assert.throws(() => new nn.LSTM(3, 4, none), /LSTM: keys/);
  const linear = new nn.Linear(3, 4, nn.keySequence(1));
  assert.throws(() => linear.forward(zeros([2, 5])), /Linear: x is \[2, 5\]; expected \[\.\.\., 3\] for 4 outputs/);
  assert.throws(() => linear.forward(zeros([])), /Linear: x is \[\]/);
});

test.run();

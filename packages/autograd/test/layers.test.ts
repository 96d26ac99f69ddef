/** Layers with state, tables and convolutions: against loops in f64, in every mode; goldens are elsewhere. */
import {
  apply,
  compile,
  conv1d,
  convNormGelu,
  groupNorm,
  normal,
  scope,
  type Tensor,
  tensor,
} from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  arrayOf,
  between,
  drawn,
  integer,
  pick,
  type Random,
  randomFrom,
  runs,
  upload,
} from '../../tensor/test/arbitraries.ts';
import { assertMatches } from '../../tensor/test/compare.ts';
import { device, hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { build, eachIndex, flatIndex, type NDArray, toHalf } from '../../tensor/test/reference/array.ts';
import { checkpoint, customVjp, grad, nn, optim, valueAndGrad, vjp } from '../src/index.ts';
import { checkGradients } from './check.ts';

const numbers = async (x: Tensor) => [...(await x.data())];
const keys = nn.keySequence(7);

/** Mean, biased and unbiased variance of each channel: two passes in f64. */
function statistics(x: NDArray): { mean: number[]; biased: number[]; unbiased: number[] } {
  const channels = x.shape[1];
  const count = x.data.length / channels;
  const sums = (each: (value: number, channel: number) => number) => {
    const total = new Array<number>(channels).fill(0);
    eachIndex(x.shape, (index, flat) => {
      total[index[1]] += each(x.data[flat], index[1]);
    });
    return total;
  };
  const mean = sums((value) => value).map((total) => total / count);
  const squares = sums((value, c) => (value - mean[c]) ** 2);
  return { mean, biased: squares.map((s) => s / count), unbiased: squares.map((s) => s / (count - 1)) };
}

interface Normalised {
  mean: ArrayLike<number>;
  variance: ArrayLike<number>;
  weight?: NDArray;
  bias?: NDArray;
  eps: number;
}

const normalised = (x: NDArray, { mean, variance, weight, bias, eps }: Normalised): NDArray =>
  build(x.shape, 'f32', (index, flat) => {
    const c = index[1];
    const hat = (x.data[flat] - mean[c]) / Math.sqrt(variance[c] + eps);
    return hat * (weight?.data[c] ?? 1) + (bias?.data[c] ?? 0);
  });

interface BatchNormDraw {
  inputs: NDArray[];
  random: Random;
  training: boolean;
  affine: boolean;
  eps: number;
  momentum: number;
  running: NDArray[];
}

const batchNormDraws = drawn({ minRank: 2, maxRank: 4, largest: 400, empty: false }, (given, random): BatchNormDraw => {
  // Two values a channel at least; with two alone the result is a sign, whose gradient is nothing but rounding.
  const shape = given.map((extent, d) => (d === 0 ? Math.max(3, extent) : extent));
  const [training, affine] = [random() < 0.6, random() < 0.7];
  const vector = (low: number, high: number) => arrayOf([shape[1]], random, between(low, high));
  return {
    inputs: [arrayOf(shape, random, between(-2, 3)), ...(affine ? [vector(-2, 2), vector(-2, 2)] : [])],
    random,
    training,
    affine,
    eps: pick(random, [1e-5, 1e-2]),
    momentum: pick(random, [0.1, 1, 0]),
    running: [vector(-2, 2), vector(0.5, 2)],
  };
});

const batchNormOf =
  (draw: BatchNormDraw, [runningMean, runningVar]: Tensor[]) =>
  ([x, weight, bias]: Tensor[]) => {
    const { training, eps, momentum } = draw;
    return nn.batchNorm(x, { weight, bias, runningMean, runningVar, training, eps, momentum });
  };

const batchNormReference =
  ({ training, eps, running }: BatchNormDraw) =>
  ([x, weight, bias]: NDArray[]) => {
    const own = statistics(x);
    const [mean, variance] = training ? [own.mean, own.biased] : [running[0].data, running[1].data];
    return normalised(x, { mean, variance, weight, bias, eps });
  };

/** Sums of up to 400 terms. */
const tolerance = { relative: 2e-5, peak: true };

test('batchNorm: values, gradients and running statistics are those of the definition', async () => {
  await fc.assert(
    fc.asyncProperty(batchNormDraws, async (draw) => {
      const { inputs, training, momentum, running, random } = draw;
      const what = `batchNorm of [${inputs[0].shape}] in ${training ? 'training' : 'evaluation'}`;
      const held = running.map(upload);
      const y = scope(() => batchNormOf(draw, held)(inputs.map(upload)));
      await assertMatches(what, y, batchNormReference(draw)(inputs), tolerance);
      y.dispose();
      const { mean, unbiased } = statistics(inputs[0]);
      for (const [i, batch] of [mean, unbiased].entries()) {
        const data = running[i].data.map((old, c) => (training ? old + momentum * (batch[c] - old) : old));
        await assertMatches(`${what}: running statistic ${i}`, held[i], { ...running[i], data }, tolerance);
      }
      const subject = { what, run: batchNormOf(draw, held), reference: batchNormReference(draw) };
      await checkGradients(subject, inputs, random);
      for (const own of held) own.dispose();
    }),
    runs,
  );
});

(hasHalf ? test : test.skip)(`batchNorm of f16 is f16, with statistics in f32${unlessHalf}`, async () => {
  await fc.assert(
    fc.asyncProperty(batchNormDraws, async (draw) => {
      const [x, ...affine] = draw.inputs;
      const rounded = { ...x, data: x.data.map(toHalf) };
      const held = draw.running.map(upload);
      const y = scope(() => batchNormOf(draw, held)([upload({ ...rounded, dtype: 'f16' }), ...affine.map(upload)]));
      const expected = batchNormReference(draw)([rounded, ...affine]);
      await assertMatches(`[${x.shape}]`, y, { ...expected, dtype: 'f16' }, tolerance);
      for (const own of [y, ...held]) {
        assert.is(own.dtype, own === y ? 'f16' : 'f32');
        own.dispose();
      }
    }),
    { ...runs, numRuns: 8 },
  );
});

test('batchNorm holds at means of 30, 100 and 1000', async () => {
  for (const mean of [30, 100, 1000]) {
    const x = arrayOf([4, 3, 50], randomFrom(mean), between(mean - 2, mean + 2));
    const [runningMean, runningVar] = [tensor([0, 0, 0]), tensor([0, 0, 0])];
    const y = nn.batchNorm(upload(x), { runningMean, runningVar, training: true, momentum: 1 });
    const own = statistics(x);
    // What an f32 mean can be off by, in deviations.
    const allowed = { relative: 1e-5, absolute: mean * 2 ** -23 };
    await assertMatches(`mean ${mean}`, y, normalised(x, { ...own, variance: own.biased, eps: 1e-5 }), allowed);
    const vector = (data: number[]): NDArray => ({ dtype: 'f32', shape: [3], data: Float64Array.from(data) });
    await assertMatches('running mean', runningMean, vector(own.mean), { relative: 1e-6 });
    await assertMatches('running variance', runningVar, vector(own.unbiased), { relative: 1e-5 });
    const again = nn.batchNorm(upload(x), { runningMean, runningVar });
    const expected = normalised(x, { ...own, variance: own.unbiased, eps: 1e-5 });
    await assertMatches(`evaluation at ${mean}`, again, expected, allowed);
  }
});

test('a channel that does not vary has variance zero, not less', async () => {
  const layer = new nn.BatchNorm1d(2, { momentum: null });
  const y = layer.forward(
    tensor([
      [3, 1],
      [3, 2],
    ]),
    { training: true },
  );
  assert.equal((await numbers(y)).map(Math.round), [0, -1, 0, 1]);
  const [constant, other] = await numbers(layer.runningVar as Tensor);
  assert.ok(constant >= 0 && constant < 1e-9 && Math.abs(other - 0.5) < 1e-6, `${constant} and ${other}`);
});

class Net extends nn.Module {
  first = new nn.Conv1d(2, 4, 3, nn.keySequence(1));
  norms = [new nn.BatchNorm1d(4), new nn.BatchNorm1d(4, { affine: false, momentum: null })];
  out = new nn.Linear(4, 1, nn.keySequence(2));

  forward(x: Tensor, training: boolean, wrap: Wrap = plain): Tensor {
    const block = wrap((y) => this.norms[1].forward(this.norms[0].forward(y, { training }).gelu(), { training }));
    return this.out.forward(block(this.first.forward(x)).mean({ dim: 2 }));
  }
}

type Wrap = (fn: (x: Tensor) => Tensor) => (x: Tensor) => Tensor;
const plain: Wrap = (fn) => fn;

test('buffers are no parameters, belong to the state, and keep PyTorch’s names and order', () => {
  const net = new Net();
  const parameters = ['first.weight', 'first.bias', 'norms.0.weight', 'norms.0.bias', 'out.weight', 'out.bias'];
  const own = ['runningMean', 'runningVar', 'numBatchesTracked'];
  const buffers = ['norms.0', 'norms.1'].flatMap((norm) => own.map((name) => `${norm}.${name}`));
  assert.equal([...net.namedParameters().keys()], parameters);
  assert.equal(
    [...net.namedBuffers('net.').keys()],
    buffers.map((name) => `net.${name}`),
  );
  const norm = net.norms[0];
  assert.equal([...norm.stateDict().keys()], ['weight', 'bias', ...own]);
  assert.is(norm.stateDict().get('runningMean'), norm.runningMean);
  assert.is(norm.numBatchesTracked?.dtype, 'i32');
  assert.is(net.parameterCount(), 24 + 4 + 8 + 4 + 1);
  assert.is(new nn.BatchNorm2d(3, { trackRunningStats: false }).namedBuffers().size, 0);
  net.dispose();
  assert.ok([...net.stateDict().values()].every(({ disposed }) => disposed));
});

const x = upload(arrayOf([5, 2, 9], randomFrom(3)));

/** Three steps of training; what they gave, and the state after them. */
async function train(step: (net: Net) => (x: Tensor) => Tensor[]): Promise<number[][]> {
  const net = new Net();
  const run = step(net);
  const results: number[][] = [];
  for (let i = 0; i < 3; i++) {
    const outputs = scope(() => run(x.mul(i + 1)));
    for (const output of outputs) {
      results.push(await numbers(output));
      output.dispose();
    }
  }
  for (const buffer of net.namedBuffers().values()) results.push(await numbers(buffer));
  const evaluated = scope(() => net.forward(x, false));
  results.push(await numbers(evaluated));
  evaluated.dispose();
  net.dispose();
  return results;
}

const steps =
  (wrap: Wrap) =>
  (net: Net) =>
  (input: Tensor): Tensor[] => {
    const { value, gradients } = valueAndGrad(() => net.forward(input, true, wrap).square().sum(), net.parameters());
    return [value, ...gradients];
  };

function assertClose(actual: number[][], expected: number[][]): void {
  actual.forEach((list, i) => {
    const peak = Math.max(...expected[i].map(Math.abs), 1e-3);
    list.forEach((value, at) => {
      assert.ok(Math.abs(value - expected[i][at]) <= 2e-5 * peak, `result ${i}: ${value}, expected ${expected[i][at]}`);
    });
  });
}

test('running statistics move once a step: eagerly, checkpointed, nested and compiled', async () => {
  const expected = await train(steps(plain));
  const counts = expected.filter((list) => list.length === 1).slice(-2);
  assert.equal(counts, [[3], [3]]);
  assert.equal(await train(steps(checkpoint)), expected);
  const nested: Wrap = (fn) => checkpoint((y) => checkpoint(fn)(y));
  assert.equal(await train(steps(nested)), expected);
  assertClose(await train((net) => compile(steps(plain)(net), { verify: 'always' })), expected);
  assertClose(await train((net) => compile(steps(checkpoint)(net), { verify: 'always' })), expected);
});

test('a compiled step with an optimiser trains what a compiled evaluation then sees', async () => {
  const net = new Net();
  const parameters = net.namedParameters();
  const optimizer = new optim.AdamW(parameters);
  const target = tensor([[1], [-1], [1], [-1], [0]]);
  const step = compile((input: Tensor) => {
    const { value, gradients } = valueAndGrad(() => nn.mseLoss(net.forward(input, true), target), parameters);
    optimizer.step(gradients, 3e-2);
    return value;
  });
  const evaluate = compile((input: Tensor) => nn.mseLoss(net.forward(input, false), target));
  const losses: number[] = [];
  for (let i = 0; i < 60; i++) losses.push(await step(x).item());
  assert.ok(losses[59] < 0.2 * losses[0], `the loss went from ${losses[0]} to ${losses[59]}`);
  assert.is(await net.norms[0].numBatchesTracked?.item(), 60);
  const plainly = await nn.mseLoss(net.forward(x, false), target).item();
  const evaluated = await evaluate(x).item();
  assert.ok(Math.abs(evaluated - plainly) < 1e-5, `${evaluated}, eagerly ${plainly}`);
  // The running statistics follow those of the batch.
  assert.ok(evaluated < 0.5 * losses[0], `evaluation gives ${evaluated}`);
  step.dispose();
  evaluate.dispose();
});

test('running statistics move once where a rule of one’s own runs its function again', async () => {
  const layer = new nn.BatchNorm1d(2);
  const wrapped = customVjp({
    forward: (y) => {
      const out = layer.forward(y, { training: true });
      return { output: out, saved: [out.tanh()] };
    },
    backward: (gradient, [kept]) => [gradient.mul(kept)],
  });
  const input = tensor([
    [1, 2],
    [3, 5],
    [-1, 0],
  ]);
  const [second] = grad(
    () =>
      grad(() => wrapped(input).square().sum(), [input])[0]
        .square()
        .sum(),
    [input],
  );
  assert.ok((await numbers(second)).every(Number.isFinite));
  assert.is(await layer.numBatchesTracked?.item(), 1);
});

test('steady training holds what it held', () => {
  const net = new Net();
  const run = () => scope(() => void steps(checkpoint)(net)(x));
  run();
  const held = device.statistics().liveBytes;
  for (let i = 0; i < 3; i++) run();
  assert.is(device.statistics().liveBytes, held);
  net.dispose();
});

test('errors of batch normalisation name what was wrong', () => {
  const vector = tensor([1, 2, 3]);
  const [runningMean, runningVar] = [vector, vector];
  const image = tensor([1, 2, 3]).reshape([1, 3, 1, 1]);
  const cases: [() => unknown, RegExp][] = [
    [
      () => nn.batchNorm(tensor([[1, 2, 3]]), { training: true }),
      /\[1, 3\]; training needs more than one value a channel/,
    ],
    [() => new nn.BatchNorm2d(3).forward(image, { training: true }), /\[1, 3, 1, 1\]; training needs more than one/],
    [() => nn.batchNorm(vector, { runningMean, runningVar }), /expected floats \[batch, channels, ...\]/],
    [() => nn.batchNorm(tensor([[1]], { dtype: 'i32' }), { training: true }), /expected floats/],
    [() => nn.batchNorm(tensor([[1, 2]]), { runningMean, runningVar }), /runningMean is \[3\].* has 2 channels/],
    [() => nn.batchNorm(image, { runningMean, runningVar, weight: tensor([1]) }), /weight is \[1\].* has 3 channels/],
    [() => nn.batchNorm(image), /outside training it needs both runningMean and runningVar/],
    [() => nn.batchNorm(image.expand([2, 3, 1, 1]), { runningMean, training: true }), /in training both or neither/],
    [() => new nn.BatchNorm1d(3).forward(image), /BatchNorm1d: the input is \[1, 3, 1, 1\]; expected/],
    [() => new nn.BatchNorm2d(3).forward(tensor([[1, 2, 3]])), /BatchNorm2d: the input is \[1, 3\]; expected/],
    [() => apply('lerp', [vector, tensor([1]), tensor([1])], {}), /lerp: average \[3\], value \[1\]/],
    [() => apply('lerp', [vector, vector, tensor([1])], {}), /share its memory with neither/],
    [() => apply('lerp', [vector, tensor([1, 2, 3]), tensor([1], { dtype: 'i32' })], {}), /the weight is i32/],
    [
      () =>
        grad(() => {
          apply('lerp', [tensor([1, 2, 3]), vector, tensor([1])], {});
          return vector.sum();
        }, [vector]),
      /lerp changes its inputs in place and has no gradient/,
    ],
  ];
  for (const [run, message] of cases) assert.throws(run, message);
});

test('embedding takes the rows that the index names, and its gradient adds them up but for the padding', async () => {
  const draws = drawn({ minRank: 0, maxRank: 3, largest: 60 }, (shape, random) => {
    const [rows, features] = [integer(random, 1, 7), integer(random, 1, 9)];
    const index = build(shape, 'i32', () => integer(random, 0, rows - 1));
    const paddingIdx = random() < 0.6 ? integer(random, -rows, rows - 1) : undefined;
    return { index, weight: arrayOf([rows, features], random), paddingIdx, random };
  });
  await fc.assert(
    fc.asyncProperty(draws, async ({ index, weight, paddingIdx }) => {
      const [rows, features] = weight.shape;
      const what = `embedding of [${index.shape}], [${weight.shape}], padding ${paddingIdx}`;
      const [at, table] = [upload(index), upload(weight)];
      const factor = build([...index.shape, features], 'f32', (_, i) => ((i * 7) % 11) - 5);
      const scale = upload(factor);
      const { value, gradients, auxiliary } = valueAndGrad(() => {
        const auxiliary = nn.embedding(at, table, { paddingIdx });
        return { loss: auxiliary.mul(scale).sum(), auxiliary };
      }, [table]);
      const taken = build(factor.shape, 'f32', (place) => {
        const row = index.data[flatIndex(index.shape, place.slice(0, -1))];
        return weight.data[row * features + place[place.length - 1]];
      });
      await assertMatches(what, auxiliary, taken);
      const sums = build(weight.shape, 'f32', () => 0);
      index.data.forEach((row, i) => {
        if (paddingIdx !== undefined && row === (paddingIdx + rows) % rows) return;
        for (let f = 0; f < features; f++) sums.data[row * features + f] += factor.data[i * features + f];
      });
      await assertMatches(`gradient of ${what}`, gradients[0], sums);
      for (const own of [value, auxiliary, ...gradients, at, table, scale]) own.dispose();
    }),
    runs,
  );
});

test('Embedding starts normal with zeros for padding, works in every mode and in f16', async () => {
  const layer = new nn.Embedding(300, 20, keys, { paddingIdx: -1 });
  assert.equal([...layer.namedParameters().keys()], ['weight']);
  const start = await numbers(layer.weight);
  assert.ok(start.slice(-20).every((value) => value === 0));
  const deviation = Math.sqrt(start.reduce((total, value) => total + value * value, 0) / (299 * 20));
  assert.ok(Math.abs(deviation - 1) < 0.05, `standard deviation ${deviation}`);
  const index = tensor(
    [
      [3, 299, 3],
      [0, 1, -7],
    ],
    { dtype: 'i32' },
  );
  const out = await numbers(layer.forward(index.sliceAxis(1, 0, 2)));
  assert.equal(out.slice(20, 40), new Array(20).fill(0));
  assert.ok(Number.isNaN((await numbers(layer.forward(index))).at(-1)));
  const step = (wrap: Wrap) => (at: Tensor) => {
    const { value, gradients } = valueAndGrad(() => wrap((i) => layer.forward(i).square())(at).sum(), [layer.weight]);
    return [value, ...gradients];
  };
  const known = index.sliceAxis(1, 0, 2);
  const expected = await Promise.all(step(plain)(known).map(numbers));
  assert.equal(await Promise.all(step(checkpoint)(known).map(numbers)), expected);
  assertClose(await Promise.all(compile(step(plain))(known).map(numbers)), expected);
  if (hasHalf) {
    const half = layer.weight.cast('f16');
    const [gradient] = grad(() => nn.embedding(known, half, { paddingIdx: -1 }).sum(), [half]);
    assert.is(gradient.dtype, 'f16');
    assert.equal((await numbers(gradient)).slice(-20), new Array(20).fill(0));
  }
  assert.throws(() => nn.embedding(known, half(3), {}), /the weight is \[3\]; expected \[rows, features\]/);
  assert.throws(
    () => nn.embedding(known, layer.weight, { paddingIdx: 300 }),
    /paddingIdx is 300, but there are 300 rows/,
  );
  assert.throws(() => new nn.Embedding(3, 2, keys, { paddingIdx: -4 }), /Embedding: paddingIdx is -4/);
  assert.throws(() => layer.forward(tensor([1.5])), /i32/);

  function half(count: number): Tensor {
    return tensor(new Array(count).fill(0));
  }
});

test('Conv2d and transposed convolutions start as in PyTorch, and pass their options on', async () => {
  const layer = new nn.Conv2d(4, 6, [3, 2], keys, { groups: 2, stride: 2, padding: [1, 0] });
  assert.equal([...layer.weight.shape], [6, 2, 3, 2]);
  assert.equal([...layer.forward(upload(arrayOf([2, 4, 9, 8], randomFrom(1)))).shape], [2, 6, 5, 4]);
  const transposed = new nn.ConvTranspose1d(4, 6, 5, keys, { groups: 2, stride: 3, outputPadding: 1 });
  assert.equal([...transposed.weight.shape], [4, 3, 5]);
  assert.equal([...transposed.forward(upload(arrayOf([2, 4, 7], randomFrom(2)))).shape], [2, 6, 18 + 5 + 1]);
  const image = new nn.ConvTranspose2d(4, 6, [5, 2], keys, { groups: 2, stride: [3, 1], outputPadding: [1, 0] });
  assert.equal([...image.weight.shape], [4, 3, 5, 2]);
  assert.equal([...image.forward(upload(arrayOf([2, 4, 7, 3], randomFrom(3)))).shape], [2, 6, 18 + 5 + 1, 4]);
  for (const [own, fanIn] of [
    [layer, 12],
    [transposed, 15],
    [image, 30],
  ] as const) {
    for (const parameter of own.parameters()) {
      const largest = Math.max(...(await numbers(parameter)).map(Math.abs));
      assert.ok(largest <= 1 / Math.sqrt(fanIn) && largest > 0.5 / Math.sqrt(fanIn), `largest ${largest}`);
    }
  }
  assert.equal([...new nn.Conv2d(1, 2, 3, keys, { bias: false, std: 0.1 }).namedParameters().keys()], ['weight']);
  assert.equal([...new nn.ConvTranspose1d(1, 2, 3, keys, { bias: false }).namedParameters().keys()], ['weight']);
  assert.equal([...new nn.ConvTranspose2d(1, 2, 3, keys, { bias: false }).namedParameters().keys()], ['weight']);
});

test('of a first stage whose signal is no parameter the kernels give what the three operations give', async () => {
  const [signal, weight, scale, shift, g] = [[2, 1, 300], [5, 1, 10], [5], [5], [2, 5, 59]].map((shape, stream) =>
    normal(shape, { seed: 9, stream }),
  );
  const parameters = [weight, scale, shift];
  const gradientsOf = (stage: (...own: Tensor[]) => Tensor) => {
    const kernels: string[] = [];
    device.recorder.onDispatch = (kernel) => kernels.push(kernel);
    try {
      return { gradients: vjp(stage, parameters, g).gradients, kernels };
    } finally {
      device.recorder.onDispatch = undefined;
    }
  };
  const own = gradientsOf((w, a, b) => convNormGelu(signal, w, a, b, { stride: 5 }));
  const composed = gradientsOf((w, a, b) => groupNorm(conv1d(signal, w, { stride: 5 }), 5, a, b).gelu());
  assert.ok(own.kernels.includes('conv_norm_gelu_backward') && !own.kernels.includes('conv1d'), own.kernels.join());
  for (const [i, gradient] of own.gradients.entries()) {
    const [found, expected] = await Promise.all([gradient, composed.gradients[i]].map(numbers));
    const largest = Math.max(...expected.map(Math.abs));
    found.forEach((value, at) => {
      assert.ok(
        Math.abs(value - expected[at]) < 1e-5 * largest,
        `gradient ${i}, element ${at}: ${value}, ${expected[at]}`,
      );
    });
  }
});

test.run();

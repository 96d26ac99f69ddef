/** Losses against loops in f64, their gradients against central differences, what they refuse; goldens are elsewhere. */
import { compile, normal, scope, type Tensor, tensor } from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrayOf, between, drawn, integer, pick, type Random, runs, upload } from '../../tensor/test/arbitraries.ts';
import { assertMatches } from '../../tensor/test/compare.ts';
import { hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { build, eachIndex, flatIndex, type NDArray, toHalf } from '../../tensor/test/reference/array.ts';
import { checkpoint, grad, nn, valueAndGrad } from '../src/index.ts';
import { checkGradients } from './check.ts';

type Reduction = 'mean' | 'sum' | 'none';
const reductions: Reduction[] = ['mean', 'sum', 'none'];

/** One loss as the tests see it: which inputs are differentiated is told by their dtype. */
interface Loss {
  name: string;
  inputs: NDArray[];
  run(inputs: Tensor[]): Tensor;
  reference(inputs: NDArray[]): NDArray;
}

const reduced = (losses: NDArray, reduction: Reduction, count = losses.data.length): NDArray => {
  if (reduction === 'none') return losses;
  const total = losses.data.reduce((sum, value) => sum + value, 0);
  return build([], 'f32', () => (reduction === 'sum' ? total : total / count));
};

const elementwise =
  (reduction: Reduction, each: (...values: number[]) => number) =>
  ([first, ...rest]: NDArray[]): NDArray =>
    reduced(
      build(first.shape, 'f32', (index, flat) =>
        each(first.data[flat], ...rest.map((x) => x.data[flatIndex(x.shape, index)])),
      ),
      reduction,
    );

/** Minus the log-probabilities of every class, by the definition. */
function surprise(logits: NDArray, axis: number): NDArray {
  return build(logits.shape, 'f32', (index) => {
    const at = (c: number) =>
      logits.data[
        flatIndex(
          logits.shape,
          index.map((i, d) => (d === axis ? c : i)),
        )
      ];
    const all = Array.from({ length: logits.shape[axis] }, (_, c) => at(c));
    const top = Math.max(...all);
    return top + Math.log(all.reduce((sum, value) => sum + Math.exp(value - top), 0)) - at(index[axis]);
  });
}

interface ClassDraw {
  weight: boolean;
  labelSmoothing: number;
  reduction: Reduction;
  ignoreIndex: number | undefined;
}

function classLoss(shape: number[], random: Random): Loss {
  const axis = shape.length === 1 ? 0 : 1;
  const classes = shape[axis];
  const options: ClassDraw = {
    weight: random() < 0.5,
    labelSmoothing: pick(random, [0, 0, 0.3]),
    reduction: pick(random, reductions),
    ignoreIndex: pick(random, [undefined, 0, classes + 3]),
  };
  const { labelSmoothing, reduction, ignoreIndex } = options;
  const ignored = ignoreIndex ?? -100;
  const targets = build(
    shape.filter((_, d) => d !== axis),
    'i32',
    () => (random() < 0.2 ? ignored : integer(random, 0, classes - 1)),
  );
  const weights = build([classes], 'f32', () => Math.fround(options.weight ? 0.2 + random() : 1));
  const weight = options.weight ? upload(weights) : undefined;
  return {
    name: `crossEntropy of [${shape}] with ${JSON.stringify(options)}`,
    inputs: [arrayOf(shape, random, between(-4, 4))],
    run: ([x]) => nn.crossEntropy(x, upload(targets), { weight, labelSmoothing, reduction, ignoreIndex }),
    reference: ([x]) => {
      const terms = surprise(x, axis);
      let share = 0;
      const losses = build(targets.shape, 'f32', (index, flat) => {
        const target = targets.data[flat];
        if (target === ignored) return 0;
        share += weights.data[target];
        let total = 0;
        for (let c = 0; c < classes; c++) {
          const place = axis === 0 ? [c] : [index[0], c, ...index.slice(1)];
          const probability = (c === target ? 1 - labelSmoothing : 0) + labelSmoothing / classes;
          // Smoothing is weighted by each class, the target by its own.
          total += probability * weights.data[c] * terms.data[flatIndex(x.shape, place)];
        }
        return total;
      });
      return reduced(losses, reduction, share);
    },
  };
}

function probabilityLoss(shape: number[], random: Random): Loss {
  const axis = shape.length === 1 ? 0 : 1;
  const reduction = pick(random, reductions);
  return {
    name: `crossEntropy of [${shape}] with probabilities, ${reduction}`,
    inputs: [arrayOf(shape, random), arrayOf(shape, random, between(0, 1))],
    run: ([x, y]) => nn.crossEntropy(x, y, { reduction }),
    reference: ([x, y]) => {
      const terms = surprise(x, axis);
      const rest = shape.filter((_, d) => d !== axis);
      const losses = build(rest, 'f32', () => 0);
      eachIndex(shape, (index, flat) => {
        losses.data[
          flatIndex(
            rest,
            index.filter((_, d) => d !== axis),
          )
        ] += y.data[flat] * terms.data[flat];
      });
      return reduced(losses, reduction);
    },
  };
}

function questionLoss(shape: number[], random: Random): Loss {
  const reduction = pick(random, reductions);
  const weighted = random() < 0.5;
  const row = () => arrayOf(shape.slice(-1), random, between(0.2, 3));
  const factors = weighted ? [row(), row()] : [];
  const [weight, posWeight] = factors.map(upload);
  return {
    name: `binaryCrossEntropyWithLogits of [${shape}], ${reduction}${weighted ? ', weighted' : ''}`,
    inputs: [arrayOf(shape, random, between(-5, 5)), arrayOf(shape, random, between(0, 1))],
    run: ([x, y]) => nn.binaryCrossEntropyWithLogits(x, y, { weight, posWeight, reduction }),
    reference: (inputs) =>
      elementwise(reduction, (x, y, w = 1, p = 1) => {
        const s = 1 / (1 + Math.exp(-x));
        return -w * (p * y * Math.log(s) + (1 - y) * Math.log(1 - s));
      })([...inputs, ...factors]),
  };
}

/** Differences that keep away from the kinks at 0 and at `beta`. */
function differences(shape: number[], random: Random, beta: number): NDArray[] {
  const a = arrayOf(shape, random);
  const b = build(shape, 'f32', (_, i) => {
    const size = pick(random, [0.1 * beta, 0.6 * beta, beta + 0.3, beta + 1.7]) + 0.01;
    return Math.fround(a.data[i] + (random() < 0.5 ? -size : size));
  });
  return [a, b];
}

function differenceLoss(shape: number[], random: Random): Loss {
  const reduction = pick(random, reductions);
  const beta = pick(random, [0.5, 1, 2]);
  const kind = pick(random, ['mseLoss', 'l1Loss', 'smoothL1Loss'] as const);
  const each = {
    mseLoss: (d: number) => d * d,
    l1Loss: Math.abs,
    smoothL1Loss: (d: number) => (Math.abs(d) < beta ? (0.5 * d * d) / beta : Math.abs(d) - beta / 2),
  }[kind];
  return {
    name: `${kind} of [${shape}], ${reduction}`,
    inputs: differences(shape, random, beta),
    run: ([a, b]) => nn[kind](a, b, kind === 'smoothL1Loss' ? { reduction, beta } : { reduction }),
    reference: elementwise(reduction, (a, b) => each(a - b)),
  };
}

function divergence(shape: number[], random: Random): Loss {
  const reduction = pick(random, reductions);
  const logTarget = random() < 0.5;
  return {
    name: `klDiv of [${shape}], ${reduction}${logTarget ? ' of logarithms' : ''}`,
    inputs: [arrayOf(shape, random), arrayOf(shape, random, between(0.05, 2))],
    run: ([x, t]) => nn.klDiv(x, t, { logTarget, reduction }),
    reference: elementwise(reduction, (x, t) => (logTarget ? Math.exp(t) * (t - x) : t * (Math.log(t) - x))),
  };
}

function angle(given: number[], random: Random): Loss {
  const dim = integer(random, 0, given.length - 1);
  // On a line the gradient is zero, and what rounding leaves of it has no peak to compare with.
  const shape = given.map((extent, d) => (d === dim ? Math.max(extent, 3) : extent));
  // Another extent of 1 stretches.
  const stretched = shape.map((extent, d) => (d !== dim && random() < 0.3 ? 1 : extent));
  const eps = pick(random, [1e-8, 3]);
  return {
    name: `cosineSimilarity of [${shape}] and [${stretched}] along ${dim}, eps ${eps}`,
    inputs: [arrayOf(shape, random, between(0.5, 2)), arrayOf(stretched, random)],
    run: ([a, b]) => nn.cosineSimilarity(a, b, { dim, eps }),
    reference: ([a, b]) => {
      const rest = shape.filter((_, d) => d !== dim);
      return build(rest, 'f32', (index) => {
        const [dot, aa, bb] = [0, 0, 0].map((_, kind) => {
          let total = 0;
          for (let i = 0; i < shape[dim]; i++) {
            const place = [...index.slice(0, dim), i, ...index.slice(dim)];
            const [x, y] = [a, b].map((own) => own.data[flatIndex(own.shape, place)]);
            total += [x * y, x * x, y * y][kind];
          }
          return total;
        });
        return dot / (Math.max(Math.sqrt(aa), eps) * Math.max(Math.sqrt(bb), eps));
      });
    },
  };
}

const families = { classLoss, probabilityLoss, questionLoss, differenceLoss, divergence, angle };
const shaped = { minRank: 1, maxRank: 4, largest: 200, empty: false };

/** Sums of up to 200 terms around one. */
const tolerance = { relative: 1e-5, peak: true };

for (const [name, family] of Object.entries(families)) {
  const losses = drawn(shaped, (shape, random) => ({ shape, random }));
  test(`${name}: values and gradients are those of the definition`, async () => {
    await fc.assert(
      fc.asyncProperty(losses, async ({ shape, random }) => {
        const loss = family(shape, random);
        const expected = loss.reference(loss.inputs);
        // All of them ignored: a mean of nothing.
        if (expected.data.some(Number.isNaN)) return;
        const value = scope(() => loss.run(loss.inputs.map(upload)));
        await assertMatches(loss.name, value, expected, tolerance);
        value.dispose();
        await checkGradients({ what: loss.name, run: loss.run, reference: loss.reference }, loss.inputs, random);
      }),
      { ...runs, numRuns: Math.ceil(runs.numRuns / 2) },
    );
  });
}

const numbers = async (x: Tensor) => [...(await x.data())];
const labels = (...values: number[]) => tensor(Int32Array.from(values));

test('what is ignored counts nothing, whatever its logits are; a class that is not there is NaN', async () => {
  const logits = tensor([
    [1, 2, 3],
    [Number.NaN, Number.POSITIVE_INFINITY, 0],
    [0, 0, 0],
  ]);
  const { value, gradients } = valueAndGrad(() => nn.crossEntropy(logits, labels(0, -100, 2)), [logits]);
  const first = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3)) - 1;
  assert.ok(Math.abs((await value.item()) - (first + Math.log(3)) / 2) < 1e-6);
  assert.ok((await numbers(gradients[0].slice(0))).every(Number.isFinite));
  const each = await numbers(
    nn.crossEntropy(
      tensor([
        [1, 2],
        [3, 4],
        [5, 6],
      ]),
      labels(2, -1, 0),
      { reduction: 'none' },
    ),
  );
  assert.equal(each.map(Number.isNaN), [true, true, false]);
  // A mean over nothing, as in PyTorch.
  assert.ok(Number.isNaN(await nn.crossEntropy(tensor([[1, 2]]), labels(-100)).item()));
  assert.is(await nn.crossEntropy(tensor([[1, 2]]), labels(-100), { reduction: 'sum' }).item(), 0);
});

test('far logits neither overflow nor lose the loss', async () => {
  const x = tensor([1e4, -1e4, 100, -100]);
  const losses = nn.binaryCrossEntropyWithLogits(x, tensor([0, 1, 1, 0]), { reduction: 'none' });
  const [a, b, c, d] = await numbers(losses);
  assert.equal([a, b], [1e4, 1e4]);
  assert.ok(c >= 0 && c < 1e-30 && d >= 0 && d < 1e-30, `${c} and ${d}`);
  const [gradient] = grad(() => nn.binaryCrossEntropyWithLogits(x, tensor([0, 1, 1, 0]), { reduction: 'sum' }), [x]);
  assert.equal((await numbers(gradient)).map(Math.round), [1, -1, 0, 0]);
});

test('a probability of zero diverges from nothing, and vectors of zero have no angle', async () => {
  const input = tensor([Number.NEGATIVE_INFINITY, Math.log(0.5)]);
  assert.is(await nn.klDiv(input, tensor([0, 0.5]), { reduction: 'sum' }).item(), 0);
  const zero = tensor([[0, 0]]);
  const { value, gradients } = valueAndGrad(() => nn.cosineSimilarity(zero, tensor([[3, 4]])).sum(), [zero]);
  assert.is(await value.item(), 0);
  assert.ok((await numbers(gradients[0])).every(Number.isFinite));
});

(hasHalf ? test : test.skip)(`losses of f16 are those of the same values in f32, in f32${unlessHalf}`, async () => {
  const half = (x: NDArray) => upload({ ...x, dtype: 'f16', data: x.data.map(toHalf) });
  await fc.assert(
    fc.asyncProperty(
      drawn(shaped, (shape, random) => ({ shape, random })),
      async ({ shape, random }) => {
        for (const family of Object.values(families)) {
          const loss = family(shape, random);
          const values = loss.inputs.map((x) => ({ ...x, data: x.data.map(toHalf) }));
          const expected = loss.reference(values);
          if (expected.data.some(Number.isNaN)) continue;
          const value = scope(() => loss.run(loss.inputs.map(half)));
          const dtype = family === angle ? 'f16' : 'f32';
          await assertMatches(loss.name, value, { ...expected, dtype }, tolerance);
          value.dispose();
        }
      },
    ),
    { ...runs, numRuns: 3 },
  );
});

test('compiled and checkpointed losses are those of the functions themselves', async () => {
  const random = (() => {
    let at = 0;
    return () => (at = (at * 16807 + 17) % 2147483647) / 2147483647;
  })();
  for (const family of Object.values(families)) {
    const loss = family([4, 5, 3], random);
    const inputs = loss.inputs.map(upload);
    const step = (wrap: (fn: (...x: Tensor[]) => Tensor) => (...x: Tensor[]) => Tensor) => (given: Tensor[]) => {
      const { value, gradients } = valueAndGrad(() => wrap((...x) => loss.run(x))(...given).sum(), given);
      return [value, ...gradients];
    };
    const plain = await Promise.all(step((fn) => fn)(inputs).map(numbers));
    assert.equal(await Promise.all(step(checkpoint)(inputs).map(numbers)), plain, loss.name);
    const compiled = compile(step((fn) => fn));
    const replayed = await Promise.all(compiled(inputs).map(numbers));
    replayed.forEach((list, i) => {
      const peak = Math.max(...plain[i].map(Math.abs));
      list.forEach((value, at) => {
        assert.ok(Math.abs(value - plain[i][at]) <= 1e-5 * peak, `${loss.name}: ${value}, eagerly ${plain[i][at]}`);
      });
    });
    compiled.dispose();
  }
});

test('errors name the shapes, and say where the classes are', () => {
  const logits = tensor([[1, 2, 3]]).expand([4, 3]);
  const target = labels(0, 1, 2, 0);
  const cases: [() => unknown, RegExp][] = [
    [() => nn.crossEntropy(logits, labels(1)), /input \[4, 3\] and target \[1\]; .*the classes are axis 1/],
    [() => nn.crossEntropy(tensor(1), labels(1)), /the logits are a scalar/],
    [() => nn.crossEntropy(logits.reshape([2, 2, 3]), labels(0, 1).reshape([1, 2])), /the classes are axis 1/],
    [() => nn.crossEntropy(logits, target.cast('bool')), /crossEntropy: class indices are bool; expected i32 or u32/],
    [() => nn.crossEntropy(logits, target, { weight: tensor([1, 1]) }), /weight is \[2\]; expected \[3\]/],
    [() => nn.crossEntropy(logits, target, { labelSmoothing: 1.5 }), /labelSmoothing is 1.5; expected 0 to 1/],
    [() => nn.crossEntropy(logits, target, { reduction: 'max' as never }), /"max"; expected 'mean', 'sum' or 'none'/],
    [() => nn.crossEntropy(logits, tensor([1, 2, 3])), /\[4, 3\] and \[3\]; expected one shape/],
    [() => nn.crossEntropy(logits, logits, { ignoreIndex: 1 }), /ignoreIndex is for class indices/],
    [() => nn.nllLoss(logits, labels(1)), /nllLoss: input \[4, 3\] and target \[1\]/],
    [() => nn.binaryCrossEntropyWithLogits(logits, tensor([1, 2, 3])), /\[4, 3\] and \[3\]; expected one shape/],
    [
      () => nn.binaryCrossEntropyWithLogits(tensor([1]), tensor([1]), { weight: tensor([1, 2]) }),
      /stretch \[1\] to \[2\]/,
    ],
    [() => nn.mseLoss(logits, tensor([1, 2, 3])), /mseLoss: \[4, 3\] and \[3\]; expected one shape/],
    [() => nn.l1Loss(logits, tensor([1, 2, 3])), /l1Loss: \[4, 3\] and \[3\]/],
    [() => nn.smoothL1Loss(logits, logits, { beta: -1 }), /beta is -1; expected 0 or more/],
    [() => nn.klDiv(logits, tensor([1])), /klDiv: \[4, 3\] and \[1\]/],
    [() => nn.cosineSimilarity(logits, logits, { dim: 2 }), /axis 2 does not exist in rank 2/],
    [() => nn.cosineSimilarity(logits, tensor([1, 2])), /do not broadcast/],
    [() => nn.cosineEmbeddingLoss(logits, logits, labels(1, -1)), /with target \[2\]; expected \[batch, features\]/],
  ];
  for (const [run, message] of cases) assert.throws(run, message);
});

test('classes and indices may be u32', async () => {
  const logits = normal([3, 4], { seed: 1, stream: 5 });
  const target = tensor(Int32Array.of(3, 0, -100));
  const same = async (run: (own: Tensor) => Tensor) =>
    assert.equal([...(await run(target.cast('u32')).data())], [...(await run(target).data())]);
  await same((own) => nn.crossEntropy(logits, own));
  await same((own) => nn.nllLoss(logits, own, { reduction: 'sum' }));
  await same((own) => nn.embedding(own, logits));
  await same((own) => nn.embedding(own, logits, { paddingIdx: 0 }));
  assert.throws(() => nn.mseLoss(target, target), /mseLoss: the losses are i32\[3\]; use .cast/);
  assert.throws(() => nn.embedding(logits, logits), /embedding: the index is f32\[3, 4\]; expected i32 or u32/);
});

test('options that there are not, and class indices in floats, are errors', () => {
  const x = normal([3, 4], { seed: 1, stream: 6 });
  const target = tensor(Int32Array.of(3, 0, 1));
  const misspelt = { ignoreindex: 0 } as object;
  assert.throws(
    () => nn.crossEntropy(x, target, misspelt),
    /crossEntropy: the options are .*ignoreIndex.*; there is no 'ignoreindex'/,
  );
  const layers = [
    (options: object) => new nn.LayerNorm(4, options),
    (options: object) => new nn.BatchNorm1d(4, options),
    (options: object) => new nn.Embedding(4, 2, nn.keySequence(1), options),
    (options: object) => new nn.Linear(4, 2, nn.keySequence(1), options),
  ];
  for (const layer of layers) assert.throws(() => layer({ epsilon: 1 }), /there is no 'epsilon'/);
  assert.throws(() => nn.nllLoss(x, target, misspelt), /there is no 'ignoreindex'/);
  assert.throws(() => nn.klDiv(x, x, misspelt), /there is no 'ignoreindex'/);
  assert.throws(() => nn.mseLoss(x, x, 'sum' as never), /mseLoss: the options are \{ reduction \}, not sum/);
  assert.throws(
    () => nn.crossEntropy(x, target.cast('f32')),
    /\[3, 4\] and \[3\]; expected one shape.*class indices are i32 or u32/,
  );
});

test.run();

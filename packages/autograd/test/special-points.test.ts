import {
  apply,
  atan2,
  clamp,
  gather,
  hardtanh,
  indexSelect,
  maximum,
  minimum,
  mul,
  pow,
  sum,
  type Tensor,
  tensor,
  where,
} from '@dawnchorus/tensor';
import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { arrayOf, between, broadcastPart, drawn, integer, randomFrom, runs } from '../../tensor/test/arbitraries.ts';
import { grad } from '../src/index.ts';
import { unrounded } from './cases/elementwise.ts';
import { checkGradients } from './check.ts';

async function gradients(fn: () => Tensor, ...parameters: Tensor[]): Promise<number[][]> {
  return Promise.all(grad(fn, parameters).map(async (gradient) => [...(await gradient.data())]));
}

/** The gradient of a weighted sum, so that no two elements of a gradient are alike by accident. */
const weighted = (y: Tensor) => sum(mul(y, tensor([1, 2, 3, 4, 5, 6].slice(0, y.size), { shape: y.shape })));

for (const name of ['max', 'min'] as const) {
  test(`${name} shares its gradient evenly among all that reach it`, async () => {
    const sign = name === 'max' ? 1 : -1;
    const x = mul(
      tensor([
        [1, 5, 5, 2],
        [7, 7, 7, 7],
        [-3, -9, -4, -9],
      ]),
      sign,
    );
    const [rows] = await gradients(() => weighted(apply(name, [x], { axes: [1], keepdim: false })[0]), x);
    assert.equal(rows, [0, 0.5, 0.5, 0, 0.5, 0.5, 0.5, 0.5, 3, 0, 0, 0]);
    const [all] = await gradients(() => x[name](), x);
    assert.equal(all, [0, 0, 0, 0, 0.25, 0.25, 0.25, 0.25, 0, 0, 0, 0]);
    // Down the columns of a view, whose gradient comes back in the order of x.
    const [columns] = await gradients(() => weighted(x.transpose()[name]({ dim: 0, keepdim: true })), x);
    assert.equal(columns, rows);
  });
}

test('deviations, norms and angles have no slope where there is none, as in PyTorch', async () => {
  const alike = tensor([2, 2, 2]);
  assert.equal(await gradients(() => alike.std(), alike), [[0, 0, 0]]);
  const none = tensor([0, 0]);
  for (const p of [2, 3, 1.5, 0.5]) assert.equal(await gradients(() => none.norm({ p }), none), [[0, 0]], `${p}`);
  const one = tensor([0, 4]);
  // sqrt(|4|) squared: its slope is 1.
  assert.equal(await gradients(() => one.norm({ p: 0.5 }), one), [[0, 1]]);
  assert.equal([await none.norm({ p: 3 }).item(), await one.norm({ p: 0.5 }).item()], [0, 4]);
  const [y, x] = [tensor([0, 1]), tensor([0, 1])];
  assert.equal(await gradients(() => weighted(atan2(y, x)), y, x), [
    [0, 1],
    [0, -1],
  ]);
});

test('maximum and minimum give half to each side of a tie, and both halves to one tensor', async () => {
  const a = tensor([1, 2, 3]);
  const b = tensor([3, 2, 1]);
  assert.equal(await gradients(() => weighted(maximum(a, b)), a, b), [
    [0, 1, 3],
    [1, 1, 0],
  ]);
  assert.equal(await gradients(() => weighted(minimum(a, b)), a, b), [
    [1, 1, 0],
    [0, 1, 3],
  ]);
  assert.equal(await gradients(() => weighted(maximum(a, a)), a), [[1, 2, 3]]);
});

test('maximum of a broadcast operand gathers the ties along the stretched axis', async () => {
  const a = tensor([[1, 2, 3]]);
  const b = tensor([2]);
  assert.equal(await gradients(() => weighted(maximum(a, b)), a, b), [[0, 1, 3], [2]]);
});

test('at zero abs and relu are flat, elu and gelu are not', async () => {
  const x = tensor([0, -0]);
  assert.equal(await gradients(() => weighted(x.abs()), x), [[0, 0]]);
  assert.equal(await gradients(() => weighted(x.relu()), x), [[0, 0]]);
  assert.equal(await gradients(() => weighted(apply('elu', [x], {})[0]), x), [[1, 2]]);
  assert.equal(await gradients(() => weighted(x.gelu()), x), [[0.5, 1]]);
});

test('on its bounds hardtanh is flat and clamp is not, as in PyTorch', async () => {
  const x = tensor([-2, -1, -0.5, 1, 3]);
  assert.equal(await gradients(() => weighted(hardtanh(x)), x), [[0, 0, 3, 0, 0]]);
  assert.equal(await gradients(() => weighted(clamp(x, { min: -1, max: 1 })), x), [[0, 2, 3, 4, 0]]);
  assert.equal(await gradients(() => weighted(hardtanh(x, { min: -0.5, max: 3 })), x), [[0, 0, 0, 4, 0]]);
});

test('powers of zero', async () => {
  const x = tensor([0, 0, 0, 0]);
  const y = tensor([0, 1, 2, 3]);
  assert.equal(await gradients(() => weighted(pow(x, y)), x), [[0, 2, 0, 0]]);
  assert.equal(await gradients(() => weighted(pow(x, y)), y), [[0, 0, 0, 0]]);
  assert.equal(await gradients(() => weighted(pow(x, 0)), x), [[0, 0, 0, 0]]);
});

test('the gradient of a power with a negative base and whole exponents', async () => {
  const draws = drawn({ largest: 300 }, (shape, random) => ({
    x: arrayOf(broadcastPart(shape, random), random, between(-3, -0.3)),
    y: arrayOf(broadcastPart(shape, random), random, (r) => integer(r, -3, 3)),
  }));
  await fc.assert(
    fc.asyncProperty(draws, fc.nat(), async ({ x, y }, seed) => {
      const exponents = tensor(Float32Array.from(y.data), { shape: y.shape });
      await checkGradients(
        {
          what: `pow(${x.shape}, ${y.shape})`,
          run: ([base]) => pow(base, exponents),
          reference: ([base]) => unrounded('pow', [base, y]),
        },
        [x],
        randomFrom(seed),
      );
      exponents.dispose();
    }),
    { ...runs, numRuns: 10 },
  );
});

test('what where leaves out gets no gradient, even where its slope is infinite', async () => {
  const x = tensor([0, 4]);
  const safe = () => where(x.gt(0), where(x.gt(0), x, 1).sqrt(), 0);
  assert.equal(await gradients(() => weighted(safe()), x), [[0, 0.5]]);
});

test('reading outside an axis gives NaN but no gradient', async () => {
  const x = tensor([1, 2, 3]);
  const index = tensor(Int32Array.of(2, 3, -1, 2));
  assert.equal(await gradients(() => weighted(indexSelect(x, 0, index)), x), [[0, 0, 5]]);
  assert.equal(await gradients(() => weighted(gather(x, 0, index)), x), [[0, 0, 5]]);
});

test.run();

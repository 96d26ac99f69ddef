/** Gradients of functions that are made of several operations, where they are not plain to see. */
import * as t from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/device.ts';
import { randomFrom } from '../../tensor/test/arbitraries.ts';
import { grad } from '../src/index.ts';
import { checkGradients } from './check.ts';

/** The gradient of a sum with weights 1, 2, 3, … */
async function gradients(fn: () => t.Tensor, ...parameters: t.Tensor[]): Promise<number[][]> {
  const loss = () => {
    const y = fn();
    const weights = t.arange(1, y.size + 1, 1, { dtype: 'f32' }).reshape(y.shape);
    return t.sum(t.mul(y, weights));
  };
  return Promise.all(grad(loss, parameters).map(async (gradient) => [...(await gradient.data())]));
}

const range = (...shape: number[]) => {
  const size = shape.reduce((a, b) => a * b, 1);
  return t.tensor(
    Array.from({ length: size }, (_, i) => i + 1),
    { shape, dtype: 'f32' },
  );
};

test('elements taken several times by a slice add their gradients, those outside have none', async () => {
  const x = range(3, 2);
  const index = t.tensor(Int32Array.of(2, 0, -1, 9));
  assert.equal(await gradients(() => x.slice(index), x), [[3, 4, 0, 0, 6, 8]]);
  const [i, j] = [t.tensor(Int32Array.of(2, 2, 0)), t.tensor(Int32Array.of(1, -1, 0))];
  assert.equal(await gradients(() => x.slice(i, j), x), [[3, 0, 0, 0, 0, 3]]);
});

test('ranges of a slice, backwards too', async () => {
  const x = range(4, 2);
  assert.equal(await gradients(() => x.slice([null, null, -2], 1), x), [[0, 0, 0, 2, 0, 0, 0, 1]]);
  assert.equal(await gradients(() => x.slice([1, 3], null), x), [[0, 0, 1, 2, 3, 4, 0, 0]]);
});

test('padding hands the gradient to what was mirrored or repeated', async () => {
  const x = range(3);
  assert.equal(await gradients(() => t.pad(x, [1, 2]), x), [[2, 3, 4]]);
  assert.equal(await gradients(() => t.pad(x, [1, 2], { mode: 'replicate' }), x), [[3, 3, 15]]);
  assert.equal(await gradients(() => t.pad(x, [2, 1], { mode: 'reflect' }), x), [[3, 4 + 2 + 6, 5 + 1]]);
  assert.equal(await gradients(() => t.pad(x, [1, 1], { mode: 'circular' }), x), [[2 + 5, 3, 4 + 1]]);
  assert.equal(await gradients(() => t.pad(x, [-1, 1], { value: 7 }), x), [[0, 1, 2]]);
});

test('tiling, rolling, diagonals and triangles', async () => {
  const x = range(2, 2);
  assert.equal(await gradients(() => t.tile(x, [2, 1]), x), [[1 + 5, 2 + 6, 3 + 7, 4 + 8]]);
  assert.equal(await gradients(() => t.roll(x, 1), x), [[2, 3, 4, 1]]);
  assert.equal(await gradients(() => t.diagonal(x, { offset: 1 }), x), [[0, 1, 0, 0]]);
  assert.equal(await gradients(() => t.tril(x), x), [[1, 0, 3, 4]]);
  assert.equal(await gradients(() => t.maskedFill(x, t.eye(2, 2, { dtype: 'bool' }), 0), x), [[0, 2, 3, 0]]);
});

test('clamp keeps its gradient on the bounds, as in PyTorch', async () => {
  const x = t.tensor([-2, -1, 0, 1, 2]);
  assert.equal(await gradients(() => t.clamp(x, { min: -1, max: 1 }), x), [[0, 2, 3, 4, 0]]);
  const high = t.tensor([0, 0, 0, 0, 0.5]);
  assert.equal(await gradients(() => t.clamp(x, { max: high }), x, high), [
    [1, 2, 3, 0, 0],
    [0, 0, 0, 4, 5],
  ]);
});

test('nothing flows through detach', async () => {
  const x = range(2);
  assert.equal(await gradients(() => t.mul(x, x.detach()), x), [[1, 4]]);
});

/** Compares the gradient with central differences of a function in f64, of an input away from kinks. */
async function checkAgainst(
  what: string,
  values: number[][],
  run: (x: t.Tensor) => t.Tensor,
  rows: (row: number[]) => number[],
): Promise<void> {
  const shape = [values.length, values[0].length];
  const x = { dtype: 'f32' as const, shape, data: Float64Array.from(values.flat().map(Math.fround)) };
  await checkGradients(
    {
      what,
      run: ([input]) => run(input),
      reference: ([input]) => {
        const made = values.map((_, i) => rows([...input.data.subarray(i * shape[1], (i + 1) * shape[1])]));
        return { dtype: 'f32', shape: [values.length, made[0].length], data: Float64Array.from(made.flat()) };
      },
    },
    [x],
    randomFrom(1),
  );
}

const numbers = [
  [1.5, -2.25, 0.75, 3.5],
  [-0.5, 2.5, 1.25, -4],
  [0, 2, 0, -1],
];

test('gradients of norms, logsumexp, deviations and products', async () => {
  const total = (row: number[]) => row.reduce((a, b) => a + b, 0);
  const options = { dim: 1, keepdim: true };
  await checkAgainst(
    'norm 2',
    numbers,
    (x) => x.norm(options),
    (row) => [Math.hypot(...row)],
  );
  await checkAgainst(
    'norm inf',
    numbers,
    (x) => x.norm({ ...options, p: Infinity }),
    (row) => [Math.max(...row.map(Math.abs))],
  );
  await checkAgainst(
    'norm 3',
    numbers.slice(0, 2),
    (x) => x.norm({ ...options, p: 3 }),
    (row) => [Math.cbrt(total(row.map((v) => Math.abs(v) ** 3)))],
  );
  await checkAgainst(
    'logsumexp',
    numbers,
    (x) => x.logsumexp(options),
    (row) => [Math.log(total(row.map(Math.exp)))],
  );
  await checkAgainst(
    'std',
    numbers,
    (x) => x.std(options),
    (row) => {
      const mean = total(row) / 4;
      return [Math.sqrt(total(row.map((v) => (v - mean) ** 2)) / 3)];
    },
  );
  for (const reverse of [false, true]) {
    await checkAgainst(
      'cumprod',
      numbers,
      (x) => x.cumprod({ dim: 1, reverse }),
      (row) => {
        const walked = reverse ? [...row].reverse() : row;
        const products = walked.map((_, i) => walked.slice(0, i + 1).reduce((a, b) => a * b, 1));
        return reverse ? products.reverse() : products;
      },
    );
  }
});

test('gradients of sorted values, of the largest, of the middle and of quantiles', async () => {
  const distinct = numbers.slice(0, 2);
  const up = (row: number[]) => [...row].sort((a, b) => a - b);
  await checkAgainst('sort', distinct, (x) => x.sort().values, up);
  await checkAgainst(
    'topk',
    distinct,
    (x) => x.topk(2).values,
    (row) => up(row).reverse().slice(0, 2),
  );
  await checkAgainst(
    'median',
    distinct,
    (x) => x.median({ dim: 1, keepdim: true }),
    (row) => [up(row)[1]],
  );
  await checkAgainst(
    'quantile',
    distinct,
    (x) => x.quantile(0.4, { dim: 1, keepdim: true }),
    (row) => [0.8 * up(row)[1] + 0.2 * up(row)[2]],
  );
});

test('elements at the places of a mask get their gradients', async () => {
  const x = range(2, 3);
  const places = await t.nonzero(x.gt(2).logicalAnd(x.ne(5)));
  const [i, j] = [places.select(1, 0), places.select(1, 1)];
  assert.equal(await gradients(() => x.slice(i, j), x), [[0, 0, 1, 2, 0, 3]]);
});

test('the 2-norm is flat at zero', async () => {
  const x = t.tensor([
    [0, 0],
    [3, 4],
  ]);
  assert.equal(await gradients(() => x.norm({ dim: 1 }), x), [[0, 0, Math.fround(1.2), Math.fround(1.6)]]);
});

test('segments get the gradient of their sum', async () => {
  const x = range(4);
  const ids = t.tensor(Int32Array.of(1, 0, 7, 1));
  assert.equal(await gradients(() => t.segmentSum(x, ids, { count: 2 }), x), [[2, 1, 0, 2]]);
});

test.run();

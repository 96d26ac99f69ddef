/** Gradients of functions that are made of several operations, where they are not plain to see. */
import * as t from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/device.ts';
import { grad } from '../src/index.ts';

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

test.run();

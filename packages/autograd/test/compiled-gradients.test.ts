/** Compiled functions and gradients inside each other. */
import { compile, type Tensor, tensor } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import '../../tensor/test/device.ts';
import { valueAndGrad } from '../src/index.ts';

const numbers = async (x: Tensor) => [...(await x.data())];

test('gradients flow through a compiled function', async () => {
  const cube = compile((x: Tensor) => x.square().mul(x));
  const x = tensor([1, 2, -3]);
  const loss = (way: (x: Tensor) => Tensor) => valueAndGrad(() => way(x).add(x).sum(), [x]).gradients[0];
  // Before its first call, and when it has a trace.
  assert.equal(await numbers(loss(cube)), [4, 13, 28]);
  assert.equal(await numbers(cube(x)), [1, 8, -27]);
  assert.equal(await numbers(loss(cube)), [4, 13, 28]);
  cube.dispose();
});

test('and through one inside a compiled step', async () => {
  const square = compile((x: Tensor) => x.square());
  const step = compile((x: Tensor) => valueAndGrad(() => square(x).mul(3).sum(), [x]).gradients[0]);
  assert.equal(await numbers(step(tensor([1, 2]))), [6, 12]);
  assert.equal(await numbers(step(tensor([3, -1]))), [18, -6]);
  assert.is(square.traces, 0);
  step.dispose();
});

test('a compiled step inside a gradient gives gradients of gradients', async () => {
  const slope = compile((x: Tensor) => valueAndGrad(() => x.square().mul(x).sum(), [x]).gradients[0]);
  const x = tensor([1, 2]);
  const { gradients } = valueAndGrad(() => slope(x).sum(), [x]);
  assert.equal(await numbers(gradients[0]), [6, 12]);
});

test('the gradient of an argument that comes in from outside as well is refused, in the first call and later', async () => {
  const [w, other, x] = [tensor([3]), tensor([5]), tensor([2])];
  const outside = compile((own: Tensor) => valueAndGrad(() => own.mul(w).sum(), [own]).gradients[0]);
  assert.throws(() => outside(w), /argument 1 of the tensors, f32\[1\], .* used by it from outside/);
  assert.equal(await numbers(outside(other)), [3]);
  assert.throws(() => outside(w), /used by it from outside/);
  // Without a gradient of it, it is read by two names.
  const product = compile((own: Tensor, y: Tensor) => [
    own.mul(w),
    valueAndGrad(() => y.mul(w).sum(), [y]).gradients[0],
  ]);
  const [value, gradient] = product(w, x);
  assert.equal([await numbers(value), await numbers(gradient)], [[9], [3]]);
});

test('an error inside a gradient inside a trace leaves neither behind', async () => {
  const broken = compile((x: Tensor) => valueAndGrad(() => x.exp().matmul(x).sum(), [x]).gradients[0]);
  const x = tensor([[1, 2, 3]]);
  for (let k = 0; k < 2; k++) assert.throws(() => broken(x), /inner dimensions/);
  // Nobody listens any more: a compiled function replays its kernels, and results have elements.
  const twice = compile((y: Tensor) => y.mul(2));
  assert.equal(await numbers(twice(x)), [2, 4, 6]);
  assert.is(twice.traces, 1);
  assert.equal(await numbers(valueAndGrad(() => x.square().sum(), [x]).gradients[0]), [2, 4, 6]);
});

test.run();

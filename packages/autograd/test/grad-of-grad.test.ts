import {
  conv1d,
  div,
  elu,
  exp,
  gelu,
  groupNorm,
  layerNorm,
  matmul,
  mul,
  ones,
  pow,
  sin,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../tensor/test/device.ts';
import { grad, gradcheck, valueAndGrad } from '../src/index.ts';

const numbers = async (x: Tensor) => [...(await x.data())];

/** The gradient of the sum of the gradient of the sum. */
const second = (fn: (x: Tensor) => Tensor, x: Tensor) => grad(() => sum(grad(() => sum(fn(x)), [x])[0]), [x])[0];

function assertClose(actual: readonly number[], expected: readonly number[]): void {
  assert.is(actual.length, expected.length);
  actual.forEach((value, i) => {
    const allowed = 1e-5 * Math.max(1, Math.abs(expected[i]));
    assert.ok(Math.abs(value - expected[i]) <= allowed, `${value} at ${i}, expected ${expected[i]}`);
  });
}

const values = [-1.5, -0.5, 0.25, 2];

for (const [name, fn, expected] of [
  ['x x x', (x) => mul(mul(x, x), x), (v) => 6 * v],
  ['pow(x, 3)', (x) => pow(x, 3), (v) => 6 * v],
  ['square', (x) => x.square(), () => 2],
  ['exp', exp, Math.exp],
  ['sin', sin, (v) => -Math.sin(v)],
  ['tanh', (x) => x.tanh(), (v) => -2 * Math.tanh(v) * (1 - Math.tanh(v) ** 2)],
  ['1 / x', (x) => div(1, x), (v) => 2 / v ** 3],
  ['sqrt of square plus one', (x) => x.square().add(1).sqrt(), (v) => (v * v + 1) ** -1.5],
] as [string, (x: Tensor) => Tensor, (v: number) => number][]) {
  test(`the second derivative of ${name}`, async () => {
    assertClose(await numbers(second(fn, tensor(values))), values.map(expected));
  });
}

test('the third derivative of x^4', async () => {
  const x = tensor(values);
  const first = () => grad(() => x.square().square().sum(), [x])[0];
  const [third] = grad(() => grad(() => first().sum(), [x])[0].sum(), [x]);
  assertClose(
    await numbers(third),
    values.map((v) => 24 * v),
  );
});

test('a loss of a value and of its gradient depends on both', async () => {
  const x = tensor(values);
  const [gradient] = grad(() => {
    const { value, gradients } = valueAndGrad(() => x.square().sum(), [x]);
    return value.add(gradients[0].square().sum());
  }, [x]);
  // x^2 + (2 x)^2
  assertClose(
    await numbers(gradient),
    values.map((v) => 10 * v),
  );
});

test('a gradient with respect to something else: the penalty on the gradient of a critic', async () => {
  const x = tensor([
    [0.5, -1],
    [2, 0.3],
  ]);
  const w = tensor([[0.7], [-0.2]]);
  const penalty = (weight: Tensor) => {
    const [slope] = grad(() => matmul(x, weight).tanh().sum(), [x]);
    return slope.square().sum();
  };
  await gradcheck(penalty, [w]);
  const signal = tensor([[[1, -0.5, 0.3, 2, -1]]]);
  const smoothness = (kernel: Tensor) => {
    const [slope] = grad(() => conv1d(signal, kernel, { padding: 1 }).tanh().sum(), [signal]);
    return slope.square().sum();
  };
  await gradcheck(smoothness, [tensor([[[0.5, -0.3, 0.2]]])]);
});

test('max, reductions and views have second derivatives too', async () => {
  const x = tensor([
    [1, 3, 2],
    [6, 5, 4],
  ]);
  const squaredMaxima = (y: Tensor) => y.transpose().max({ dim: 0 }).square().mul(y.mean());
  await gradcheck(
    (y) =>
      grad(() => squaredMaxima(y).sum(), [y])[0]
        .square()
        .sum(),
    [x],
    { step: 1e-3 },
  );
});

const affine = [ones([2]), zeros([2])] as const;
for (const [name, fn] of [
  ['softmaxBackward', (x) => x.softmax()],
  ['logSoftmaxBackward', (x) => x.logSoftmax()],
  ['layerNormBackward', (x) => layerNorm(x, ...affine)],
  ['groupNormBackward', (x) => groupNorm(x, 1, ...affine)],
  ['geluBackward', gelu],
  ['eluBackward', elu],
] as [string, (x: Tensor) => Tensor][]) {
  test(`a gradient of a gradient through ${name} says that there is none, and leaves nothing behind`, async () => {
    const x = tensor([
      [1, 2],
      [3, 5],
    ]);
    const fourth = (y: Tensor) => fn(y).square().square();
    const attempt = () =>
      assert.throws(() => second(fourth, x), new RegExp(`grad: ${name} has no gradient of its own`));
    attempt();
    const before = device.statistics().liveBytes;
    attempt();
    assert.is(device.statistics().liveBytes, before);
    // The first derivative alone is fine, also afterwards.
    const [gradient] = grad(() => sum(fourth(x)), [x]);
    assert.ok((await numbers(gradient)).every(Number.isFinite));
  });
}

test.run();

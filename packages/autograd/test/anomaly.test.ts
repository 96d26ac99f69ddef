import { div, log, matmul, normal, ones, scope, softmax, sqrt, type Tensor, tensor, where } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../tensor/test/device.ts';
import {
  AnomalyError,
  checkpoint,
  customVjp,
  detectAnomaly,
  grad,
  hessian,
  hessianVectorProduct,
  jacobian,
  valueAndGrad,
} from '../src/index.ts';

async function anomaly(fn: () => unknown): Promise<AnomalyError> {
  try {
    await detectAnomaly(fn);
  } catch (error) {
    if (error instanceof AnomalyError) return error;
    throw error;
  }
  return assert.unreachable('no anomaly was found') as never;
}

const numbers = async (x: Tensor) => [...(await x.data())];

function someLayer(x: Tensor): Tensor {
  return sqrt(x).mul(2);
}

test('a backward pass that makes an infinity is named, with shapes and the call', async () => {
  const x = tensor([
    [4, 0, 1],
    [9, 0, 1],
  ]);
  const error = await anomaly(() => grad(() => someLayer(x.mul(1)).sum(), [x]));
  assert.is(error.operation, 'sqrt');
  assert.is(error.pass, 'backward');
  assert.match(
    error.message,
    'the backward pass of sqrt(f32[2, 3]) -> f32[2, 3] made 2 infinite of 6 in the gradient of input 0',
  );
  assert.match(error.message, /it was called\n +at someLayer \(.*anomaly\.test\.ts:\d+:\d+\)/);
  assert.match(error.message, 'The forward pass of it was finite');
});

test('a NaN of zero times infinity further back blames who made the infinity', async () => {
  const x = tensor([4, 0]);
  const safeless = () => where(x.gt(0), sqrt(x), 0).sum();
  // Infinity in sqrt's gradient is 0 / 0: the zero that where gives times infinity.
  const error = await anomaly(() => grad(safeless, [x]));
  assert.is(error.operation, 'sqrt');
  assert.match(error.message, '1 NaN of 2');
});

test('a forward pass that was bad already is named in its place', async () => {
  const x = tensor([1, 0, 2]);
  const w = normal([3, 3], { seed: 1, stream: 1 });
  const bad = (y: Tensor) => log(y.mul(3)).reshape([1, 3]);
  const error = await anomaly(() => valueAndGrad(() => matmul(bad(x), w).square().sum(), [x, w]));
  assert.is(error.operation, 'log');
  assert.is(error.pass, 'forward');
  assert.match(
    error.message,
    'The forward pass was bad already: log(f32[3]) -> f32[3] made them: 1 infinite of 3 in output 0',
  );
  assert.match(error.message, /at bad \(/);
});

test('bad numbers that came in from outside, and a bad loss with finite gradients', async () => {
  const x = tensor([1, 2]);
  const target = tensor([Number.NaN, 0]);
  const outside = await anomaly(() => grad(() => x.sub(target).square().sum(), [x]));
  assert.match(outside.message, 'bad numbers came into sub(f32[2], f32[2]) -> f32[2]: 1 NaN of 2 in input 1');
  const loss = await anomaly(() => valueAndGrad(() => x.sum().add(Number.POSITIVE_INFINITY), [x]));
  assert.is(loss.operation, 'add');
  assert.is(loss.pass, 'forward');
});

test('infinities that do no harm are no anomaly, and the result is handed on', async () => {
  const scores = tensor([[1, Number.NEGATIVE_INFINITY, 2]]);
  const x = tensor([[1, 1, 1]]);
  const { value, gradients } = await detectAnomaly(() =>
    valueAndGrad(
      () =>
        softmax(x.add(scores))
          .mul(tensor([1, 2, 3]))
          .sum(),
      [x],
    ),
  );
  assert.ok(Number.isFinite(await value.item()));
  assert.is(gradients.length, 1);
});

test('custom rules and operations inside a checkpoint are found, too', async () => {
  const x = tensor([1, 0]);
  const inverse = customVjp({
    name: 'inverse',
    forward: (y) => ({ output: y.add(1), saved: [y] }),
    backward: (gradient, [y]) => [div(gradient, y)],
  });
  assert.is((await anomaly(() => grad(() => inverse(x).sum(), [x]))).operation, 'inverse');
  const inside = await anomaly(() => grad(() => checkpoint((y) => sqrt(y.mul(2)))(x).sum(), [x]));
  assert.is(inside.operation, 'sqrt');
  assert.is(inside.pass, 'backward');
});

test('nothing is left behind, and nothing is looked at afterwards', async () => {
  const x = tensor([1, 0]);
  const attempt = async () => {
    await anomaly(() => valueAndGrad(() => sqrt(x).sum(), [x]));
    await detectAnomaly(() => {
      throw new Error('on purpose');
    }).catch((error: Error) => assert.match(error.message, 'on purpose'));
  };
  await attempt();
  const before = device.statistics();
  await attempt();
  assert.is(device.statistics().liveBytes, before.liveBytes);
  assert.is(device.statistics().liveBuffers, before.liveBuffers);
  const dispatches = (body: () => void) => {
    const { dispatches: start } = device.statistics();
    scope(body);
    return device.statistics().dispatches - start;
  };
  const plain = dispatches(() => {
    grad(() => sqrt(x).sum(), [x]);
  });
  assert.ok(plain <= 6, `${plain} dispatches`);
});

test('jacobian, hessian and their products', async () => {
  const x = tensor([0.5, -1, 2]);
  const w = tensor([
    [1, 2],
    [3, -4],
    [0.5, 6],
  ]);
  const squares = (y: Tensor) => matmul(y.square().reshape([1, 3]), w);
  const j = jacobian(squares, x);
  assert.equal([...j.shape], [1, 2, 3]);
  // 2 x_i w_ij
  assert.equal(await numbers(j), [1, -6, 2, 2, 8, 24]);
  const cubes = (y: Tensor) => y.mul(y).mul(y).sum().add(y.sum().square());
  const h = await numbers(hessian(cubes, x));
  const expected = [0, 1, 2].flatMap((a) => [0, 1, 2].map((b) => 2 + (a === b ? 6 * [0.5, -1, 2][a] : 0)));
  h.forEach((value, i) => {
    assert.ok(Math.abs(value - expected[i]) < 1e-5, `${value} at ${i}, expected ${expected[i]}`);
  });
  const [product] = hessianVectorProduct(cubes, [x], [tensor([1, 2, -1])]);
  const along = [0, 1, 2].map((a) => [1, 2, -1].reduce((total, v, b) => total + expected[3 * a + b] * v, 0));
  (await numbers(product)).forEach((value, i) => {
    assert.ok(Math.abs(value - along[i]) < 1e-5, `${value} at ${i}, expected ${along[i]}`);
  });
  assert.throws(() => hessianVectorProduct(cubes, [x], []), /0 vectors for 1 inputs/);
  assert.throws(() => jacobian(() => ones([2]), x), /no output depends/);
});

test('a promise is refused: what happens after it is not seen', async () => {
  const x = tensor([1, 2]);
  await detectAnomaly(async () => grad(() => x.sum(), [x])).then(
    () => assert.unreachable('nothing was thrown'),
    (error: Error) => assert.match(error.message, /detectAnomaly: the function returned a promise/),
  );
});

test.run();

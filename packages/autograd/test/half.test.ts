/** Gradients where tensors are f16, alone and beside f32. */
import { cast, div, full, matmul, mul, normal, ones, scope, sum, type Tensor, tensor, zeros } from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { hasHalf, unlessHalf } from '../../tensor/test/device.ts';
import { toHalf } from '../../tensor/test/reference/array.ts';
import { grad, nn, optim, valueAndGrad } from '../src/index.ts';
import { vjp } from '../src/vjp.ts';

const onGpu = (name: string, body: () => unknown) =>
  (hasHalf ? test : test.skip)(`${name}${unlessHalf}`, async () => {
    await body();
  });

const values = async (x: Tensor): Promise<number[]> => {
  const data = Array.from(await x.data());
  x.dispose();
  return data;
};

onGpu('gradients have the dtype of what they are the gradients of', () => {
  scope(() => {
    const x = normal([3, 4], { seed: 1, stream: 1, dtype: 'f16' });
    const w = normal([4, 2], { seed: 1, stream: 2 });
    const { value, gradients } = valueAndGrad(() => sum(matmul(x, w)), [x, w]);
    assert.is(value.dtype, 'f32');
    assert.equal(
      gradients.map(({ dtype }) => dtype),
      ['f16', 'f32'],
    );
    // Parameters that the loss does not depend on, and gradients given by hand.
    assert.equal(
      grad(() => sum(x), [x, zeros([2], { dtype: 'f16' })]).map(({ dtype }) => dtype),
      ['f16', 'f16'],
    );
    const { gradients: given } = vjp((y) => y.mul(2), [x], ones([3, 4]));
    assert.is(given[0].dtype, 'f16');
  });
});

onGpu('an f32 master of an f16 copy gets an f32 gradient', async () => {
  const master = tensor([1.0001, -2, 3]);
  const x = tensor([0.5, 0.25, 2], { dtype: 'f16' });
  const [gradient] = grad(() => sum(mul(cast(master, 'f16'), x)), [master]);
  assert.is(gradient.dtype, 'f32');
  assert.equal(await values(gradient), [0.5, 0.25, 2]);
});

onGpu('a loss may be f16, and its gradient starts at one', async () => {
  const x = tensor([1, 2, 3], { dtype: 'f16' });
  const { value, gradients } = valueAndGrad(() => x.square().sum(), [x]);
  assert.is(value.dtype, 'f16');
  assert.equal(await values(gradients[0]), [2, 4, 6]);
});

onGpu('a weight that many rows share gets the sum of their gradients as f32 adds it', async () => {
  // In f16, adding ones stops at 2048.
  const bias = zeros([2], { dtype: 'f16' });
  const [gradient] = grad(() => sum(bias.add(zeros([5000, 2], { dtype: 'f16' })).cast('f32')), [bias]);
  assert.equal(await values(gradient), [5000, 5000]);
});

onGpu('the gradient of a quotient survives a divisor whose square is no half', async () => {
  const b = tensor([1000, 0.0001], { dtype: 'f16' });
  const [gradient] = grad(() => sum(div(tensor([1000, 0.0001], { dtype: 'f16' }), b)), [b]);
  const [large, small] = await values(gradient);
  assert.ok(Math.abs(large + 1 / 1000) < 2e-6, `${large}`);
  assert.ok(Math.abs(small * toHalf(0.0001) + 1) < 2e-3, `${small}`);
});

onGpu('losses of f16 are f32', async () => {
  const logits = normal([64, 10], { seed: 2, stream: 1, std: 4, dtype: 'f16' });
  const labels = tensor(
    Array.from({ length: 64 }, (_, i) => i % 10),
    { dtype: 'i32' },
  );
  const { value, gradients } = valueAndGrad(() => nn.crossEntropy(logits, labels), [logits]);
  const same = nn.crossEntropy(logits.cast('f32'), labels);
  assert.is(value.dtype, 'f32');
  assert.is(gradients[0].dtype, 'f16');
  assert.is(await value.item(), await same.item());
  // The squares of these differences are over the largest half.
  const far = nn.mseLoss(tensor([1000, 0], { dtype: 'f16' }), tensor([0, 0], { dtype: 'f16' }));
  assert.is(await far.item(), 500_000);
});

onGpu('attention in f16 agrees with f32, also where a row sees nothing', async () => {
  const keys = nn.keySequence(5);
  const layer = new nn.MultiHeadAttention(16, 2, keys);
  const x = normal([2, 7, 16], { seed: 3, stream: 1, dtype: 'f16' });
  const visible = tensor(
    [
      [1, 1, 1, 0, 0, 1, 1],
      [0, 0, 0, 0, 0, 0, 0],
    ],
    { dtype: 'bool' },
  );
  const wide = await values(layer.forward(x.cast('f32'), { visible }));
  for (const [name, parameter] of layer.namedParameters()) {
    const [part, field] = name.split('.') as ['qProj', 'weight'];
    layer[part][field] = parameter.cast('f16');
  }
  const out = layer.forward(x, { visible });
  assert.is(out.dtype, 'f16');
  const narrow = await values(out);
  narrow.forEach((value, i) => {
    assert.ok(Math.abs(value - wide[i]) < 5e-3, `element ${i} is ${value}, in f32 ${wide[i]}`);
  });
});

onGpu('a network computed in f16 learns with f32 masters and a scaled loss', async () => {
  const x = normal([128, 8], { seed: 4, stream: 1, dtype: 'f16' });
  const y = sum(x.cast('f32').square(), { dim: 1, keepdim: true }).mul(0.2);
  const hidden = new nn.Linear(8, 32, nn.keySequence(6));
  const out = new nn.Linear(32, 1, nn.keySequence(7));
  const parameters = new Map([...hidden.namedParameters('hidden.'), ...out.namedParameters('out.')]);
  const optimizer = new optim.AdamW(parameters);
  const layer = (input: Tensor, { weight, bias }: nn.Linear) =>
    matmul(input, weight.cast('f16').transpose()).add((bias as Tensor).cast('f16'));
  const losses: number[] = [];
  for (let step = 0; step < 60; step++) {
    const loss = scope(() => {
      const scale = 1024;
      const { value, gradients } = valueAndGrad(() => {
        const prediction = layer(layer(x, hidden).gelu(), out);
        assert.is(prediction.dtype, 'f16');
        return nn.mseLoss(prediction, y).mul(scale);
      }, [...parameters.values()]);
      const own = gradients.map((gradient) => gradient.mul(1 / scale));
      optimizer.step(new Map([...parameters.keys()].map((name, i) => [name, own[i]])), 1e-2);
      return value.mul(1 / scale);
    });
    losses.push(await loss.item());
    loss.dispose();
  }
  const [first, last] = [losses[0], losses[losses.length - 1]];
  assert.ok(last < 0.2 * first, `the loss went from ${first} to ${last}`);
});

onGpu('the gradient of a norm whose square is no half', async () => {
  const w = ones([1], { dtype: 'f16' });
  const [gradient] = grad(() => full([100], 600, { dtype: 'f16' }).mul(w).norm(), [w]);
  assert.equal(await values(gradient), [6000]);
  const [std] = grad(() => w.mul(tensor([600, -600], { dtype: 'f16' })).std(), [w]);
  assert.ok(Math.abs((await values(std))[0] - 600 * Math.SQRT2) < 0.5);
});

test.run();

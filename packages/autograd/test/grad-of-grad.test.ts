import {
  apply,
  compile,
  complexConj,
  complexMul,
  concat,
  conv1d,
  div,
  elu,
  exp,
  fft,
  gelu,
  groupNorm,
  irfft,
  layerNorm,
  matmul,
  mul,
  ones,
  pow,
  rfft,
  sin,
  stack,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../tensor/test/device.ts';
import {
  checkpoint,
  grad,
  gradcheck,
  hessian,
  hessianVectorProduct,
  stopGradient,
  valueAndGrad,
} from '../src/index.ts';

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

test('Fourier transforms and products of complex numbers have second derivatives', async () => {
  for (const values of [
    [0.3, -1, 0.5, 2, 0.1, -0.7],
    [0.3, -1, 0.5, 2, 0.1],
  ]) {
    const n = values.length;
    const energy = (x: Tensor) =>
      irfft(complexMul(rfft(x), complexConj(fft(stack([x, x.sin()], -1), { n: 1 }))), { n })
        .square()
        .sum();
    await gradcheck(
      (x) =>
        grad(() => energy(x), [x])[0]
          .square()
          .sum(),
      [tensor(values)],
      { step: 1e-3 },
    );
  }
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

const affine = [tensor([0.8, -1.2, 0.5]), tensor([0.1, 0.2, -0.3])] as const;
const rows = [
  [0.3, -1.1, 0.7],
  [1.4, 0.2, -0.6],
];
const layers: [string, (x: Tensor, weight: Tensor, bias: Tensor) => Tensor][] = [
  ['softmax', (x) => x.softmax()],
  ['logSoftmax', (x) => x.logSoftmax()],
  ['layerNorm', (x, weight, bias) => layerNorm(x, weight, bias, { eps: 0.1 })],
  ['groupNorm', (x, weight, bias) => groupNorm(x, 1, weight, bias, { eps: 0.1 })],
  [
    'grouped groupNorm',
    (x, weight, bias) => groupNorm(sin(x.unsqueeze(2).mul(tensor([1, -2, 0.5]))), 3, weight, bias, { eps: 0.1 }),
  ],
  ['gelu', (x) => gelu(x)],
  ['gelu by tanh', (x) => gelu(x, { approximate: 'tanh' })],
  ['elu', (x) => elu(x)],
  ['elu of another alpha', (x) => elu(x, { alpha: 0.5 })],
];
for (const [name, fn] of layers) {
  test(`the second derivatives of ${name} agree with differences of its first`, async () => {
    const x = tensor(rows);
    // The penalty on a gradient depends on every second derivative; weight and bias move it, too.
    const penalty = (y: Tensor, weight: Tensor, bias: Tensor) => {
      const loss = () =>
        fn(y, weight, bias)
          .square()
          .tanh()
          .mul(tensor([1, -0.7, 0.4]))
          .sum();
      return grad(loss, [y, weight, bias].slice(0, name.includes('Norm') ? 3 : 1))
        .map((gradient, i) =>
          gradient
            .square()
            .sum()
            .mul(i + 1),
        )
        .reduce((total, part) => total.add(part));
    };
    const inputs = name.includes('Norm') ? [x, ...affine] : [x];
    await gradcheck((y, weight = affine[0], bias = affine[1]) => penalty(y, weight, bias), inputs, { step: 2e-3 });
  });
}

test('the second derivatives of gelu and elu in closed form', async () => {
  const x = tensor(values);
  const density = (v: number) => Math.exp((-v * v) / 2) / Math.sqrt(2 * Math.PI);
  assertClose(
    await numbers(second(gelu, x)),
    values.map((v) => density(v) * (2 - v * v)),
  );
  assertClose(
    await numbers(second(elu, x)),
    values.map((v) => (v > 0 ? 0 : Math.exp(v))),
  );
});

test('the third derivative of a softmax', async () => {
  // The softmax of (x, 0) is the sigmoid of x.
  const x = tensor([[0.7]]);
  const sigmoid = () =>
    concat([x, zeros([1, 1])], 1)
      .softmax()
      .sliceAxis(1, 0, 1)
      .sum();
  const [third] = grad(() => grad(() => grad(sigmoid, [x])[0].sum(), [x])[0].sum(), [x]);
  const s = 1 / (1 + Math.exp(-0.7));
  assertClose(await numbers(third), [s * (1 - s) * (1 - 6 * s + 6 * s * s)]);
});

test('a Hessian-vector product of a network with norms, softmax and gelu', async () => {
  const x = tensor(rows);
  const w = tensor([
    [0.4, -0.3, 0.2],
    [0.1, 0.5, -0.6],
    [-0.7, 0.2, 0.3],
  ]);
  const loss = (weight: Tensor) =>
    layerNorm(matmul(x, weight).gelu(), ...affine)
      .softmax()
      .square()
      .sum();
  const direction = tensor([
    [1, -0.5, 0.25],
    [0.3, -1, 0.8],
    [-0.2, 0.6, 0.4],
  ]);
  const product = await numbers(
    grad(
      () =>
        grad(() => loss(w), [w])[0]
          .mul(direction)
          .sum(),
      [w],
    )[0],
  );
  const h = 1e-2;
  const gradientAt = async (step: number) => {
    const moved = w.add(direction.mul(step));
    return numbers(grad(() => loss(moved), [moved])[0]);
  };
  const [up, down] = [await gradientAt(h), await gradientAt(-h)];
  product.forEach((value, i) => {
    const numeric = (up[i] - down[i]) / (2 * h);
    assert.ok(Math.abs(value - numeric) < 2e-3, `element ${i}: ${value}, differences ${numeric}`);
  });
});

test('in-place operations have no gradient, say so, and leave nothing behind', () => {
  const attempt = () => {
    const [x, ...state] = [ones([4]), ones([4]), ones([4]), ones([4]), zeros([4]), zeros([4])];
    const settings = { beta1: 0.9, beta2: 0.9, eps: 1, weightDecay: 0, clipNorm: 0 };
    const step = () => {
      const more = { learningRate: 0.1, growthInterval: 0, ends: true };
      apply('adamw', [x.square(), ...state], { ...settings, ...more });
      return x.sum();
    };
    assert.throws(() => grad(step, [x]), /grad: adamw changes its inputs in place and has no gradient/);
    for (const tensor of [x, ...state]) tensor.dispose();
  };
  attempt();
  const before = device.statistics().liveBytes;
  attempt();
  assert.is(device.statistics().liveBytes, before);
});

for (const [name, fn] of [
  ['relu', (x) => x.relu()],
  ['leakyRelu', (x) => x.leakyRelu()],
  ['abs', (x) => x.abs()],
  ['maximum', (x) => x.maximum(0)],
  ['a linear function', (x) => x.mul(3).add(1)],
  ['a sum', (x) => x.sum()],
  ['x itself', (x) => x],
] as [string, (x: Tensor) => Tensor][]) {
  test(`the second derivative of ${name} is zeros`, async () => {
    const x = tensor(values);
    assert.equal(await numbers(second(fn, x)), [0, 0, 0, 0]);
    assert.equal(await numbers(second((y) => checkpoint(fn)(y), x)), [0, 0, 0, 0]);
    assert.equal(await numbers(hessian((y) => fn(y).sum(), x)), new Array(16).fill(0));
    const [product] = hessianVectorProduct((y) => fn(y).sum(), [x], [tensor([1, 2, 3, 4])]);
    assert.equal(await numbers(product), [0, 0, 0, 0]);
    const compiled = compile((y: Tensor) => second(fn, y));
    assert.equal(await numbers(compiled(x)), [0, 0, 0, 0]);
    compiled.dispose();
    // The third one, too.
    const third = grad(() => second(fn, x).sum(), [x])[0];
    assert.equal(await numbers(third), [0, 0, 0, 0]);
  });
}

test('a gradient penalty through a network of relu moves its weights, and its biases by zeros', async () => {
  const x = tensor([[1, -2]]);
  const w = tensor([[1], [-1]]);
  const b = tensor([0.5]);
  const penalty = (parameters: Tensor[]) =>
    grad(
      () =>
        grad(() => matmul(x, w).add(b).relu().sum(), [x])[0]
          .square()
          .sum(),
      parameters,
    );
  const [ofWeight, ofBias] = penalty([w, b]);
  assert.equal(await numbers(ofWeight), [2, -2]);
  assert.equal(await numbers(ofBias), [0]);
  assert.equal(await numbers(penalty([b])[0]), [0]);
});

test('a gradient of what does not depend on the parameter is still an error', () => {
  const [x, y] = [tensor([1, 2]), tensor([3, 4])];
  assert.throws(() => grad(() => grad(() => y.square().sum(), [y])[0].sum(), [x]), /does not depend on any/);
  assert.throws(() => grad(() => grad(() => x.square().sum(), [y])[0].sum(), [x]), /does not depend on any/);
  const inner = () => grad(() => stopGradient(x).mul(y).relu().sum(), [y])[0].sum();
  assert.throws(() => grad(inner, [x]), /does not depend on any/);
});

test.run();

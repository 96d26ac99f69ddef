import {
  apply,
  defineOp,
  gridFor,
  log,
  mul,
  normal,
  ones,
  sigmoid,
  sum,
  type Tensor,
  tensor,
  withDense,
} from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../tensor/test/device.ts';
import { customVjp, defineRule, grad, gradcheck, rule, stopGradient, valueAndGrad, vjp } from '../src/index.ts';

const numbers = async (x: Tensor) => [...(await x.data())];

function assertClose(actual: readonly number[], expected: readonly number[], allowed = 1e-5): void {
  assert.is(actual.length, expected.length);
  actual.forEach((value, i) => {
    const difference = Math.abs(value - expected[i]);
    assert.ok(difference <= allowed * Math.max(1, Math.abs(expected[i])), `${value} at ${i}, expected ${expected[i]}`);
  });
}

/** Runs once for the constants that are kept, then asserts that more runs leave nothing behind. */
async function leavesNothing(body: () => unknown): Promise<void> {
  await body();
  const { liveBytes, liveBuffers } = device.statistics();
  for (let i = 0; i < 3; i++) await body();
  assert.is(device.statistics().liveBytes, liveBytes);
  assert.is(device.statistics().liveBuffers, liveBuffers);
}

const values = [-1.5, -0.5, 0.25, 2];

/** log(1 + exp(x)), saved as what its gradient needs. */
const softplus = customVjp({
  name: 'softplus',
  forward: (x) => ({ output: log(x.exp().add(1)), saved: [sigmoid(x)] }),
  backward: (gradient, [slope]) => [mul(gradient, slope)],
});

test('a rule of its own takes the place of the gradient of what it computes', async () => {
  const reverse = customVjp({
    forward: (x) => ({ output: x }),
    backward: (gradient) => [gradient.mul(-3)],
  });
  const x = tensor(values);
  const { value, gradients } = valueAndGrad(() => reverse(x.mul(2)).square().sum(), [x]);
  assertClose([await value.item()], [values.reduce((total, v) => total + 4 * v * v, 0)]);
  // 2 (2 x) 2 -3
  assertClose(
    await numbers(gradients[0]),
    values.map((v) => -24 * v),
  );
  // Nobody is listening: the function is its forward pass.
  assertClose(await numbers(reverse(x)), values);
});

test('what is saved may be an input, an output or neither, and is given back', async () => {
  const x = tensor(values);
  const y = tensor([3, 2, 1, 4]);
  const product = customVjp({
    forward(a, b) {
      const output = a.mul(b);
      return { output, saved: [a, b, output, a.add(b)] };
    },
    backward: (gradient, [a, b, output, total], { inputs, needs }) => {
      assert.equal(
        inputs.map(({ shape }) => [...shape]),
        [[4], [4]],
      );
      assert.equal(needs, [true, false]);
      // b, with zeros added that only the right elements cancel to.
      return [
        gradient
          .mul(b)
          .add(output.sub(a.mul(b)))
          .add(total.sub(a).sub(b)),
        undefined,
      ];
    },
  });
  assertClose(await numbers(grad(() => product(x, y).sum(), [x])[0]), [3, 2, 1, 4]);
});

test('several inputs and outputs, one of which the loss does not need', async () => {
  const x = tensor(values);
  const y = tensor([3, 2, 1, 4]);
  const both = customVjp({
    forward: (a, b): { output: Tensor[]; saved: Tensor[] } => ({
      output: [a.mul(b), a.add(b), a.gt(0)],
      saved: [a, b],
    }),
    backward: ([product, total], [a, b]) => [product.mul(b).add(total), product.mul(a).add(total)],
  });
  const all = grad(() => {
    const [product, total] = both(x, y);
    return product.mul(2).add(total).sum();
  }, [x, y]);
  assertClose(await numbers(all[0]), [7, 5, 3, 9]);
  assertClose(
    await numbers(all[1]),
    values.map((v) => 2 * v + 1),
  );
  const second = grad(() => both(x, y)[1].sum(), [x, y]);
  assertClose(await numbers(second[0]), [1, 1, 1, 1]);
});

test('gradients of gradients go through the backward function, also where it uses what forward made on its way', async () => {
  const x = tensor(values);
  const s = (v: number) => 1 / (1 + Math.exp(-v));
  const first = () => grad(() => softplus(x).sum(), [x])[0];
  assertClose(await numbers(first()), values.map(s));
  const second = () => grad(() => first().sum(), [x])[0];
  assertClose(
    await numbers(second()),
    values.map((v) => s(v) * (1 - s(v))),
  );
  const [third] = grad(() => second().sum(), [x]);
  assertClose(
    await numbers(third),
    values.map((v) => s(v) * (1 - s(v)) * (1 - 2 * s(v))),
  );
});

test('a saved output counts as what it was made from in a gradient of a gradient', async () => {
  const x = tensor([0.5, 1]);
  const exponential = customVjp({
    forward: (a) => {
      const output = a.exp();
      return { output, saved: [output] };
    },
    backward: (gradient, [output]) => [gradient.mul(output)],
  });
  const [second] = grad(() => grad(() => exponential(x).square().sum(), [x])[0].sum(), [x]);
  assertClose(
    await numbers(second),
    [0.5, 1].map((v) => 4 * Math.exp(2 * v)),
  );
});

test('rules nest in rules, and gradients in their forward pass are their own', async () => {
  const x = tensor(values);
  const outer = customVjp({
    forward: (a) => {
      const [slope] = grad(() => softplus(a).sum(), [a]);
      return { output: softplus(a), saved: [slope] };
    },
    backward: (gradient, [slope]) => [gradient.mul(slope).mul(10)],
  });
  assertClose(
    await numbers(grad(() => outer(x).sum(), [x])[0]),
    values.map((v) => 10 / (1 + Math.exp(-v))),
  );
});

test('a captured tensor that is differentiated is refused, but not one that is stopped or constant', async () => {
  const x = tensor(values);
  const w = tensor(2);
  const scaled = (factor: Tensor) =>
    customVjp({
      name: 'scaled',
      forward: (a) => ({ output: a.mul(factor) }),
      backward: (gradient) => [gradient.mul(2)],
    });
  assert.throws(
    () => grad(() => scaled(w)(x).sum(), [x, w]),
    /scaled: forward uses Tensor\(f32\[\]\) in mul, which is differentiated but no input/,
  );
  assertClose(await numbers(grad(() => scaled(w)(x).sum(), [x])[0]), [2, 2, 2, 2]);
  assertClose(await numbers(grad(() => scaled(stopGradient(w))(x).sum().mul(w), [x])[0]), [4, 4, 4, 4]);
});

test('a gradient of another shape is refused', () => {
  const wrong = customVjp({
    name: 'wrong',
    forward: (x): { output: Tensor } => ({ output: x.neg() }),
    backward: (gradient) => [gradient.sum()],
  });
  assert.throws(() => grad(() => wrong(ones([3])).sum(), []), /does not depend/);
  const x = ones([3]);
  assert.throws(() => grad(() => wrong(x).sum(), [x]), /the rule of wrong made f32\[\] for an input of \[3\]/);
});

test('what was saved is released after use, and on every way out', () =>
  leavesNothing(() => {
    const x = ones([64]);
    const fails = customVjp({
      forward: (a): { output: Tensor; saved: Tensor[] } => ({ output: softplus(a), saved: [a, a.mul(3)] }),
      backward: () => {
        throw new Error('in backward');
      },
    });
    const failsForward = customVjp({
      forward: (a) => {
        a.mul(3);
        throw new Error('in forward');
      },
      backward: () => [],
    });
    const twice = () => grad(() => grad(() => softplus(x.mul(2)).sum(), [x])[0].sum(), [x]);
    for (const gradient of twice()) gradient.dispose();
    assert.throws(() => grad(() => softplus(fails(softplus(x))).sum(), [x]), /in backward/);
    assert.throws(() => grad(() => softplus(failsForward(softplus(x))).sum(), [x]), /in forward/);
    assert.throws(() => grad(() => softplus(x), [x]), /expected an f32 or f16 scalar/);
    assert.throws(
      () =>
        grad(() => {
          softplus(x);
          throw new Error('after it');
        }, [x]),
      /after it/,
    );
    softplus(x).dispose();
    x.dispose();
  }));

const cube = defineOp<{ scale: number }>({
  name: 'cube',
  infer: ([x]) => [{ dtype: 'f32', shape: x.shape }],
  run(own, inputs, [out], { scale }) {
    withDense(own, inputs, ([x]) =>
      own.recorder.dispatch({
        kernel: {
          name: 'test_cube',
          source: `
            struct Params { size: u32, offset: u32, scale: f32 }
            @group(0) @binding(0) var<uniform> params: Params;
            @group(0) @binding(1) var<storage, read> x: array<f32>;
            @group(0) @binding(2) var<storage, read_write> out: array<f32>;
            @compute @workgroup_size(64)
            fn main(@builtin(global_invocation_id) id: vec3<u32>) {
              if (id.x >= params.size) { return; }
              let value = x[params.offset + id.x];
              out[id.x] = params.scale * value * value * value;
            }`,
          bindings: { x: 'read', out: 'readWrite' },
          parameters: { size: 'u32', offset: 'u32', scale: 'f32' },
          constants: {},
        } as const,
        buffers: [x.storage.buffer, out.storage.buffer],
        parameters: { size: out.size, offset: x.offset, scale },
        grid: gridFor(out.size),
      }),
    );
  },
});

test('an operation with a kernel of its own runs, and has a gradient as soon as it has a rule', async () => {
  const x = tensor(values);
  const run = (y: Tensor) => apply(cube, [y], { scale: 2 })[0];
  assertClose(
    await numbers(run(x)),
    values.map((v) => 2 * v ** 3),
  );
  assert.throws(
    () => grad(() => run(x).sum(), [x]),
    /grad: cube has no gradient; give it one by defineRule or customVjp/,
  );
  assertClose(
    await numbers(grad(() => run(stopGradient(x)).mul(x).sum(), [x])[0]),
    values.map((v) => 2 * v ** 3),
  );
  const wrapped = customVjp({
    forward: (y) => ({ output: run(y), saved: [y] }),
    backward: (gradient, [y]) => [gradient.mul(y.square()).mul(6)],
  });
  await gradcheck((y) => wrapped(y).sum(), [x]);

  defineRule(
    cube,
    rule('inputs', (g, { inputs: [y], attributes: { scale } }) => [g.mul(y.square()).mul(3 * scale)]),
  );
  await gradcheck((y) => run(y.mul(0.5)).sum(), [x]);
  const [second] = grad(() => grad(() => run(x).sum(), [x])[0].sum(), [x]);
  assertClose(
    await numbers(second),
    values.map((v) => 12 * v),
  );
  assert.throws(
    () =>
      defineRule(
        cube,
        rule('nothing', (g) => [g]),
      ),
    /cube has a rule already/,
  );
});

test('vjp weighs several outputs of any shape, and is differentiable', async () => {
  const x = tensor(values);
  const w = normal([4, 3], { seed: 1, stream: 2 });
  const { output, gradients } = vjp(
    (y) => [y.square(), y.reshape([1, 4]).matmul(w)],
    [x],
    ([, product]) => [tensor([1, 2, 3, 4]), ones(product.shape)],
  );
  assert.equal(
    output.map(({ shape }) => [...shape]),
    [[4], [1, 3]],
  );
  const rows = await numbers(sum(w, { dim: 1 }));
  assertClose(
    await numbers(gradients[0]),
    values.map((v, i) => 2 * v * (i + 1) + rows[i]),
  );
  const [second] = grad(() => vjp((y) => y.square().square(), [x], ones([4])).gradients[0].sum(), [x]);
  assertClose(
    await numbers(second),
    values.map((v) => 12 * v * v),
  );
  assert.throws(
    () => vjp((y) => y.neg(), [x], ones([3])),
    /vjp: gradient 0 is Tensor\(f32\[3\]\), but the output is Tensor\(f32\[4\]\)/,
  );
  assert.throws(() => vjp(() => ones([2]), [x], ones([2])), /no output depends/);
  assert.throws(
    () => grad(() => x.sum(), [tensor(Int32Array.of(1))]),
    /parameter 0 is Tensor\(i32\[1\]\); gradients flow to f32/,
  );
});

test('rules that give other than they promise are errors with their name', () => {
  const x = tensor(values);
  const product = (backward: (g: Tensor) => unknown) => {
    const f = customVjp({
      name: 'product',
      forward: (a: Tensor, b: Tensor) => ({ output: a.mul(b) }),
      backward: backward as (g: Tensor) => Tensor[],
    });
    return () => grad(() => f(x, x.mul(2)).sum(), [x]);
  };
  assert.throws(
    product((g) => [g]),
    /product: backward returned 1 gradients for 2 inputs/,
  );
  assert.throws(
    product((g) => [g, g, g]),
    /product: backward returned 3 gradients for 2 inputs/,
  );
  assert.throws(
    product((g) => g),
    /product: backward returned no array for 2 inputs/,
  );
  const ofOp = (name: string, gradient: (g: Tensor) => unknown) => {
    const op = defineOp({ ...cube, name });
    defineRule(op, rule('nothing', gradient as () => Tensor[]));
    return () => grad(() => apply(op, [x], { scale: 2 })[0].sum(), [x]);
  };
  assert.throws(
    ofOp('lacking', () => []),
    /lacking: its rule returned 0 gradients for 1 inputs; expected one each/,
  );
  assert.throws(
    ofOp('number', () => 3),
    /number: its rule returned no array for 1 inputs/,
  );
  assert.throws(
    ofOp('numbers', () => [3]),
    /the rule of numbers made 3 for an input of \[4\]; expected a tensor/,
  );
  const untyped = defineRule as (...args: unknown[]) => void;
  assert.throws(
    () =>
      untyped(
        3,
        rule('nothing', () => []),
      ),
    /defineRule: 3 is no operation; expected what defineOp made/,
  );
  assert.throws(() => untyped(defineOp({ ...cube, name: 'c' }), () => []), /defineRule: the rule of c is a function/);
  const bare = customVjp({ name: 'bare', forward: ((a: Tensor) => a.mul(2)) as never, backward: (g) => [g] });
  assert.throws(() => grad(() => bare(x).sum(), [x]), /bare: forward returned no \{ output \}/);
});

test.run();

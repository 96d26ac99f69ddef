import {
  compile,
  dropout,
  layerNorm,
  matmul,
  normal,
  ones,
  type RandomKey,
  scope,
  softmax,
  type Tensor,
  tensor,
  zeros,
} from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../tensor/test/device.ts';
import { checkpoint, customVjp, grad, nn, stopGradient, valueAndGrad } from '../src/index.ts';

const numbers = async (x: Tensor) => [...(await x.data())];
const live = () => device.statistics().liveBytes;
const draw = (shape: number[], stream: number) => normal(shape, { seed: 9, stream });

const x = draw([6, 16], 1);
const w = draw([16, 16], 2);
const v = draw([16, 16], 3);
const affine = [ones([16]), zeros([16])] as const;

/** A block that uses a parameter several times, so that the order of additions matters. */
function block(h: Tensor, keys: nn.KeySequence): Tensor {
  const inner = layerNorm(matmul(h, w), ...affine).gelu();
  const mixed = matmul(dropout(inner, { p: 0.25, ...keys.next() }), w).add(matmul(inner, v));
  return h.add(softmax(mixed).mul(dropout(mixed, { p: 0.5, ...keys.next() })));
}

type Wrap = <F extends (...inputs: Tensor[]) => Tensor>(fn: F) => (...inputs: Tensor[]) => Tensor;
const plain: Wrap = (fn) => fn;
const once: Wrap = (fn) => checkpoint(fn);

/** Three blocks with shared parameters, which are used before and after them too. */
function network(wrap: Wrap): Tensor {
  const keys = nn.keySequence(5, 3);
  let h = dropout(matmul(x, w), { p: 0.1, ...keys.next() });
  for (let i = 0; i < 3; i++) h = wrap((y) => block(y, keys))(h);
  h = dropout(matmul(h, w), { p: 0.1, ...keys.next() });
  return h.square().mean();
}

async function valuesOf(fn: () => Tensor, parameters = [x, w, v, ...affine]): Promise<number[][]> {
  const { value, gradients } = valueAndGrad(fn, parameters);
  const result = await Promise.all([value, ...gradients].map(numbers));
  for (const own of [value, ...gradients]) own.dispose();
  return result;
}

test('values and gradients are the same bits, dropout and shared parameters included', async () => {
  assert.equal(await valuesOf(() => network(once)), await valuesOf(() => network(plain)));
});

test('so they are for a parameter that the checkpointed function alone sees, and for its input alone', async () => {
  const run = (wrap: Wrap) => () =>
    wrap((y) => block(y, nn.keySequence(1)))(x)
      .square()
      .mean();
  for (const parameters of [[w], [x], [affine[0], v]]) {
    assert.equal(await valuesOf(run(once), parameters), await valuesOf(run(plain), parameters));
  }
});

test('checkpoints nest', async () => {
  const nested: Wrap = (fn) => checkpoint((y) => checkpoint(fn)(checkpoint((z) => fn(z).mul(0.5))(y)));
  const flat: Wrap = (fn) => (y) => fn(fn(y).mul(0.5));
  assert.equal(await valuesOf(() => network(nested)), await valuesOf(() => network(flat)));
  // The parameter is seen in the inner one only.
  const inner = (wrap: Wrap) => () => wrap(() => wrap(() => w.square())().sum())();
  assert.equal(await valuesOf(inner(once), [w]), await valuesOf(inner(plain), [w]));
});

test('what the function refers to may be gone by the time of the backward pass', async () => {
  const run = (wrap: Wrap) => () => {
    const mask = x.gt(0).cast('f32');
    const target = matmul(x, v);
    return wrap((y) => matmul(y, w).mul(mask).sub(stopGradient(target)).square())(matmul(x, w)).mean();
  };
  assert.equal(await valuesOf(run(once)), await valuesOf(run(plain)));
});

test('a function may return its input, what it refers to, and several tensors', async () => {
  const run = (wrap: <F extends (...inputs: Tensor[]) => Tensor[]>(fn: F) => F) => () => {
    const [same, captured, made, flags] = wrap((y) => [y, w, matmul(y, w).tanh(), y.gt(0)])(x.mul(2));
    return same.sum().add(captured.square().sum()).add(made.mul(flags).sum()).add(w.sum());
  };
  assert.equal(await valuesOf(run(checkpoint as never)), await valuesOf(run((fn) => fn)));
});

test('custom rules and gradients inside a checkpoint', async () => {
  const clipped = customVjp({
    forward: (y) => ({ output: y.exp(), saved: [y.exp().mul(2)] }),
    backward: (gradient, [slope]) => [gradient.mul(slope).minimum(1)],
  });
  const run = (wrap: Wrap) => () =>
    wrap((y) => {
      const [slope] = grad(() => clipped(y.mul(0.1)).tanh().sum(), [y]);
      return clipped(matmul(y, w).mul(0.01)).add(slope);
    })(x).mean();
  assert.equal(await valuesOf(run(once), [w]), await valuesOf(run(plain), [w]));
  // To the rounding of sums: tapes that lie further out take the additions down in another order.
  const [a, b] = [await valuesOf(run(once), [x]), await valuesOf(run(plain), [x])];
  a[1].forEach((value, i) => {
    assert.ok(Math.abs(value - b[1][i]) < 1e-6, `${value} at ${i}, expected ${b[1][i]}`);
  });
});

test('gradients of gradients go through a checkpoint', async () => {
  const penalty = (wrap: Wrap) => () => {
    const [slope] = grad(() => wrap((y) => matmul(matmul(y, w).tanh(), v).tanh())(x).sum(), [x]);
    return slope.square().sum();
  };
  const [a, b] = [await valuesOf(penalty(once), [w, v]), await valuesOf(penalty(plain), [w, v])];
  for (const [i, list] of a.entries()) {
    const scale = Math.max(...b[i].map(Math.abs));
    list.forEach((value, at) => {
      assert.ok(Math.abs(value - b[i][at]) <= 1e-5 * scale, `${value} at ${at}, expected ${b[i][at]}`);
    });
  }
});

function peakOf(fn: () => void): number {
  scope(fn);
  const start = live();
  device.pool.statistics.peakBytes = start;
  scope(fn);
  return device.statistics().peakBytes - start;
}

test('the peak of memory falls from all intermediates to those of one block', () => {
  const big = draw([64, 1024], 4);
  const one = 64 * 1024 * 4;
  const chain = (wrap: Wrap) => () => {
    let h: Tensor = big;
    for (let i = 0; i < 8; i++) h = wrap((y) => y.tanh().tanh().tanh().tanh().tanh())(h);
    return h.sum();
  };
  const whole = peakOf(() => {
    valueAndGrad(chain(plain), [big]);
  });
  const less = peakOf(() => {
    valueAndGrad(chain(once), [big]);
  });
  assert.ok(whole >= 40 * one, `${whole / one} tensors without`);
  // Eight block ends, five results inside one block, and a few gradients.
  assert.ok(less <= 20 * one, `${less / one} tensors with, ${whole / one} without`);
  big.dispose();
});

test('a function that does something else the second time is refused, and leaves nothing behind', async () => {
  const attempt = async () => {
    let calls = 0;
    const own: nn.KeySequence = { next: (): RandomKey => ({ seed: 1, stream: calls++ }) };
    const run = (fn: (y: Tensor) => Tensor) => () => grad(() => checkpoint(fn)(x.mul(2)).sum(), [x]);
    assert.throws(
      run((y) => dropout(y, { p: 0.5, ...own.next() })),
      /checkpoint: .*step 1 was dropout\(f32\[6, 16\]\) with .*"stream":0.* and became dropout.*"stream":1/,
    );
    let first = true;
    const shorter = (y: Tensor) => {
      const out = first ? y.neg().neg() : y.neg();
      first = false;
      return out;
    };
    assert.throws(run(shorter), /it ended before step 2, neg/);
    let second = false;
    const longer = (y: Tensor) => {
      const out = second ? y.neg().abs() : y.neg();
      second = true;
      return out;
    };
    assert.throws(run(longer), /it went on with abs\(f32\[6, 16\]\) where the first run had ended/);
    assert.throws(
      run(() => {
        throw new Error('in the first run');
      }),
      /in the first run/,
    );
    let runs = 0;
    const late = (y: Tensor) => {
      if (runs++) throw new Error('in the second run');
      return y.neg();
    };
    assert.throws(run(late), /in the second run/);
    // Sequences hand out their own keys again afterwards.
    const keys = nn.keySequence(1);
    for (const gradient of grad(() => checkpoint((y) => dropout(y, { p: 0.5, ...keys.next() }))(x).sum(), [x]))
      gradient.dispose();
    assert.equal(keys.next(), { seed: 1, stream: 1 });
  };
  await attempt();
  const { liveBytes, liveBuffers } = device.statistics();
  await attempt();
  assert.is(live(), liveBytes);
  assert.is(device.statistics().liveBuffers, liveBuffers);
});

test('numbers and tensors that changed between the runs are refused, by what changed', () => {
  const at = tensor([2, 3]);
  let k = 0;
  const others = [ones([2]), zeros([2])];
  const list = new Float32Array([1, 1]);
  const changing: [(y: Tensor) => Tensor, RegExp][] = [
    [(y) => y.mul(++k), /checkpoint: .*the number that mul \(step 1\) takes was 1 and became 2/],
    [
      (y) => y.mul(tensor([++k, 1])),
      /element 0 of the tensor made of numbers that mul \(step 1\) takes was 1 and became 2/,
    ],
    [(y) => y.mul(tensor([1, Math.random()])), /element 1 of the tensor made of numbers/],
    [
      (y) => y.mul(others[k++]),
      /operand 2 of mul \(step 1\), which takes f32\[2\] and f32\[2\], became another tensor/,
    ],
    [(y) => [y.mul(3), y.mul(3)][k++], /it returned other tensors/],
    [(y) => [y, others[0]][k++], /it returned other tensors/],
    // The caller's array, which it changes itself.
    [
      (y) => {
        list[0]++;
        return y.mul(tensor(list));
      },
      /element 0 of the tensor/,
    ],
  ];
  for (const [fn, message] of changing) {
    k = 0;
    assert.throws(() => valueAndGrad(() => checkpoint(fn)(at).sum(), [at]), message);
  }
  // What is made anew of the same numbers is the same.
  for (const own of grad(() => checkpoint((y) => y.mul(tensor([4, 5])).mul(2))(at).sum(), [at])) own.dispose();
});

test('the error of another step leaves the device out', () => {
  let shape = 1;
  const made = (y: Tensor) => y.mul(zeros([shape++]));
  try {
    grad(() => checkpoint(made)(x.sum()).sum(), [x]);
    assert.unreachable();
  } catch (error) {
    const { message } = error as Error;
    assert.match(message, /step 1 was full\(\) with .*"shape":\[\d\].* and became full\(\)/);
    assert.not.match(message, /device|adapter/);
  }
});

test('a compiled function computes the block again, too, and holds less memory between', async () => {
  const wide = draw([128, 16], 4);
  const deep = (wrap: Wrap) => {
    const keys = nn.keySequence(5, 3);
    let h = wide.mul(1);
    for (let i = 0; i < 4; i++) h = wrap((y) => block(y, keys))(h);
    return h.square().mean();
  };
  const gradientsOf = (wrap: Wrap) =>
    compile((scale: Tensor) => valueAndGrad(() => deep(wrap).mul(scale), [w, v]).gradients);
  const [kept, again] = [gradientsOf(plain), gradientsOf(once)];
  const [expected, made] = [kept(tensor([1])), again(tensor([1]))];
  for (const [i, gradient] of made.entries()) {
    const [own, other] = await Promise.all([numbers(gradient), numbers(expected[i])]);
    const largest = other.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    for (const [k, value] of own.entries()) assert.ok(Math.abs(value - other[k]) < 1e-5 * largest);
  }
  assert.ok(again.plannedBytes < 0.8 * kept.plannedBytes, `${again.plannedBytes} of ${kept.plannedBytes} bytes`);
  for (const plan of [kept, again]) plan.dispose();
});

test('without anybody differentiating, it is the function', async () => {
  const run = checkpoint((y) => matmul(y, w));
  assert.equal(await numbers(run(x)), await numbers(matmul(x, w)));
  const [gradient] = grad(() => tensor([2]).mul(run(x).sum()).add(v.sum()), [v]);
  assert.ok((await numbers(gradient)).every((value) => value === 1));
});

test.run();

import {
  add,
  layerNorm,
  matmul,
  mul,
  normal,
  observe,
  ones,
  scope,
  sum,
  type Tensor,
  where,
  zeros,
} from '@dawnchorus/tensor';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { device } from '../../tensor/test/device.ts';
import { grad, gradcheck, nn, optim, stopGradient, valueAndGrad } from '../src/index.ts';

const live = () => device.statistics().liveBytes;

/** Runs once for the constants and buffers that are kept, then asserts that more runs leave nothing behind. */
async function leavesNothing(body: () => unknown, runs = 1): Promise<void> {
  await body();
  const { liveBytes, liveBuffers } = device.statistics();
  for (let i = 0; i < runs; i++) await body();
  assert.is(live(), liveBytes);
  assert.is(device.statistics().liveBuffers, liveBuffers);
}

const key = { seed: 1, stream: 0 };
const x = normal([6, 8], key);
const w = normal([8, 8], key);
const affine = [ones([8]), zeros([8])] as const;

function network(): Tensor {
  let h = x;
  for (let i = 0; i < 3; i++) h = layerNorm(add(h, matmul(h, w).gelu()), ...affine);
  return h.softmax().square().mean();
}

test('twenty steps leave nothing behind, and make no buffer after the first', async () => {
  const step = async () => {
    const { value, gradients } = valueAndGrad(network, [w, ...affine]);
    assert.ok(Number.isFinite(await value.item()));
    for (const tensor of [value, ...gradients]) tensor.dispose();
  };
  await leavesNothing(step, 20);
  const { allocations } = device.statistics();
  await step();
  assert.is(device.statistics().allocations, allocations);
});

test('a scope around a step frees all of it', () =>
  leavesNothing(() => {
    scope(() => {
      valueAndGrad(() => ({ loss: network(), auxiliary: [x.neg(), w.mul(2)] }), [w]);
    });
  }));

test('what does not matter to the backward pass is freed before it', async () => {
  const big = zeros([64, 1024]);
  const peakOf = (fn: () => void) => {
    scope(fn);
    const start = live();
    device.pool.statistics.peakBytes = start;
    scope(fn);
    return device.statistics().peakBytes - start;
  };
  const chain = () => {
    let total: Tensor = big;
    for (let i = 0; i < 30; i++) total = add(total, big);
    return total.sum();
  };
  // Additions save nothing: the forward scope still holds its 30 results, the backward pass adds but a few.
  const forward = peakOf(() => {
    chain();
  });
  const whole = peakOf(() => {
    valueAndGrad(chain, [big]);
  });
  const one = 64 * 1024 * 4;
  assert.ok(whole <= forward + 4 * one, `${whole / one} tensors at the peak, ${forward / one} in the forward pass`);
  big.dispose();
});

test('an error inside fn releases the tape and stops listening', () =>
  leavesNothing(() => {
    let seen: Tensor | undefined;
    const fail = () => {
      seen = mul(matmul(x, w), 3).square();
      throw new Error('on purpose');
    };
    assert.throws(() => valueAndGrad(fail, [w]), /on purpose/);
    assert.ok(seen?.disposed);
    // Nobody keeps what comes after.
    const before = live();
    scope(() => {
      sum(mul(w, w));
    });
    assert.is(live(), before);
  }));

test('an operation that rejects its inputs does so inside fn, too', () =>
  leavesNothing(() => {
    assert.throws(() => valueAndGrad(() => sum(matmul(x.square(), x as Tensor)), [x]), /matmul/);
  }));

test('a loss that is refused releases the tape', () =>
  leavesNothing(() => {
    assert.throws(() => valueAndGrad(() => matmul(x, w).square(), [w]), /expected an f32 or f16 scalar/);
    assert.throws(
      () =>
        valueAndGrad(() => {
          matmul(x, w).square();
          return x.sum();
        }, [w]),
      /does not depend/,
    );
  }));

test('observers that were there before keep listening, and see the backward pass', () => {
  const names: string[] = [];
  const stop = observe(({ name }) => names.push(name));
  scope(() => {
    valueAndGrad(() => sum(x.softmax()), [x]);
    assert.throws(() =>
      valueAndGrad(() => {
        throw new Error('on purpose');
      }, [x]),
    );
    stopGradient(x);
    x.neg();
  });
  stop();
  x.abs().dispose();
  assert.is(names.indexOf('softmax'), 0);
  assert.ok(names.includes('softmaxBackward'));
  assert.is(names.at(-1), 'neg');
  assert.not(names.includes('expand') && names.indexOf('expand') > names.indexOf('softmaxBackward'));
});

test('a gradient of a gradient leaves nothing behind', () =>
  leavesNothing(() => {
    const inner = () => sum(grad(() => sum(mul(mul(w, w), w)), [w])[0].square());
    for (const gradient of grad(inner, [w])) gradient.dispose();
  }, 3));

test('gradcheck leaves nothing behind, whether it passes or not', () =>
  leavesNothing(async () => {
    const a = ones([2, 2]);
    await gradcheck((y) => y.square().sum(), [a]);
    const broken = gradcheck((y) => mul(y, stopGradient(y)).sum(), [a]);
    await broken.then(
      () => assert.unreachable(),
      () => {},
    );
    a.dispose();
  }));

test('constants that change every step displace none in use, and do not pile up', async () => {
  const step = (i: number) => {
    for (const gradient of grad(() => sum(mul(where(x.gt(0), 0.5, i + 0.125), x)), [x])) gradient.dispose();
  };
  for (let i = 0; i < 600; i++) step(i);
  const before = live();
  for (let i = 600; i < 700; i++) step(i);
  assert.is(live(), before);
});

test('modules and optimisers give back what they hold', () =>
  leavesNothing(() => {
    const keys = nn.keySequence(1);
    const modules = [
      new nn.Linear(5, 3, keys),
      new nn.LayerNorm(5),
      new nn.GroupNorm(2, 4),
      new nn.Conv1d(4, 6, 3, keys, { groups: 2 }),
      new nn.WeightNormConv1d(4, 6, 3, keys, { std: 0.1 }),
      new nn.MultiHeadAttention(6, 2, keys),
    ];
    const optimisers = modules.map((module) => new optim.AdamW(module.namedParameters(), { shardBytes: 64 }));
    const parameters = modules[0].namedParameters();
    const gradients = new Map([...parameters].map(([name, { shape }]) => [name, ones(shape)]));
    optimisers[0].step(gradients, 0.1).dispose();
    for (const gradient of gradients.values()) gradient.dispose();
    for (const owner of [...optimisers, ...modules]) owner.dispose();
  }));

test.run();

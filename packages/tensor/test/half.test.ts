/** f16: conversions on the CPU, memory at odd places, promotion, what is computed in f32, and compiled functions. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { float16Bits, float16FromNumbers, float16ToFloat32, float16Value } from '../src/half.ts';
import {
  add,
  apply,
  arange,
  cast,
  compile,
  concat,
  type Device,
  type DType,
  eq,
  full,
  matmul,
  max,
  mean,
  mul,
  nanToNum,
  normal,
  ones,
  scope,
  softmax,
  sum,
  type Tensor,
  tensor,
  uniform,
  variance,
  where,
  zeros,
} from '../src/index.ts';
import { randomFrom } from './arbitraries.ts';
import { device, hasHalf, unlessHalf } from './device.ts';
import { toHalf } from './reference/array.ts';

/** A test that needs the adapter's f16. */
const onGpu = (name: string, body: () => unknown) =>
  (hasHalf ? test : test.skip)(`${name}${unlessHalf}`, async () => {
    await body();
  });

const half = (values: number[], shape = [values.length]) => tensor(values, { shape, dtype: 'f16' });
const values = async (x: Tensor): Promise<number[]> => {
  const data = Array.from(await x.data());
  x.dispose();
  return data;
};

test('an array of singles goes to the same halves as single numbers', () => {
  // Every half, what lies halfway to the next, and the singles on both sides of either.
  const bits = new Uint32Array(65536 * 6);
  const numbers = new Float32Array(bits.buffer);
  for (let i = 0; i < 65536; i++) {
    numbers[6 * i] = float16Value(i);
    numbers[6 * i + 3] = (float16Value(i) + float16Value((i & 0x7fff) < 0x7c00 ? i + 1 : i)) / 2;
    for (const k of [6 * i, 6 * i + 3]) {
      bits[k + 1] = bits[k] + 1;
      bits[k + 2] = bits[k] - 1;
    }
  }
  const halves = float16FromNumbers(numbers);
  assert.is(
    halves.findIndex((found, i) => found !== float16Bits(numbers[i])),
    -1,
  );
  assert.equal(float16FromNumbers(numbers.subarray(5, 9)), halves.slice(5, 9));
});

test('every half goes to a number and back', () => {
  const bits = Uint16Array.from({ length: 65536 }, (_, i) => i);
  const numbers = float16ToFloat32(bits);
  for (let i = 0; i < bits.length; i++) {
    assert.ok(Object.is(numbers[i], Math.fround(float16Value(i))));
    const isNan = (i & 0x7fff) > 0x7c00;
    assert.is(Number.isNaN(numbers[i]), isNan);
    if (!isNan) assert.is(float16Bits(numbers[i]), i);
  }
  // IEEE 754: the smallest subnormal, the smallest normal, 1/3, the largest.
  assert.equal([0x0001, 0x0400, 0x3555, 0x7bff, 0xfc00].map(float16Value), [
    2 ** -24,
    2 ** -14,
    0.333251953125,
    65504,
    Number.NEGATIVE_INFINITY,
  ]);
});

test('numbers between two halves go to the nearer one, and halfway to the even one', () => {
  for (let bits = 0; bits < 0x7bff; bits++) {
    const [below, above] = [float16Value(bits), float16Value(bits + 1)];
    const middle = (below + above) / 2;
    const even = bits % 2 === 0 ? bits : bits + 1;
    // Nothing is rounded twice: a hair's breadth that f32 cannot hold decides.
    const hair = middle * 2 ** -50;
    assert.is(float16Bits(middle), even, `${middle}`);
    assert.is(float16Bits(middle - hair), bits, `${middle} less a hair`);
    assert.is(float16Bits(middle + hair), bits + 1, `${middle} and a hair`);
    assert.is(float16Bits(-middle), even | 0x8000);
  }
  const limits = [65519.99, 65520, 1e300, -65520, 2 ** -25, 2 ** -25 * 1.0001, 1e-300, -0];
  assert.equal(limits.map(float16Bits), [0x7bff, 0x7c00, 0x7c00, 0xfc00, 0, 1, 0, 0x8000]);
});

onGpu('tensors of any length are written and read, also from views at odd places', async () => {
  for (const count of [0, 1, 2, 3, 7, 64, 65]) {
    const numbers = Array.from({ length: count }, (_, i) => i + 0.5);
    const x = half(numbers);
    assert.equal(await values(x), numbers, `${count} elements`);
  }
  const x = half([0, 1, 2, 3, 4, 5, 6]);
  for (const [start, end] of [
    [1, 7],
    [1, 2],
    [3, 6],
    [2, 5],
    [6, 7],
  ]) {
    const expected = [0, 1, 2, 3, 4, 5, 6].slice(start, end);
    const view = x.sliceAxis(0, start, end);
    assert.equal(Array.from(await view.data()), expected, `elements ${start} to ${end}`);
    assert.equal(
      await values(add(view, 1)),
      expected.map((v) => v + 1),
    );
    view.dispose();
  }
  assert.instance(await x.data(), Float32Array);
  assert.is(await x.print(), 'f16[7] [0, 1, 2, 3, 4, 5, 6]');
  assert.equal(await concat([x.sliceAxis(0, 0, 3), x.sliceAxis(0, 5, 6)]).toArray(), [0, 1, 2, 5]);
  assert.equal(await x.reshape([7, 1]).expand([7, 2]).sum({ dim: 1 }).toArray(), [0, 2, 4, 6, 8, 10, 12]);
  assert.equal(await full([3], 0.1, { dtype: 'f16' }).toArray(), [toHalf(0.1), toHalf(0.1), toHalf(0.1)]);
  assert.equal(await arange(0, 1, 0.25, { dtype: 'f16' }).toArray(), [0, 0.25, 0.5, 0.75]);
});

onGpu('a half takes two bytes', () => {
  const before = device.statistics().liveBytes;
  const x = zeros([64, 1024], { dtype: 'f16' });
  assert.is(device.statistics().liveBytes - before, 2 * 64 * 1024);
  x.dispose();
});

onGpu('dtypes meet as bool < u32 < i32 < f16 < f32, and numbers adapt', () => {
  scope(() => {
    const x = half([1, 2]);
    const like = (dtype: DType) => ones([2], { dtype });
    for (const dtype of ['bool', 'u32', 'i32', 'f16'] as const) assert.is(add(x, like(dtype)).dtype, 'f16', dtype);
    assert.is(add(x, like('f32')).dtype, 'f32');
    assert.is(add(x, 2.5).dtype, 'f16');
    assert.is(mul(1e-5, x).dtype, 'f16');
    assert.is(where(x.gt(1), x, 0).dtype, 'f16');
    assert.is(x.div(3).dtype, 'f16');
    assert.is(like('i32').div(x).dtype, 'f16');
    assert.is(x.exp().dtype, 'f16');
    assert.is(x.gt(1).dtype, 'bool');
    for (const y of [sum(x), mean(x), max(x), softmax(x), variance(x)]) assert.is(y.dtype, 'f16');
    const [a, b] = [ones([2, 2], { dtype: 'f16' }), ones([2, 2])];
    assert.equal([matmul(a, a).dtype, matmul(a, b).dtype, matmul(b, a).dtype], ['f16', 'f32', 'f32']);
  });
});

onGpu('numbers beside halves keep their digits in arithmetic and mean the nearest half in comparisons', async () => {
  const x = half([60000, 0.1]);
  // 1e-7 as a half is 1.19e-7, 1e9 is infinite.
  assert.equal(await values(mul(x, 1e-7)), [toHalf(60000e-7), toHalf(toHalf(0.1) * 1e-7)]);
  assert.equal(
    await values(mul(mul(x, 1e-7).cast('f32'), 1e9)),
    [toHalf(60000e-7) * 1e9, toHalf(toHalf(0.1) * 1e-7) * 1e9].map(Math.fround),
  );
  assert.equal(await values(eq(x, 0.1)), [0, 1]);
  assert.equal(await values(x.le(0.1)), [0, 1]);
});

onGpu('sums are made in f32', async () => {
  // In f16, adding ones stops at 2048.
  assert.equal(await values(sum(ones([10_001], { dtype: 'f16' }))), [toHalf(10_001)]);
  assert.equal(await values(sum(ones([10_001, 3], { dtype: 'f16' }), { dim: 0 })), [10_000, 10_000, 10_000]);
  // The sums are far over the largest half.
  assert.equal(await values(mean(full([5000], 65_504, { dtype: 'f16' }))), [65_504]);
  const [a, b] = [ones([3, 5000], { dtype: 'f16' }), ones([5000, 3], { dtype: 'f16' })];
  assert.equal(await values(matmul(a, b)), new Array(9).fill(5000));
  const spread = half(Array.from({ length: 1000 }, (_, i) => 1000 + (i % 2) / 2));
  assert.equal(await values(variance(spread, { correction: 0 })), [0.0625]);
});

onGpu('casts round to nearest even and reach infinity', async () => {
  const random = randomFrom(7);
  const numbers = [2049, 2051, 65519, 65520, -1e20, 2 ** -25, 3 * 2 ** -25, 0.1];
  for (let i = 0; i < 2000; i++) numbers.push((random() - 0.5) * 10 ** (random() * 10 - 6));
  const x = tensor(numbers);
  assert.equal(
    await values(cast(x, 'f16')),
    numbers.map((v) => toHalf(Math.fround(v))),
  );
  assert.equal(await values(cast(half([3.7, -3.7, 65504]), 'i32')), [3, -3, 65504]);
  assert.equal(await values(cast(half([0, -0, 6e-8]), 'bool')), [0, 0, 1]);
  assert.equal(await values(cast(tensor([100_000, -5], { dtype: 'i32' }), 'f16')), [Number.POSITIVE_INFINITY, -5]);
});

onGpu('draws in f16 are those in f32, rounded, and stay below the upper bound', async () => {
  const key = { seed: 3, stream: 1 };
  const [wide, narrow] = [normal([999], key), normal([999], { ...key, dtype: 'f16' })];
  assert.equal(await values(narrow), (await values(wide)).map(toHalf));
  const most = await values(max(uniform([40_000], { ...key, dtype: 'f16' })));
  assert.ok(most[0] < 1, `${most}`);
});

onGpu('compiled functions agree with eager ones, but that halves on the way may keep the digits of f32', async () => {
  const x = normal([13, 21], { seed: 1, stream: 0, dtype: 'f16' });
  const y = normal([21, 7], { seed: 1, stream: 1, dtype: 'f16' });
  const functions: Record<string, (inputs: { x: Tensor; y: Tensor }) => Tensor> = {
    'a chain': ({ x }) => x.mul(0.1).add(3).exp().sub(x),
    'a chain across dtypes': ({ x }) => x.mul(0.1).cast('f32').add(0.3).cast('f16').square(),
    'a product and what follows': ({ x, y }) => matmul(x, y).add(0.1).gelu(),
    'a product made f32': ({ x, y }) => matmul(x, y).cast('f32').mul(3),
    'a product that is compared': ({ x, y }) => matmul(x, y).gt(100),
    'a sum of what was made': ({ x }) => sum(x.mul(x), { dim: 1 }),
    'a sum of what was made from f32': ({ x }) => sum(x.cast('f32').mul(0.3).cast('f16'), { dim: 0 }),
    'numbers that halves cannot hold': ({ x }) => x.mul(1e-7).add(full([21], 0.1, { dtype: 'f16' })),
  };
  for (const [name, fn] of Object.entries(functions)) {
    const eager = fn({ x, y });
    const compiled = compile(fn);
    const replayed = compiled({ x, y });
    assert.is(replayed.dtype, eager.dtype, name);
    const [got, want] = [await values(replayed), await values(eager)];
    const peak = want.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
    got.forEach((value, i) => {
      assert.ok(Math.abs(value - want[i]) <= 4 * 2 ** -11 * peak, `${name}: ${value}, expected ${want[i]}`);
    });
    compiled.dispose();
  }
});

onGpu(
  'joined operations round at most where eager ones do: both are within half a unit of f16 for each of them',
  async () => {
    const x = uniform([4096], { seed: 1, stream: 0, low: 0.5, high: 2, dtype: 'f16' });
    const given = await x.data();
    // Factors that are no halves' neighbours of one, and sums of positive numbers: each operation passes on the relative
    // error of its operand and adds its own.
    const factors = [1.1, 0.9, 1.3, 0.7, 1.2, 0.8, 1.05, 0.95];
    const fn = (y: Tensor) => factors.reduce((z, factor) => z.mul(factor).add(0.25), y);
    const exact = Array.from(given, (value) => factors.reduce((z, factor) => z * toHalf(factor) + 0.25, value));
    const compiled = compile(fn);
    const [replayed, again, eager] = await Promise.all([compiled(x), compiled(x), fn(x)].map(values));
    const largest = (got: number[]) =>
      got.reduce((most, value, i) => Math.max(most, Math.abs(value / exact[i] - 1)), 0) / 2 ** -11;
    const bound = 2 * factors.length;
    assert.ok(largest(eager) <= bound, `eager: ${largest(eager)}`);
    assert.ok(largest(replayed) <= bound, `compiled: ${largest(replayed)}`);
    assert.ok(largest(replayed) <= largest(eager), `compiled: ${largest(replayed)}, eager: ${largest(eager)}`);
    assert.equal(again, replayed);
    compiled.dispose();
    x.dispose();
  },
);

test('an adapter without f16 says so, what it lacks and what to do', () => {
  const without = new Proxy(device, {
    get: (target, key) => {
      if (key === 'features') return new Set();
      const value = Reflect.get(target, key, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  }) as Device;
  const message = /f16 needs the GPU feature shader-f16, which .* does not have; use f32/;
  const attempts = [
    () => zeros([2], { dtype: 'f16', device: without }),
    () => tensor([1, 2], { dtype: 'f16', device: without }),
    () => uniform([2], { seed: 1, stream: 1, dtype: 'f16', device: without }),
  ];
  for (const attempt of attempts) assert.throws(attempt, message);
  if (!hasHalf) assert.throws(() => cast(zeros([2]), 'f16'), message);
});

onGpu('nanToNum replaces infinities by the largest halves', async () => {
  const x = tensor([Number.NaN, Infinity, -Infinity, 1.5], { dtype: 'f16' });
  const finite = nanToNum(x);
  assert.is(finite.dtype, 'f16');
  assert.equal([...(await finite.data())], [0, 65504, -65504, 1.5]);
  x.dispose();
  finite.dispose();
});

onGpu('operations that have no f16 refuse it', () => {
  scope(() => {
    const x = zeros([4, 4], { dtype: 'f16' });
    assert.throws(
      () => apply('nearestCode', [x, x], {}),
      /nearestCode: the input is f16\[4, 4\]; expected f32; use \.cast\('f32'\)/,
    );
    assert.throws(
      () => apply('concat', [x, zeros([4, 4])], { axis: 0 }),
      /concat: f16\[4, 4\], f32\[4, 4\] must agree in dtype/,
    );
    assert.throws(
      () => apply('softmaxBackward', [x, zeros([4, 4])], {}),
      /softmaxBackward: the gradient is f32.*expected f16/,
    );
  });
});

onGpu('norms, deviations and logarithms of sums overflow only where their result does', async () => {
  const near = async (x: Tensor, expected: number) => {
    assert.is(x.dtype, 'f16');
    const found = await x.item();
    x.dispose();
    assert.ok(Math.abs(found - expected) <= 2 ** -10 * expected, `${found}, expected ${expected}`);
  };
  const x = full([100], 600, { dtype: 'f16' });
  const swing = half([600, -600]);
  await near(x.norm(), 6000);
  await near(x.norm({ p: 3 }), 600 * 100 ** (1 / 3));
  await near(full([1000], 0.001, { dtype: 'f16' }).norm(), 0.001 * Math.sqrt(1000));
  await near(half([300, 400]).complexAbs(), 500);
  await near(swing.std(), 600 * Math.SQRT2);
  await near(zeros([100_000], { dtype: 'f16' }).logsumexp(), Math.log(100_000));
  await near(half([100]).softplus({ beta: 1000 }), 100);
  const compiled = compile((y: Tensor) => [y.norm(), y.std(), y.softplus({ beta: 1000 }).sum()]);
  const [norm, std, soft] = compiled(swing);
  await near(norm, 600 * Math.SQRT2);
  await near(std, 600 * Math.SQRT2);
  await near(soft, 600);
});

test.run();

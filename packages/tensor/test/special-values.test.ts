import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { difference } from './compare.ts';
import './device.ts';
import { type ElementwiseName, elementwise, elementwiseReference } from './reference/elementwise.ts';

// Implementations of WGSL may assume that there are no NaN and no infinities, so nothing here goes without saying.

const { NaN: nan, POSITIVE_INFINITY: inf } = Number;
const values = [nan, inf, -inf, 0, -0, 0.5, -0.5, 1, -1, 3.25, -3.25, 1e30, -1e30, 1e-30, -1e-30];

const unary = [
  ...['neg', 'abs', 'square', 'exp', 'exp2', 'expm1', 'log', 'log2', 'log10', 'log1p', 'sqrt', 'rsqrt', 'reciprocal'],
  ...[
    'asin',
    'acos',
    'atan',
    'sinh',
    'cosh',
    'asinh',
    'acosh',
    'atanh',
    'tanh',
    'sigmoid',
    'relu',
    'elu',
    'gelu',
    'silu',
  ],
  ...['softplus', 'erf', 'sign', 'floor', 'ceil', 'round', 'trunc', 'isnan', 'isinf', 'isfinite', 'logicalNot'],
] as ElementwiseName[];

const binary = [
  ...['add', 'sub', 'mul', 'div', 'maximum', 'minimum', 'remainder', 'floorDivide', 'leakyRelu'],
  ...['eq', 'ne', 'lt', 'le', 'gt', 'ge', 'logicalAnd', 'logicalOr', 'logicalXor'],
] as ElementwiseName[];

/** Numbers too large or too small for f32, and zeros that a device may flush to, are left to the operations' own tests. */
const representable = (value: number) =>
  !Number.isFinite(value) || value === 0 || (Math.abs(value) < 3e38 && Math.abs(value) > 1e-37);

async function check(name: ElementwiseName, columns: number[][]): Promise<void> {
  const arrays = columns.map((data) => ({
    dtype: 'f32' as const,
    shape: [data.length],
    data: Float64Array.from(data),
  }));
  const expected = elementwiseReference(name, arrays);
  const tensors = columns.map((data) => t.tensor(data));
  const [out] = t.apply(name, tensors, {});
  const actual = await out.data();
  for (let i = 0; i < actual.length; i++) {
    const want = expected.data[i];
    if (!representable(want)) continue;
    const one = { ...expected, shape: [1], data: Float64Array.of(want) };
    const problem = difference([actual[i]], one, { relative: 1e-5 });
    if (problem) assert.unreachable(`${name}(${columns.map((data) => data[i]).join(', ')}): ${problem}`);
  }
  for (const tensor of [...tensors, out]) tensor.dispose();
}

for (const name of unary) test(`${name} of NaN, infinities and zeros`, () => check(name, [values]));

for (const name of binary) {
  test(`${name} of NaN, infinities and zeros`, () =>
    check(name, [values.flatMap((x) => values.map(() => x)), values.flatMap(() => values)]));
}

test('atan2 has the signs of zeros and the corners at infinity', () =>
  check('atan2', [values.flatMap((x) => values.map(() => x)), values.flatMap(() => values)]));

test('clamp keeps NaN, and takes it from a bound', async () => {
  assert.equal([...(await t.clamp(t.tensor([nan, inf, -inf]), { min: -1, max: 2 }).data())], [nan, 2, -1]);
  assert.equal([...(await t.clamp(t.tensor([3, -3, nan]), { min: 0 }).data())], [3, 0, nan]);
  assert.equal([...(await t.clamp(t.tensor([1, 1]), { max: t.tensor([nan, 0]) }).data())], [nan, 0]);
});

test('sin, cos and tan of what is no number are NaN', async () => {
  const x = t.tensor([nan, inf, -inf]);
  for (const f of [t.sin, t.cos, t.tan]) assert.equal([...(await f(x).data())], [nan, nan, nan]);
});

test('sin, cos and tan of large angles are those of the very number', async () => {
  const random = (i: number) => ((i * 2654435761) % 2 ** 32) / 2 ** 32;
  const angles = Float32Array.from(
    { length: 2000 },
    (_, i) => (i % 2 ? 1 : -1) * 2 ** (11 + 117 * random(i + 1)) * (0.5 + 0.5 * random(i + 4000)),
  );
  // The smallest distance of a single to a multiple of pi / 2, and the ends of the range.
  angles.set([16367173 * 2 ** 72, -16367173 * 2 ** 72, 3.4028234663852886e38, 4096, 4095.9998, 8192, -65536, 1e8]);
  const x = t.tensor(angles);
  const { sin, cos, tan } = t;
  for (const [name, run] of Object.entries({ sin, cos, tan })) {
    const values = await run(x).data();
    values.forEach((value, i) => {
      const exact = Math[name as 'sin' | 'cos' | 'tan'](angles[i]);
      const allowed = 4e-7 * (name === 'tan' ? 1 + exact ** 2 : 1);
      assert.ok(Math.abs(value - exact) <= allowed, `${name}(${angles[i]}) is ${value}, expected ${exact}`);
    });
  }
});

test('NaN is true, and infinities are cut to the ends of the range', async () => {
  assert.equal([...(await t.cast(t.tensor([nan, 0, -0, inf]), 'bool').data())], [1, 0, 0, 1]);
  assert.equal([...(await t.tensor([inf, -inf]).cast('u32').data())], [2 ** 32 - 256, 0]);
});

test('nanToNum replaces what is not finite', async () => {
  const x = t.tensor([nan, inf, -inf, 1.5]);
  const largest = 3.4028234663852886e38;
  assert.equal([...(await t.nanToNum(x).data())], [0, largest, -largest, 1.5]);
  assert.equal([...(await t.nanToNum(x, { nan: 7, posinf: 8, neginf: 9 }).data())], [7, 8, 9, 1.5]);
  const whole = t.tensor(Int32Array.of(1));
  assert.is(t.nanToNum(whole), whole);
});

/** Rows of every length that a reduction treats differently, with a NaN somewhere. */
const lengths = [1, 2, 3, 5, 64, 65, 4097, 9000];

for (const name of ['sum', 'mean', 'sumSquares', 'max', 'min'] as const) {
  test(`${name} of a row or column with a NaN is NaN, wherever it stands`, async () => {
    for (const length of lengths) {
      for (const at of new Set([0, length >> 1, length - 1])) {
        const data = Float32Array.from({ length: 2 * length }, (_, i) => (i % 7) - 3);
        data[length + at] = nan;
        const [rows, columns] = t.scope(() => {
          const x = t.tensor(data, { shape: [2, length] });
          const [dense] = t.apply('contiguous', [x.transpose()], {});
          const attributes = { keepdim: false };
          return [
            t.apply(name, [x], { axes: [1], ...attributes })[0],
            t.apply(name, [dense], { axes: [0], ...attributes })[0],
          ];
        });
        for (const out of [rows, columns]) {
          const [clean, spoilt] = await out.data();
          assert.ok(Number.isFinite(clean), `${name} of ${length}: a NaN of another row came in`);
          assert.ok(Number.isNaN(spoilt), `${name} of ${length} with a NaN at ${at} is ${spoilt}`);
          out.dispose();
        }
      }
    }
  });
}

for (const name of ['softmax', 'logSoftmax'] as const) {
  test(`${name} of a row with a NaN is NaN, and of one without is not`, async () => {
    const x = t.tensor([
      [1, nan, 2],
      [1, -inf, 2],
      [nan, nan, nan],
    ]);
    const out = [...(await t.apply(name, [x], {})[0].data())];
    assert.equal(out.map(Number.isNaN), [true, true, true, false, false, false, true, true, true]);
  });
}

test('norms and products hand NaN on', async () => {
  const x = t.tensor([
    [1, nan, 2],
    [1, 3, 2],
  ]);
  const normed = await t.layerNorm(x, t.ones([3]), t.zeros([3])).data();
  assert.equal([...normed].map(Number.isNaN), [true, true, true, false, false, false]);
  const product = await t.matmul(x, t.ones([3, 2])).data();
  assert.equal([...product].map(Number.isNaN), [true, true, false, false]);
});

test('every elementwise operation of floats is held to this', () => {
  const elsewhere = ['sin', 'cos', 'tan', 'clamp', 'atan2', 'pow', 'geluBackward', 'eluBackward'];
  const floats = Object.entries(elementwise).filter(([, [rule]]) => rule !== 'integer');
  assert.equal(floats.map(([name]) => name).sort(), [...unary, ...binary, ...elsewhere].sort());
});

test.run();

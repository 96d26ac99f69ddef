/** What JavaScript passes over unheard: options by other names, values in their place, and none where some are needed. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import './device.ts';

// As a program without types sees them.
const dc = t as unknown as Record<string, (...args: unknown[]) => unknown>;
const x = t.ones([2, 3]) as unknown as Record<string, (...args: unknown[]) => unknown>;
const plane = t.ones([1, 1, 4, 4]);
const line = t.ones([1, 1, 4]);
const kernel = t.ones([1, 1, 2]);

const misuses: [body: () => unknown, message: RegExp][] = [
  ...[
    'sum',
    'mean',
    'max',
    'min',
    'prod',
    'any',
    'all',
    'countNonzero',
    'logsumexp',
    'argmax',
    'argmin',
    'median',
  ].flatMap((name): [() => unknown, RegExp][] => [
    [() => x[name](1), new RegExp(`^${name}: the options are \\{ dim, keepdim \\}, not 1: write \\{ dim: 1 \\}$`)],
    [() => x[name]({ axis: 1 }), new RegExp(`^${name}: the options are .*; there is no 'axis'$`)],
  ]),
  [() => x.var(1), /^var: the options are \{ dim, keepdim, correction \}, not 1/],
  [() => x.std(1), /^std: the options are .*, not 1/],
  [() => x.std({ unbiased: false }), /^std: .*there is no 'unbiased'/],
  [() => x.norm(1), /^norm: the options are \{ dim, keepdim, p \}, not 1/],
  [() => x.norm({ ord: 1 }), /^norm: .*there is no 'ord'/],
  [() => x.quantile(0.5, 1), /^quantile: .*not 1/],
  [() => x.softmax({ axis: 0 }), /^softmax: the options are \{ dim \}; there is no 'axis'/],
  [() => x.logSoftmax(0), /^logSoftmax: .*not 0: write \{ dim: 0 \}/],
  [() => x.sort(0), /^sort: the options are \{ dim, descending \}, not 0/],
  [() => x.argsort(0), /^argsort: .*not 0/],
  [() => x.topk(1, 0), /^topk: .*not 0/],
  [() => x.tril(1), /^tril: the options are \{ diagonal \}, not 1: write \{ diagonal: 1 \}/],
  [() => x.triu(-1), /^triu: .*not -1/],
  [() => x.elu({ beta: 1 }), /^elu: the options are \{ alpha \}; there is no 'beta'/],
  [() => x.elu(0.5), /^elu: .*write \{ alpha: 0.5 \}/],
  [() => x.gelu('tanh'), /^gelu: the options are \{ approximate \}, not tanh/],
  [() => x.gelu({ approximate: 'sigmoid' }), /^gelu: approximate is "sigmoid"/],
  [() => x.leakyRelu(0.2), /^leakyRelu: the options are \{ slope \}, not 0.2: write \{ slope: 0.2 \}/],
  [() => x.leakyRelu({ negativeSlope: 0.2 }), /^leakyRelu: .*there is no 'negativeSlope'/],
  [() => x.round({ decimals: 2 }), /^round: there are no options; there is no 'decimals'/],
  [() => x.round(2), /^round: there are no options, not 2/],
  [() => x.softplus(2), /^softplus: .*write \{ beta: 2 \}/],
  [() => x.nanToNum(0), /^nanToNum: .*write \{ nan: 0 \}/],
  [() => dc.hardtanh(x, -1), /^hardtanh: .*not -1/],
  [() => x.clamp(), /^clamp: give min, max or both/],
  [() => x.clamp(0, 1), /^clamp: the options are \{ min, max \}, not 0: write \{ min: 0 \}/],
  [() => x.cumsum(), /^cumsum: the options are \{ dim, reverse \}; 'dim' must be given/],
  [() => x.cumsum(1), /^cumsum: .*not 1: write \{ dim: 1 \}/],
  [() => x.cumprod({}), /^cumprod: .*'dim' must be given/],
  [() => x.repeatInterleave(2), /^repeatInterleave: .*'dim' must be given/],
  [() => x.split(1, 1), /^split: .*write \{ dim: 1 \}/],
  [() => x.chunk(2, 1), /^chunk: .*write \{ dim: 1 \}/],
  [() => x.pad(1), /^pad: 1 is no array/],
  [() => x.pad([1, 1], 'reflect'), /^pad: the options are \{ mode, value \}, not reflect: write \{ mode: reflect \}/],
  [() => x.diagonal(1), /^diagonal: .*write \{ offset: 1 \}/],
  [() => x.tile(2), /^tile: 2 is no array/],
  [() => x.unsqueeze(), /^unsqueeze: undefined is no array; give an axis, or several as \[0, 2\]/],
  [() => x.rfft(4), /^rfft: .*write \{ n: 4 \}/],
  [() => dc.oneHot(t.arange(3)), /^oneHot: the options are \{ classes, dtype \}; 'classes' must be given/],
  [() => dc.oneHot(t.arange(3), 3), /^oneHot: .*write \{ classes: 3 \}/],
  [() => dc.segmentSum(t.ones([3]), t.arange(3)), /^segmentSum: .*'count' must be given/],
  [
    () => dc.segmentSum(t.ones([3]), t.ones([3]), { count: 3 }),
    /^segmentSum: the ids are f32\[3\]; expected i32 or u32/,
  ],
  [() => dc.bincount(t.ones([3]), { count: 3 }), /^bincount: x is f32\[3\]; expected i32 or u32/],
  [() => dc.maskedFill(x, t.ones([4], { dtype: 'bool' }), 0), /^maskedFill: shapes \[2, 3\] and \[4\]/],
  [() => dc.maskedFill(x, t.ones([3], { dtype: 'bool' }), 'a'), /^maskedFill: the value is string/],
  [() => dc.maxPool2d(plane), /^maxPool2d: the kernel is undefined; expected a number, or \[rows, columns\]/],
  [() => dc.maxPool2d(plane, 2, { ceilMode: true }), /^maxPool2d: .*there is no 'ceilMode'/],
  [() => dc.avgPool2d(plane, 2, 2), /^avgPool2d: .*write \{ stride: 2 \}/],
  [() => dc.avgPool1d(line), /^avgPool1d: the kernel is undefined/],
  [() => dc.maxPool1d(line, 2, 2), /^maxPool1d: .*write \{ stride: 2 \}/],
  [() => dc.conv1d(line, kernel, t.ones([1])), /^conv1d: the options are .*, not Tensor\(f32\[1\]\): write \{ bias: /],
  [() => dc.conv2d(plane, plane, t.ones([1])), /^conv2d: .*write \{ bias: /],
  [() => dc.convTranspose1d(line, kernel, { outputpadding: 1 }), /^convTranspose1d: .*no 'outputpadding'/],
  [() => dc.layerNorm(x, t.ones([3]), t.ones([3]), 1e-5), /^layerNorm: .*write \{ eps: 0.00001 \}/],
  [() => dc.dropout(x, { p: 0.5 }), /^dropout: the options are \{ p, seed, stream, step \}; 'seed' must be given/],
  [() => dc.dropout(x, 0.5), /^dropout: .*write \{ p: 0.5 \}/],
  [() => dc.dropout(x), /^dropout: .*'p' must be given/],
  [() => dc.uniform([2]), /^uniform: the options are .*; 'seed' must be given/],
  [() => dc.normal([2], { seed: 1 }), /^normal: .*'stream' must be given/],
  [() => dc.uniform(2, { seed: 1, stream: 1 }), /^uniform: 2 is no array/],
];

for (const [body, message] of misuses) {
  test(`${body.toString().slice(6)} is an error by its name`, () => {
    assert.throws(body, (error: Error) => {
      assert.ok(error instanceof TypeError || error instanceof RangeError, `${error}`);
      assert.match(error.message, message);
      return true;
    });
  });
}

const numbers = async (of: t.Tensor) => [...(await of.data())];
const near = (found: number[], expected: number[]) => {
  assert.is(found.length, expected.length);
  found.forEach((value, i) => {
    const same = Object.is(value, expected[i]) || Math.abs(value - expected[i]) < 1e-6 * Math.max(1, Math.abs(value));
    assert.ok(same, `${value} at ${i}, expected ${expected[i]}`);
  });
};

test('elu takes alpha, and gelu its approximation by tanh', async () => {
  const values = [-1e30, -20, -3, -0.5, 0, 0.5, 3, 20, 1e30, Number.NaN];
  const own = t.tensor(values);
  near(
    await numbers(own.elu({ alpha: 0.3 })),
    values.map((v) => (v > 0 ? v : 0.3 * Math.expm1(v))),
  );
  near(
    await numbers(own.gelu({ approximate: 'tanh' })),
    values.map((v) => {
      if (v < -20) return -0;
      return 0.5 * v * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (v + 0.044715 * v ** 3)));
    }),
  );
});

test.run();

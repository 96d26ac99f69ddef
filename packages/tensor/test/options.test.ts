/** What JavaScript passes over unheard: options by other names, values in their place, and none where some are needed. */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { device } from './device.ts';

// As a program without types sees them.
const dc = t as unknown as Record<string, (...args: unknown[]) => unknown>;
const x = t.ones([2, 3]) as unknown as Record<string, (...args: unknown[]) => unknown>;
const plane = t.ones([1, 1, 4, 4]);
const line = t.ones([1, 1, 4]);
const kernel = t.ones([1, 1, 2]);
const vector = t.ones([3]);
const attend = (options: unknown) => dc.scaledDotProductAttention(x, x, x, options);
const draw = (name: 'uniform' | 'normal', options: object) => dc[name]([2], { seed: 1, stream: 1, ...options });
const cyclic: unknown[] = [vector];
cyclic.push(cyclic);

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

  [() => dc.ones([2], 'i32'), /^ones: the options are \{ dtype, device \}, not i32: write \{ dtype: i32 \}$/],
  [() => dc.zeros([2], { dev: device }), /^zeros: .*there is no 'dev'/],
  [() => dc.full([2], 1, { dtype: 'float32' }), /^full: there is no dtype 'float32'/],
  [() => dc.tensor([1, 2], 'f16'), /^tensor: the options are \{ dtype, device, shape \}, not f16/],
  [() => dc.tensor([1, 2], { dtyp: 'f16' }), /^tensor: .*there is no 'dtyp'/],
  [() => dc.tensor([1, 2], { shap: [2, 1] }), /^tensor: .*there is no 'shap'/],
  [() => dc.tensor([1, 2], { device: 'x' }), /^tensor: the device is "x"; expected one that openDevice opened/],
  [() => dc.uniform([2], { seed: 1, stream: 1, device: {} }), /^uniform: the device is \{\}; expected one/],
  [() => dc.arange(3, { dtyp: 'f32' }), /^arange: .*there is no 'dtyp'/],
  [() => dc.arange(3, 'f32'), /^arange: .*not f32/],
  [() => dc.arange(0, 3, 1, { dtyp: 'f32' }), /^arange: .*there is no 'dtyp'/],
  [() => dc.arange('3'), /^arange: end is "3"; expected a number/],
  [() => dc.linspace(0, 1, 3, 'f16'), /^linspace: .*not f16/],
  [() => dc.linspace(0, '1', 3), /^linspace: end is "1"; expected a finite number/],
  [() => dc.eye(2, 2, { dtyp: 'i32' }), /^eye: .*there is no 'dtyp'/],
  [() => dc.tri(3, 3, { diag: 1 }), /^tri: the options are \{ diagonal, device \}; there is no 'diag'/],
  [() => dc.tri(3, 3, { diagonal: 0.5 }), /^tri: diagonal is 0.5; expected a whole number/],
  [() => dc.zerosLike(x, { shape: [3] }), /^zerosLike: the options are \{ dtype \}; there is no 'shape'/],
  [() => dc.onesLike(x, 'i32'), /^onesLike: .*not i32/],
  [() => dc.fullLike(x, 1, { device }), /^fullLike: .*there is no 'device'/],
  [() => dc.meshgrid([vector, vector], { indexing: 'zz' }), /^meshgrid: indexing is "zz"; expected 'ij' or 'xy'/],
  [() => dc.meshgrid([vector], { index: 'xy' }), /^meshgrid: .*there is no 'index'/],
  [() => dc.meshgrid(vector, vector), /^meshgrid: Tensor\(f32\[3\]\) is no array; write meshgrid\(\[a, b\]\)/],
  [() => dc.meshgrid([vector, [1, 2]]), /^meshgrid: tensor 1 is \[1, 2\]; expected a tensor/],
  ...['is_causal', 'isCausal', 'mask'].map((name): [() => unknown, RegExp] => [
    () => attend({ [name]: true }),
    new RegExp(`^scaledDotProductAttention: .*there is no '${name}'`),
  ]),
  [() => attend(true), /^scaledDotProductAttention: .*not true/],
  [() => attend({ causal: 'no' }), /^scaledDotProductAttention: causal is "no"; expected true or false/],
  [() => attend({ visible: true }), /^scaledDotProductAttention: visible is true; expected a bool tensor/],
  [() => attend({ scale: '1' }), /^scaledDotProductAttention: scale is "1"; expected a finite number/],
  [() => attend({ scale: Number.NaN }), /^scaledDotProductAttention: scale is NaN/],
  [() => attend({ dropout: 1 }), /^scaledDotProductAttention: dropout is 1; expected a probability in \[0, 1\)/],
  [
    () => attend({ dropout: 0.5, key: { seed: 1 } }),
    /^scaledDotProductAttention: stream is undefined; expected a whole number/,
  ],
  [() => dc.compile((y: t.Tensor) => y, { cache: 3 }), /^compile: the options are .*; there is no 'cache'/],
  [
    () => dc.compile((y: t.Tensor) => y, { verify: 'sometimes' }),
    /^compile: verify is "sometimes"; expected 'regular'/,
  ],
  [() => dc.compile((y: t.Tensor) => y, { cacheSize: '3' }), /^compile: cacheSize is "3"/],
  [() => dc.compile(3), /^compile: 3 is no function of tensors/],
  [() => t.compile((y: unknown) => y)(cyclic), /^compile, scope: an argument or result contains itself/],
  [() => dc.trace((y: t.Tensor) => y, vector), /^trace: Tensor\(f32\[3\]\) is no array; write trace\(fn, \[x\]\)/],
  [() => dc.trace(vector, [vector]), /^trace: Tensor\(f32\[3\]\) is no function/],
  [() => dc.apply('nope', [x], {}), /^apply: there is no operation "nope"/],
  [() => dc.apply('toString', [x], {}), /^apply: there is no operation "toString"/],
  [() => dc.apply(undefined, [x], {}), /^apply: there is no operation undefined/],
  [() => dc.residualCodes(x, [x], { kep: true }), /^residualCodes: .*there is no 'kep'/],
  [() => dc.residualCodes(x, x), /^residualCodes: .* is no array/],
  [() => dc.codebookUpdate(x, x, {}, { decay: 1 }), /^codebookUpdate: running: .*'averages' must be given/],

  [() => draw('uniform', { low: Number.NaN }), /^uniform: low is NaN; expected a finite number/],
  [() => draw('uniform', { low: '0' }), /^uniform: low is "0"; expected a finite number/],
  [() => draw('uniform', { high: Number.POSITIVE_INFINITY }), /^uniform: high is Infinity/],
  [() => draw('uniform', { high: 1e39 }), /^uniform: high is 1e\+39; expected a finite number/],
  [() => draw('uniform', { low: -3e38, high: 3e38 }), /^uniform: from -3e\+38 to 3e\+38 is further than f32 goes/],
  [() => draw('uniform', { dtype: 'i32' }), /^uniform: the dtype is i32; expected f32 or f16; use .cast\('i32'\)/],
  [() => draw('normal', { dtype: 'bool' }), /^normal: the dtype is bool/],
  [() => draw('normal', { std: -1 }), /^normal: std is -1; expected a finite number from 0/],
  [() => draw('normal', { std: Number.NaN }), /^normal: std is NaN/],
  [() => draw('normal', { mean: '0' }), /^normal: mean is "0"/],
  ...[-1, 0.5, 2 ** 53, Number.NaN, '1'].flatMap((value): [() => unknown, RegExp][] => [
    [() => draw('uniform', { seed: value }), /^uniform: seed is .*; expected a whole number in \[0, 2\^53\)/],
    [() => draw('normal', { stream: value }), /^normal: stream is .*; expected a whole number in \[0, 2\^53\)/],
    [() => dc.dropout(x, { p: 0.5, seed: value, stream: 1 }), /^dropout: seed is .*; expected a whole number/],
  ]),
  [() => dc.dropout(x, { p: '0.5', seed: 1, stream: 1 }), /^dropout: p is "0.5"; expected a probability/],
  [() => dc.searchSorted(vector, vector, { right: 'x' }), /^searchSorted: right is "x"; expected true or false/],

  [() => x.clamp({ min: null }), /^clamp: min is null; expected a number or a tensor, or leave it out/],
  [() => x.clamp({ max: '1' }), /^clamp: max is "1"; expected a number or a tensor/],
  [() => dc.hardtanh(x, { min: '0' }), /^hardtanh: min is "0"; expected a number/],
  [
    () => dc.tensordot(x, x, [0, 1]),
    /^tensordot: dims is \[0, 1\]; expected how many axes, or \[axes of a, axes of b\]/,
  ],
  [() => dc.tensordot(x, x, { dims: 1 }), /^tensordot: dims is \{ dims \}; expected/],
  [() => dc.concat([x, 3]), /^concat: tensor 1 is 3; expected a tensor/],
  [() => dc.concat([x, x], { dim: 1 }), /^concat: the axis is \{ dim \}; expected a whole number/],
  [() => dc.stack([x, null]), /^stack: tensor 1 is null; expected a tensor/],
  [() => dc.einsum(x, 'ij'), /^einsum: the equation is Tensor\(f32\[2, 3\]\); expected text in front/],
  [() => dc.einsum('ij', [x]), /^einsum: tensor 0 is \[Tensor\(f32\[2, 3\]\)\]; expected a tensor/],
  [() => dc.avgPool2d(plane, 9), /^avgPool2d: input \[1, 1, 4, 4\] is smaller than the kernel's reach of 9 x 9/],
  [() => dc.avgPool2d(plane, 1.5), /^avgPool2d: kernel \[1.5,1.5\].*expected pairs of whole numbers/],
  [() => dc.avgPool2d(plane, 2, { countIncludePad: 'no' }), /^avgPool2d: countIncludePad is "no"/],
  [() => dc.avgPool1d(line, 9), /^avgPool1d: input .* is smaller/],
  [() => dc.maxPool1d(line, 9), /^maxPool1d: input .* is smaller/],
  [() => dc.bincount(t.arange(3), { count: -1 }), /^bincount: count is -1; expected a whole number from 0/],

  ...['sum', 'argmax', 'median', 'var', 'std', 'norm', 'logsumexp', 'any'].map((name): [() => unknown, RegExp] => [
    () => x[name]({ keepdim: 'false' }),
    new RegExp(`^${name}: keepdim is "false"; expected true or false`),
  ]),
  [() => x.quantile([0.5]), /^quantile: q is \[0.5\]; expected a number in 0..1; for several, call it for each/],
  [() => x.sliceAxis(0, '1'), /^sliceAxis: bound "1" of axis 0 is no whole number/],
  [() => x.sum({ dim: ['1'] }), /^sum: the axis is "1"; expected a whole number/],
  [() => x.cumsum({ dim: 0, reverse: 'no' }), /^cumsum: reverse is "no"; expected true or false/],
  [() => x.sort({ descending: 'no' }), /^sort: descending is "no"/],
  [() => x.topk(1, { largest: 'no' }), /^topk: largest is "no"/],
  [() => x.var({ correction: '1' }), /^var: correction is "1"; expected a finite number/],
  [() => x.tril({ diagonal: '1' }), /^tril: diagonal is "1"; expected a whole number/],
  [() => x.triu({ diagonal: 0.5 }), /^triu: diagonal is 0.5; expected a whole number/],
  [() => x.diagonal({ offset: '1' }), /^diagonal: offset is "1"; expected a whole number/],
  [
    () => dc.conv2d(plane, plane, { stride: [1, 2, 3] }),
    /^conv2d: stride is \[1, 2, 3\]; expected a number, or \[rows/,
  ],
  [() => dc.maxPool2d(plane, [1, 2, 3]), /^maxPool2d: the kernel is \[1, 2, 3\]; expected a number, or \[rows/],
  [
    () => dc.layerNorm(x, t.ones([3]), t.ones([3]), { eps: -1 }),
    /^layerNorm: eps is -1; expected a finite number from 0/,
  ],
  [() => dc.groupNorm(line, 1, t.ones([1]), t.ones([1]), { eps: 'x' }), /^groupNorm: eps is "x"/],
  [() => dc.conv1d(line, kernel, { bias: 3 }), /^conv1d: the bias is 3, but the output has 1 channels/],
  [() => x.softplus({ beta: 0 }), /^softplus: beta is 0; expected a finite number other than 0/],
  [() => x.elu({ alpha: '1' }), /^elu: alpha is "1"; expected a finite number/],
  ...[2, -1, 0.5, '1'].flatMap((outputPadding): [() => unknown, RegExp][] => [
    [
      () => dc.convTranspose1d(line, kernel, { outputPadding, stride: 2 }),
      /^convTranspose1d: outputPadding is .*below 2/,
    ],
    [
      () => dc.convTranspose2d(plane, plane, { outputPadding: [0, outputPadding], stride: 2 }),
      /^convTranspose2d: outputPadding is .*below 2/,
    ],
  ]),
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

const promised: [body: () => unknown, message: RegExp][] = [
  [() => dc.openDevice(true), /^openDevice: the options are .*, not true/],
  [() => dc.openDevice({ software: 'yes' }), /^openDevice: software is "yes"; expected true or false/],
  [
    () => dc.openDevice({ kernels: { matmul: 'nope' } }),
    /^openDevice: kernels.matmul is "nope"; matmul has register, /,
  ],
  [() => dc.openDevice({ kernels: { nope: 'register' } }), /^openDevice: kernels names nope; .* are .*matmul/],
  [() => dc.openDevice({ kernels: 'fast' }), /^openDevice: kernels is "fast"; expected 'default'/],
  [
    () => dc.openDevice({ enable: 'nope' }),
    /^openDevice: enable is "nope"; expected names of Dawn toggles in an array/,
  ],
  [() => dc.openDevice({ disable: [3] }), /^openDevice: disable is \[3\]/],
  [() => dc.openDevice({ memoryLimit: '9' }), /^openDevice: memoryLimit "9" is no number of bytes/],
  [() => dc.openDevice({ log: true }), /^openDevice: log is true; expected a function/],
  [() => dc.profile(() => {}, { time: 'gpu' }), /^profile: .*there is no 'time'/],
  [() => device.profile(() => {}, { timing: 'x' } as never), /^profile: timing is "x"; expected 'gpu' or 'wall'/],
  [() => dc.profile(() => {}, { device: 'x' }), /^profile: the device is "x"; expected one that openDevice opened/],
  [() => dc.tune(() => {}, { safe: false }), /^tune: .*there is no 'safe'/],
];

for (const [body, message] of promised) {
  test(`${body.toString().slice(6)} is refused by its name`, async () => {
    const error = await (body() as Promise<unknown>).then(
      () => undefined,
      (reason: Error) => reason,
    );
    assert.ok(error instanceof TypeError || error instanceof RangeError, `${error}`);
    assert.match(error.message, message);
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

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, drawn, integer, pick, present, presentations, randomFrom, runs, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import './device.ts';
import * as reference from './reference/gather.ts';

const list = async (x: t.Tensor) => x.toArray();

test('negative and open bounds of a slice', async () => {
  const x = t.arange(0, 10);
  assert.equal(await list(x.sliceAxis(0, -3)), [7, 8, 9]);
  assert.equal(await list(x.sliceAxis(0, 0, -7)), [0, 1, 2]);
  assert.equal(await list(x.sliceAxis(-1, 1, 100, 4)), [1, 5, 9]);
  assert.equal(await list(x.sliceAxis(0, 8, 2)), []);
  assert.equal(await list(x.sliceAxis(0, 2, 8, 2).sliceAxis(0, 1)), [4, 6]);
});

test('every typed array makes a tensor, of f32 unless it is told otherwise', async () => {
  for (const kind of [Float64Array, Int16Array, Uint16Array, Int8Array, Uint8Array, Uint8ClampedArray]) {
    const x = t.tensor(kind.of(0, 7), { shape: [2, 1] });
    assert.is(x.dtype, 'f32');
    assert.equal(await list(x), [[0], [7]]);
  }
  const flags = t.tensor([3, 0, 5]).gt(1);
  assert.equal(await list(t.tensor(await flags.data(), { dtype: 'bool' })), await list(flags));
});

test('squeeze, unsqueeze, transpose, stack', async () => {
  const x = t.tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  assert.equal(x.unsqueeze(0).shape, [1, 2, 3]);
  assert.equal(x.unsqueeze(-1).shape, [2, 3, 1]);
  assert.equal(x.unsqueeze(1).squeeze(1).shape, [2, 3]);
  assert.equal(await list(x.transpose()), [
    [1, 4],
    [2, 5],
    [3, 6],
  ]);
  assert.equal(await list(x.transpose().unsqueeze(1).squeeze(-2)), [
    [1, 4],
    [2, 5],
    [3, 6],
  ]);
  assert.equal(await list(t.stack([x, x.neg()], 1)), [
    [
      [1, 2, 3],
      [-1, -2, -3],
    ],
    [
      [4, 5, 6],
      [-4, -5, -6],
    ],
  ]);
  assert.equal((await list(t.stack([x, x], -1)))[0 as never], [
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
});

test('views of views show the same elements as copies of copies', async () => {
  const chains = drawn({ minRank: 1, maxRank: 4, empty: false }, (shape, random) => ({
    x: arrayOf(shape, random),
    random,
  }));
  await fc.assert(
    fc.asyncProperty(chains, async ({ x, random }) => {
      let expected = x;
      const view = t.scope(() => {
        let view = upload(x);
        for (let step = 0; step < 5; step++) {
          const axis = integer(random, 0, view.rank - 1);
          const kind = pick(random, ['permute', 'slice', 'flatten', 'split']);
          if (kind === 'permute') {
            const axes = view.shape.map((_, d) => d).sort(() => random() - 0.5);
            view = view.permute(axes);
            expected = reference.permute(expected, { axes });
          } else if (kind === 'slice') {
            const [start, step] = [integer(random, 0, view.shape[axis] - 1), integer(random, 1, 2)];
            view = view.sliceAxis(axis, start, undefined, step);
            expected = reference.slice(expected, { axis, start, end: expected.shape[axis], step });
          } else if (kind === 'flatten' && axis + 1 < view.rank) {
            const shape = [...view.shape];
            shape.splice(axis, 2, shape[axis] * shape[axis + 1]);
            view = view.reshape(shape);
            expected = { ...expected, shape };
          } else if (kind === 'split' && view.rank < 6) {
            const shape = [...view.shape];
            const factor = [2, 3, 5, 13].find((prime) => shape[axis] % prime === 0) ?? 1;
            shape.splice(axis, 1, factor, shape[axis] / factor);
            view = view.reshape(shape);
            expected = { ...expected, shape };
          }
        }
        return view;
      });
      await assertMatches('a chain of views', view, expected);
      view.dispose();
    }),
    runs,
  );
});

test('indexAdd and scatterAdd add to what is there', async () => {
  const x = t.tensor([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
  const source = t.tensor([
    [10, 20],
    [30, 40],
  ]);
  assert.equal(await list(x.indexAdd(0, t.tensor(Int32Array.of(2, 2)), source)), [
    [1, 1],
    [2, 2],
    [43, 63],
  ]);
  const index = t.tensor(
    [
      [0, 1],
      [1, 1],
    ],
    { dtype: 'i32' },
  );
  assert.equal(await list(x.scatterAdd(0, index, source)), [
    [11, 1],
    [32, 62],
    [3, 3],
  ]);
});

test('numbers stand for tensors of the other dtype', async () => {
  const whole = t.tensor(Int32Array.of(1, 2));
  assert.is(whole.add(1).dtype, 'i32');
  assert.is(whole.add(1.5).dtype, 'f32');
  assert.is(t.add(1, t.tensor(Uint32Array.of(1))).dtype, 'u32');
  assert.is(t.tensor([1]).add(1).dtype, 'f32');
  assert.is(whole.gt(1).add(1).dtype, 'i32');
  assert.equal(await list(t.sub(10, whole)), [9, 8]);
  assert.equal(await list(t.where(whole.gt(1), 5, 7)), [7, 5]);
  assert.equal(await list(t.where(whole.gt(1), t.tensor([0.5, 1.5]), Number.NEGATIVE_INFINITY)), [
    Number.NEGATIVE_INFINITY,
    1.5,
  ]);
});

test('booleans are counted', async () => {
  const x = t.tensor([
    [1, -1, 2],
    [-3, -4, -5],
  ]);
  assert.equal(await list(x.gt(0).sum({ dim: 1 })), [2, 0]);
  assert.is(x.gt(0).sum().dtype, 'i32');
});

test('pow of negative bases and at the ends of the range', async () => {
  const inf = Number.POSITIVE_INFINITY;
  const cases = [
    [-2, 3, -8],
    [-2, 4, 16],
    [-1, 2 ** 31, 1],
    [-1, 2 ** 24 - 1, -1],
    [-2, -3, -0.125],
    [0, -1, inf],
    [0, 0, 1],
    [0, 2.5, 0],
    [-8, 1 / 3, Number.NaN],
  ];
  const column = (i: number) => t.tensor(cases.map((row) => row[i]));
  const out = await t.pow(column(0), column(1)).data();
  cases.forEach(([x, y, expected], i) => {
    const close = Object.is(out[i], expected) || out[i] === expected || Math.abs(out[i] / expected - 1) < 1e-5;
    assert.ok(close, `pow(${x}, ${y}) is ${out[i]}, expected ${expected}`);
  });
});

test('what tensors say of themselves', async () => {
  const x = t.tensor([
    [1, 2.5],
    [3, 4],
  ]);
  assert.is(String(x), 'Tensor(f32[2, 2])');
  assert.is(await x.print(), 'f32[2, 2] [[1, 2.5],\n [3, 4]]');
  assert.is(await t.arange(0, 20).print(), 'i32[20] [0, 1, 2, …, 17, 18, 19]');
  assert.is(await x.sliceAxis(0, 1).sliceAxis(1, 1).item(), 4);
  assert.equal(await t.tensor([0, 2, -1], { dtype: 'bool' }).data(), Uint8Array.of(0, 1, 1));
  assert.equal([...(await t.arange(1, 2, 0.25, { dtype: 'f32' }).data())], [1, 1.25, 1.5, 1.75]);
  assert.equal(await list(t.zeros([2, 0])), [[], []]);
});

test('every presentation reads back as it was made', async () => {
  const x = arrayOf([3, 4, 5], randomFrom(1));
  for (const [i, kind] of presentations.entries()) {
    const { values, tensor } = present(x, kind, i);
    await assertMatches(kind, tensor, values);
  }
});

test('whole numbers that do not fit i32 or u32 compare and divide as what they are', async () => {
  const i = t.tensor([1, -1, 2147483647], { dtype: 'i32' });
  const u = t.tensor([0, 4294967295], { dtype: 'u32' });
  assert.equal(await list(i.lt(3e9)), [1, 1, 1]);
  assert.equal(await list(i.gt(-3e9)), [1, 1, 1]);
  assert.equal(await list(i.eq(4294967297)), [0, 0, 0]);
  assert.equal(await list(i.ne(4294967297)), [1, 1, 1]);
  assert.equal(await list(u.gt(-1)), [1, 1]);
  assert.equal(await list(u.le(-1)), [0, 0]);
  assert.equal(await list(u.ge(4294967296)), [0, 0]);
  assert.equal(await list(t.logicalAnd(i, 4294967296)), [1, 1, 1]);
  assert.equal(await list(t.tensor([1, -3], { dtype: 'i32' }).div(1e10)), [Math.fround(1e-10), Math.fround(-3e-10)]);
  // Bits are bits.
  assert.equal(await list(i.bitwiseAnd(0xffffffff)), [1, -1, 2147483647]);
  // A bound of u32 beside i32 leaves the other one open.
  const bound = t.tensor(1, { dtype: 'u32' });
  assert.equal(await list(i.clamp({ min: bound })), [1, 1, 2147483647]);
});

test('tensors of several dtypes join in the promoted one', async () => {
  const [b, i, f] = [t.ones([2], { dtype: 'bool' }), t.tensor([3, -4], { dtype: 'i32' }), t.tensor([0.5, 1])];
  const joined = t.concat([b, i, f]);
  assert.is(joined.dtype, 'f32');
  assert.equal(await list(joined), [1, 1, 3, -4, 0.5, 1]);
  assert.is(t.stack([b, i]).dtype, 'i32');
});

test('an extent of -1 stays as it is when the others stretch', async () => {
  const x = t.tensor([[1], [2]]);
  assert.equal(await list(x.expand([-1, 2])), [
    [1, 1],
    [2, 2],
  ]);
  assert.equal(x.expand([3, -1, -1]).shape, [3, 2, 1]);
  assert.throws(() => x.expand([-1, 2, 2]), /expand/);
});

test('the median and quantiles of all elements', async () => {
  const x = t.tensor([
    [5, 1],
    [3, 4],
  ]);
  assert.is(await x.median().item(), 3);
  assert.is(await x.quantile(0.5).item(), 3.5);
  assert.equal(x.median({ keepdim: true }).shape, [1, 1]);
});

test('the variance of one element is NaN, logsumexp of nothing is -Infinity', async () => {
  assert.equal(await list(t.variance(t.ones([2, 1]), { dim: 1 })), [Number.NaN, Number.NaN]);
  assert.equal(await list(t.std(t.zeros([0]))), Number.NaN);
  assert.equal(await list(t.logsumexp(t.zeros([2, 0]), { dim: 1 })), [-Infinity, -Infinity]);
  assert.equal(t.logsumexp(t.zeros([2, 0]), { dim: 1, keepdim: true }).shape, [2, 1]);
});

test('linspace of whole numbers is cut towards zero', async () => {
  const x = t.linspace(0, 10, 5, { dtype: 'i32' });
  assert.is(x.dtype, 'i32');
  assert.equal(await list(x), [0, 2, 5, 7, 10]);
  assert.equal(await list(t.linspace(-10, 0, 5, { dtype: 'i32' })), [-10, -7, -5, -2, 0]);
});

/** Dtype and elements. */
const whole = async (x: t.Tensor) => [x.dtype, ...(await x.data())];

test('powers of whole numbers are exact, and wrap', async () => {
  const i = t.tensor(Int32Array.of(7, -7, 2, 46_341));
  assert.equal(await whole(i.pow(9)), ['i32', 40_353_607, -40_353_607, 512, Number(BigInt.asIntN(32, 46_341n ** 9n))]);
  assert.equal(await whole(t.pow(2, t.tensor(Int32Array.of(0, 5, 31, -1)))), ['i32', 1, 32, -(2 ** 31), 0]);
  assert.equal(await whole(t.pow(-1, t.tensor(Int32Array.of(-1, -2)))), ['i32', -1, 1]);
  assert.equal(await whole(t.tensor(Uint32Array.of(3, 0)).pow(20)), ['u32', 3_486_784_401, 0]);
  assert.equal(await whole(t.tensor([1, 0], { dtype: 'bool' }).pow(2)), ['i32', 1, 0]);
  assert.is(t.tensor(Int32Array.of(4)).pow(0.5).dtype, 'f32');
  assert.throws(() => i.pow(-1), /pow: i32\[4\] to the power of -1.*cast\('f32'\)/);
  const compiled = t.compile((x: t.Tensor) => x.pow(3).add(1));
  assert.equal(await whole(compiled(i)), ['i32', 344, -342, 9, Number(BigInt.asIntN(32, 46_341n ** 3n)) + 1]);
  compiled.dispose();
});

test('rounding leaves whole numbers as they are', async () => {
  const i = t.tensor(Int32Array.of(16_777_217, -3));
  const u = t.tensor(Uint32Array.of(4_294_967_295));
  for (const round of [t.floor, t.ceil, t.round, t.trunc]) {
    assert.equal(await whole(round(i)), ['i32', 16_777_217, -3]);
    assert.equal(await whole(round(u)), ['u32', 4_294_967_295]);
  }
});

test('products of whole numbers, one after the other', async () => {
  const x = t.tensor(Int32Array.of(3, -2, 5, 7, 100_000, 100_000, 1));
  const expected = [3, -6, -30, -210, -21_000_000, Math.imul(-21_000_000, 100_000), Math.imul(-21_000_000, 100_000)];
  assert.equal(await whole(x.cumprod({ dim: 0 })), ['i32', ...expected]);
  const columns = t.tensor(Uint32Array.of(1, 2, 3, 4, 5, 6), { shape: [3, 2] });
  assert.equal(await whole(columns.cumprod({ dim: 0, reverse: true })), ['u32', 15, 48, 15, 24, 5, 6]);
  assert.equal(await whole(t.tensor([1, 1, 0, 1], { dtype: 'bool' }).cumprod({ dim: 0 })), ['i32', 1, 1, 0, 0]);
  assert.equal(t.zeros([0, 2], { dtype: 'i32' }).cumprod({ dim: 0 }).shape, [0, 2]);
});

test('segmentSum, oneHot and the questions about NaN as methods', async () => {
  const x = t.tensor([1, Number.NaN, Number.POSITIVE_INFINITY]);
  assert.equal(await list(x.isnan()), [0, 1, 0]);
  assert.equal(await list(x.isfinite()), [1, 0, 0]);
  assert.equal(await list(x.isinf()), [0, 0, 1]);
  const ids = t.tensor(Int32Array.of(1, 0, 1));
  assert.equal(await list(t.tensor([1, 2, 3]).segmentSum(ids, { count: 2 })), [2, 4]);
  assert.equal(await list(ids.oneHot({ classes: 2, dtype: 'i32' })), [
    [0, 1],
    [1, 0],
    [0, 1],
  ]);
});

test('indices may be u32', async () => {
  const x = t.tensor([
    [1, 2],
    [3, 4],
  ]);
  const rows = t.tensor(Uint32Array.of(1, 0));
  assert.equal(await list(x.indexSelect(0, rows)), [
    [3, 4],
    [1, 2],
  ]);
  assert.equal(await list(x.gather(1, t.tensor(Uint32Array.of(1, 0), { shape: [2, 1] }))), [[2], [3]]);
  assert.equal(await list(x.indexAdd(0, rows, x)), [
    [4, 6],
    [4, 6],
  ]);
  assert.equal(await list(x.scatterAdd(0, t.tensor(Uint32Array.of(1, 1), { shape: [1, 2] }), t.ones([1, 2]))), [
    [1, 2],
    [4, 5],
  ]);
  assert.equal(await list(t.segmentSum(x, rows, { count: 2 })), [
    [3, 4],
    [1, 2],
  ]);
  assert.ok(
    Number.isNaN(
      await t
        .tensor([1])
        .indexSelect(0, t.tensor(Uint32Array.of(4_294_967_295)))
        .item(),
    ),
  );
});

test.run();

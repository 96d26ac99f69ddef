import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, between, integer, pick, randomFrom, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import './device.ts';
import type { NDArray } from './reference/array.ts';
import * as gathers from './reference/gather.ts';
import * as scans from './reference/scan.ts';
import * as sorts from './reference/sort.ts';

// Scans, sorts and sums by index change algorithm with size: chunks of 32 to 1024 scanned in turn, runs of 16 merged, index
// lists sorted above 2^14 comparisons. These sizes stand on both sides of each, and off every multiple.

const list = (x: t.Tensor) => x.toArray();

// First: the tests after it leave tensors to the garbage collector, whose visits would change what is counted here.
test('what is selected outlives the scope that it was asked for in, and nothing else does', async () => {
  const x = t.tensor([1, -2, 3]);
  const select = async () => {
    const promise = t.scope(() => {
      const mask = x.mul(1).gt(0);
      return { promise: t.maskedSelect(x.add(1), mask) };
    }).promise;
    const chosen = await promise;
    // A scope that is open when it arrives does not take it: nobody waits inside a scope.
    t.scope(() => void chosen.mul(2));
    assert.equal(await list(chosen), [2, 4]);
    chosen.dispose();
    const places = await t.scope(() => ({ promise: t.nonzero(x.relu()) })).promise;
    assert.equal(await list(places), [[0], [2]]);
    places.dispose();
    const none = await t.scope(() => ({ promise: t.nonzero(x.sliceAxis(0, 3)) })).promise;
    assert.equal(none.shape, [0, 1]);
    none.dispose();
  };
  // The engine keeps the numbers that it met.
  await select();
  const live = x.device.statistics().liveBytes;
  await select();
  assert.is(x.device.statistics().liveBytes, live);
});

test('scans in one, two and three rounds', async () => {
  const random = randomFrom(1);
  for (const shape of [[33], [1025], [3, 32_769], [70_001, 2], [1_100_003]]) {
    const axis = shape.length === 2 && shape[0] > 3 ? 0 : shape.length - 1;
    for (const reverse of [false, true]) {
      const x = arrayOf(shape, random, between(-1, 1));
      const out = t.scope(() => t.cumsum(upload(x), { dim: axis, reverse }));
      const expected = scans.cumsum([x], { axis, reverse });
      await assertMatches(`cumsum of [${shape}]`, out, expected, { relative: 1e-6 });
      out.dispose();
    }
  }
});

test('a linear recurrence in several rounds', async () => {
  const random = randomFrom(2);
  for (const shape of [[31], [2, 4099], [40_003, 3]]) {
    const axis = shape.length === 2 && shape[0] > 3 ? 0 : shape.length - 1;
    for (const reverse of [false, true]) {
      const factors = arrayOf(shape, random, between(-1, 1.02));
      const x = arrayOf(shape, random, between(-1, 1));
      const out = t.scope(() => t.linearRecurrence(upload(factors), upload(x), { dim: axis, reverse }));
      const expected = scans.linearRecurrence([factors, x], { axis, reverse });
      await assertMatches(`linearRecurrence of [${shape}]`, out, expected, { relative: 3e-6 });
      out.dispose();
    }
  }
});

test('cumprod either way, through zeros', async () => {
  const x = t.tensor([
    [2, 3, 0, 5],
    [1, -1, 2, 4],
  ]);
  assert.equal(await list(t.cumprod(x, { dim: 1 })), [
    [2, 6, 0, 0],
    [1, -1, -2, -8],
  ]);
  assert.equal(await list(t.cumprod(x, { dim: 0, reverse: true })), [
    [2, -3, 0, 20],
    [1, -1, 2, 4],
  ]);
  assert.equal(await list(t.cumprod(t.zeros([0]), { dim: 0 })), []);
  assert.equal(await list(t.cumsum(x.gt(1), { dim: 1 })), [
    [1, 2, 2, 3],
    [0, 0, 1, 2],
  ]);
});

const sizes = [[1], [15], [16], [17], [255], [257], [5, 1000], [4099, 3], [2, 513, 2], [200_003]];

test('sorts of every number of passes are stable', async () => {
  const random = randomFrom(3);
  for (const shape of sizes) {
    const axis = shape.length > 1 && shape[0] > 100 ? 0 : Math.min(1, shape.length - 1);
    const descending = random() < 0.5;
    // Few values: most are equal, and an unstable sort would mix them.
    const x = arrayOf(shape, random, (r) => (r() < 0.01 ? Number.NaN : integer(r, -50, 50)));
    const { values, indices } = t.scope(() => t.sort(upload(x), { dim: axis, descending }));
    const order = sorts.argsort(x, { axis, descending });
    await assertMatches(`argsort of [${shape}]`, indices, order);
    await assertMatches(`sort of [${shape}]`, values, gathers.gather(x, order, { axis }));
    values.dispose();
    indices.dispose();
  }
});

test('a million elements are sorted', async () => {
  const random = randomFrom(4);
  const x = arrayOf([1_000_003], random, between(-1e6, 1e6));
  const { values, indices } = t.scope(() => t.sort(upload(x)));
  const sorted = await values.data();
  const expected = Float32Array.from(x.data).sort();
  assert.is(
    sorted.findIndex((value, i) => !Object.is(value, expected[i])),
    -1,
  );
  const places = await indices.data();
  assert.ok(places.every((from, i) => Object.is(Math.fround(x.data[from]), sorted[i])));
  values.dispose();
  indices.dispose();
});

test('sorting keeps the bits of what it sorts, and both zeros in their order', async () => {
  const x = t.tensor([0, -0, 1, -1, -0, 0]);
  const { values, indices } = t.sort(x);
  assert.equal(await list(indices), [3, 0, 1, 4, 5, 2]);
  assert.ok([...(await values.data())].every((value, i) => Object.is(value, [-1, 0, -0, -0, 0, 1][i])));
});

test('topk, from either end', async () => {
  const x = t.tensor([
    [3, 1, 4, 1, 5],
    [9, 2, Number.NaN, 5, 3],
  ]);
  const largest = t.topk(x, 2);
  assert.equal(await list(largest.values), [
    [5, 4],
    [Number.NaN, 9],
  ]);
  assert.equal(await list(largest.indices), [
    [4, 2],
    [2, 0],
  ]);
  assert.equal(await list(t.topk(x, 3, { largest: false }).values), [
    [1, 1, 3],
    [2, 3, 5],
  ]);
  assert.equal([...t.topk(x, 0, { dim: 0 }).values.shape], [0, 5]);
});

test('median and quantile', async () => {
  const x = t.tensor([
    [4, 1, 3, 2],
    [4, 1, Number.NaN, 2],
  ]);
  assert.equal(await list(t.median(x, { dim: 1 })), [2, Number.NaN]);
  assert.equal(await list(t.median(x, { dim: 0, keepdim: true })), [[4, 1, Number.NaN, 2]]);
  assert.equal(await list(t.quantile(x, 0.5, { dim: 1 })), [2.5, Number.NaN]);
  assert.equal(await list(t.quantile(t.arange(5), 0.3, { dim: 0 })), Math.fround(Math.fround(1.2)));
  assert.equal(await list(t.quantile(t.arange(5), 1, { dim: 0 })), 4);
  assert.equal(await list(t.median(t.tensor(Int32Array.of(5, 1, 9)), { dim: 0 })), 5);
});

test('sums by index are the same whether the list is scanned or sorted', async () => {
  const random = randomFrom(5);
  for (const [count, extent, inner] of [
    [100, 100, 3],
    [300, 100, 3],
    [5000, 7, 1],
    [40, 3000, 2],
  ]) {
    const source = arrayOf([2, count, inner], random, between(-1, 1));
    const index = arrayOf([count], random, (r) => integer(r, -2, extent + 1), 'i32');
    const places: NDArray = arrayOf([2, count, inner], random, (r) => integer(r, -2, extent + 1), 'i32');
    const [rows, elements] = t.scope(() => [
      t.apply('indexAdd', [upload(source), upload(index)], { axis: 1, extent })[0],
      t.apply('scatterAdd', [upload(source), upload(places)], { axis: 1, extent })[0],
    ]);
    await assertMatches('indexAdd', rows, gathers.indexAdd(source, index, { axis: 1, extent }), { relative: 1e-6 });
    await assertMatches('scatterAdd', elements, gathers.scatterAdd(source, places, { axis: 1, extent }), {
      relative: 1e-6,
    });
    rows.dispose();
    elements.dispose();
  }
});

test('segmentSum gives the same bits every time, and leaves out what has no segment', async () => {
  const random = randomFrom(6);
  const x = upload(arrayOf([3000, 2], random, between(-1, 1)));
  const ids = upload(arrayOf([3000], random, (r) => integer(r, 0, 9), 'i32'));
  const first = await t.segmentSum(x, ids, { count: 10 }).data();
  assert.equal([...(await t.segmentSum(x, ids, { count: 10 }).data())], [...first]);
  const small = t.tensor(Int32Array.of(1, 0, 1, 5, -1));
  assert.equal(await list(t.segmentSum(t.arange(5), small, { count: 3 })), [1, 2, 0]);
  assert.equal(await list(small.bincount({ count: 3 })), [1, 2, 0]);
  assert.equal(await list(t.bincount(small, { count: 2, weights: t.tensor([0.5, 1, 2, 4, 8]) })), [1, 2.5]);
});

const messageOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'nothing was wrong',
    (error: Error) => error.message,
  );

test('selections say what is wrong, also that a compiled function cannot wait for them', async () => {
  const x = t.tensor([1, 0]);
  let asked: Promise<unknown> = Promise.resolve();
  const compiled = t.compile((y: t.Tensor) => {
    asked = t.nonzero(y);
    return y.mul(2);
  });
  const out = compiled(x);
  assert.match(await messageOf(asked), /is read .* while a function is traced/);
  assert.equal(await list(out), [2, 0]);
  assert.match(await messageOf(t.maskedSelect(x, x)), /mask is f32\[2\]; expected bool/);
  const mask = t.tensor([1, 0, 1], { dtype: 'bool' });
  assert.match(await messageOf(t.maskedSelect(x, mask)), /maskedSelect: shapes \[2\] and \[3\]/);
});

test('nonzero and maskedSelect wait for what they count', async () => {
  const x = t.tensor([
    [0, 2, Number.NaN],
    [-0, 0, -1],
  ]);
  assert.equal(await list(await t.nonzero(x)), [
    [0, 1],
    [0, 2],
    [1, 2],
  ]);
  assert.equal(await list(await x.maskedSelect(x.lt(1))), [0, -0, 0, -1]);
  assert.equal(await list(await t.maskedSelect(x, t.tensor([0, 1, 0], { dtype: 'bool' }))), [2, 0]);
  assert.equal([...(await t.nonzero(t.zeros([2, 3]))).shape], [0, 2]);
  assert.equal([...(await t.nonzero(t.zeros([0, 3]))).shape], [0, 2]);
  assert.equal([...(await t.nonzero(t.tensor([7], { shape: [] }))).shape], [1, 0]);
  const many = arrayOf([40_001], randomFrom(7), (r) => pick(r, [0, 0, 1]));
  const expected = [...many.data.keys()].filter((i) => many.data[i] !== 0);
  const places = await t.nonzero(upload(many));
  assert.equal([...(await places.data())], expected);
});

test.run();

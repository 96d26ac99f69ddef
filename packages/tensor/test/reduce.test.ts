import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  argmax,
  logsumexp,
  max,
  mean,
  norm,
  scope,
  softmax,
  sum,
  sumSquares,
  type Tensor,
  tensor,
  variance,
} from '../src/index.ts';
import {
  arrayOf,
  between,
  drawn,
  pick,
  present,
  presentations,
  type Random,
  randomFrom,
  runs,
  upload,
} from './arbitraries.ts';
import { someAxes } from './cases/reduce.ts';
import { assertMatches } from './compare.ts';
import './device.ts';
import { build, type Expected, type NDArray } from './reference/array.ts';
import * as norms from './reference/norm.ts';
import * as reference from './reference/reduce.ts';

// Reductions change algorithm with size: rows in chunks above 2 * 2048, columns in chunks above 2 * 256. These shapes
// stand on both sides of each, and off every multiple.
const rowLengths = [2047, 4096, 4097, 8191, 16_385, 40_001];
const columnShapes = [
  [512, 3],
  [513, 3],
  [1031, 7],
  [2, 769, 5],
  [40_001, 2],
];

/** Sums of thousands stay within a few units in the last place of the sum of magnitudes, because they are trees. */
const tolerance = { relative: 1e-6 };

async function checkReductions(x: NDArray, axes: number[]): Promise<void> {
  const outputs = scope(() => {
    const t = upload(x);
    return [sum(t, { dim: axes }), mean(t, { dim: axes }), sumSquares(t, { dim: axes }), max(t, { dim: axes })];
  });
  const attributes = { axes, keepdim: false };
  const expected: Expected[] = [
    reference.sum(x, attributes),
    reference.mean(x, attributes),
    reference.sumSquares(x, attributes),
    reference.max(x, attributes),
  ];
  for (let i = 0; i < outputs.length; i++) {
    await assertMatches(`reduction ${i} of [${x.shape}] over [${axes}]`, outputs[i], expected[i], tolerance);
    outputs[i].dispose();
  }
}

test('long rows are reduced in two passes', async () => {
  const random = randomFrom(1);
  for (const length of rowLengths) {
    await checkReductions(arrayOf([length], random, between(-1, 3)), [0]);
    await checkReductions(arrayOf([3, length], random, between(-1, 3)), [1]);
  }
});

test('long columns are reduced in two passes', async () => {
  const random = randomFrom(2);
  for (const shape of columnShapes) {
    await checkReductions(arrayOf(shape, random, between(-1, 3)), [shape.length - 2]);
  }
});

test('whole numbers wrap the same way in two passes', async () => {
  const x = arrayOf([20_011], randomFrom(3), (r) => pick(r, [2 ** 31 - 1, -7, 12_345]), 'i32');
  const total = sum(upload(x));
  await assertMatches('sum', total, reference.sum(x, { axes: [0], keepdim: false }));
});

test('more rows than one dimension of a grid holds', async () => {
  const random = randomFrom(4);
  const x = arrayOf([65_537, 2], random);
  const t = upload(x);
  await assertMatches('sum', sum(t, { dim: 1 }), reference.sum(x, { axes: [1], keepdim: false }), tolerance);
  await assertMatches('softmax', softmax(t), norms.softmax(x));
  await assertMatches('argmax', argmax(t, { dim: 1 }), reference.argmax(x, { axis: 1, keepdim: false }));
  const wide = upload({ ...x, shape: [1, 2, 65_537] });
  await assertMatches(
    'sum of columns',
    sum(wide, { dim: 1 }),
    reference.sum({ ...x, shape: [1, 2, 65_537] }, { axes: [1], keepdim: false }),
    tolerance,
  );
  t.dispose();
  wide.dispose();
});

/** Two elements or more, somewhere. */
const varied = drawn({ minRank: 1, maxRank: 4, empty: false }, (shape, random: Random) => {
  const mean = pick(random, [0, 30, 100, 1000]);
  const x = arrayOf([...shape, 2], random, (r) => mean + between(-2, 2)(r));
  return { x, mean, axes: [...someAxes(shape.length, random), shape.length], keepdim: random() < 0.5 };
});

test('var takes the squares about the mean', async () => {
  let run = 0;
  await fc.assert(
    fc.asyncProperty(varied, async ({ x, mean: centre, axes, keepdim }) => {
      const { values, out } = scope(() => {
        const { values, tensor } = present(x, presentations[run++ % presentations.length], 1);
        return { values, out: variance(tensor, { dim: axes, keepdim, correction: 1 }) };
      });
      const expected = reference.variance(values, { axes, keepdim }, 1);
      // The mean in f32 is half a unit in the last place off, and enters as its square and times the sum of residues.
      const meanRounding = centre * 2 ** -23;
      const absolute = meanRounding ** 2 + 1e-7;
      await assertMatches(`var at mean ${centre}`, out, expected, { relative: 1e-5 + meanRounding, absolute });
      out.dispose();
    }),
    runs,
  );
});

/** Folds rows of an axis in f64. */
function alongLast(x: NDArray, fold: (row: number[]) => number): Expected {
  const length = x.shape[x.shape.length - 1];
  const shape = x.shape.slice(0, -1);
  return build(shape, 'f32', (_, flat) => fold(Array.from(x.data.subarray(flat * length, (flat + 1) * length))));
}

const total = (row: number[]) => row.reduce((a, b) => a + b, 0);

const composed: [string, (x: Tensor) => Tensor, (row: number[]) => number][] = [
  ['norm 2', (x) => norm(x, { dim: -1 }), (row) => Math.hypot(...row)],
  ['norm 1', (x) => norm(x, { dim: -1, p: 1 }), (row) => total(row.map(Math.abs))],
  ['norm inf', (x) => norm(x, { dim: -1, p: Infinity }), (row) => Math.max(...row.map(Math.abs))],
  ['norm -inf', (x) => norm(x, { dim: -1, p: -Infinity }), (row) => Math.min(...row.map(Math.abs))],
  ['norm 0', (x) => norm(x, { dim: -1, p: 0 }), (row) => row.filter((v) => v !== 0).length],
  ['norm 3', (x) => norm(x, { dim: -1, p: 3 }), (row) => Math.cbrt(total(row.map((v) => Math.abs(v) ** 3)))],
  ['logsumexp', (x) => logsumexp(x, { dim: -1 }), (row) => Math.log(total(row.map((v) => Math.exp(v))))],
];

for (const [name, run, fold] of composed) {
  test(`${name} along an axis`, async () => {
    let turn = 0;
    const draws = drawn({ minRank: 1, maxRank: 3, empty: false, largest: 300 }, (shape, random) =>
      arrayOf(shape, random, (r) => (r() < 0.1 ? 0 : between(-4, 4)(r))),
    );
    await fc.assert(
      fc.asyncProperty(draws, async (x) => {
        const { values, out } = scope(() => {
          const { values, tensor } = present(x, presentations[turn % presentations.length], turn++);
          return { values, out: run(tensor) };
        });
        await assertMatches(name, out, alongLast(values, fold), { relative: 1e-5, absolute: 1e-6 });
        out.dispose();
      }),
      runs,
    );
  });
}

test('logsumexp of large numbers, of infinities and of nothing but minus infinity', async () => {
  const inf = Number.POSITIVE_INFINITY;
  const x = tensor([
    [1000, 1000],
    [-1000, -1000],
    [-inf, -inf],
    [inf, 0],
    [-inf, 3],
  ]);
  const out = await logsumexp(x, { dim: 1 }).data();
  const expected = [1000 + Math.LN2, -1000 + Math.LN2, -inf, inf, 3];
  for (const [i, want] of expected.entries()) {
    assert.ok(out[i] === want || Math.abs(out[i] - want) < 1e-4, `${out[i]} for ${want}`);
  }
  assert.equal([...logsumexp(x, { dim: 1, keepdim: true }).shape], [5, 1]);
});

test('any, all, countNonzero and std', async () => {
  const x = tensor([
    [0, 0, 0],
    [0, 2, Number.NaN],
    [1, 1, -3],
  ]);
  assert.equal(await x.any({ dim: 1 }).toArray(), [0, 1, 1]);
  assert.equal(await x.all({ dim: 1 }).toArray(), [0, 0, 1]);
  assert.equal(await x.countNonzero({ dim: 1 }).toArray(), [0, 2, 3]);
  assert.is(x.any().dtype, 'bool');
  const nothing = tensor(new Float32Array(0), { shape: [2, 0] });
  assert.equal(await nothing.any({ dim: 1 }).toArray(), [0, 0]);
  assert.equal(await nothing.all({ dim: 1 }).toArray(), [1, 1]);
  assert.equal(await nothing.prod({ dim: 1 }).toArray(), [1, 1]);
  assert.is(await tensor([1, 3, 5]).std().item(), 2);
  assert.is(await tensor([1, 3]).std({ correction: 0 }).item(), 1);
  assert.equal(await x.gt(0).any({ dim: 0, keepdim: true }).toArray(), [[1, 1, 0]]);
});

test('argmin and argmax of everything', async () => {
  const x = tensor([
    [3, -1],
    [7, -1],
  ]);
  assert.is(await x.argmin().item(), 1);
  assert.is(await x.argmax().item(), 2);
  assert.equal([...x.argmax({ keepdim: true }).shape], [1, 1]);
});

test.run();

import fc from 'fast-check';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, drawn, integer, present, presentations, type Random, runs, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { floats, unlessHalf } from './device.ts';
import type { Expected, NDArray } from './reference/array.ts';
import { einsum as reference } from './reference/products.ts';

const inF32Alone = unlessHalf && ', in f32 alone';
const extents = [0, 1, 1, 2, 3, 5, 7, 33];
const pickExtent = (random: Random) => extents[integer(random, 0, extents.length - 1)];
const letters = 'abcdefghijklmnop'.split('');

/** The reference for operands whose axes have these names; axes of one name are equal or 1. */
function products([a, b]: NDArray[], [ofA, ofB]: string[][], output: string[]): Expected {
  const sizes = new Map<string, number>();
  for (const [x, axes] of [[a, ofA] as const, [b, ofB] as const]) {
    axes.forEach((axis, d) => {
      if (x.shape[d] !== 1 || !sizes.has(axis)) sizes.set(axis, x.shape[d]);
    });
  }
  return reference([a, b], [ofA, ofB], output, sizes);
}

interface Sample {
  shapes: [number[], number[]];
  axes: [string[], string[]];
  output: string[];
  run: (a: t.Tensor, b: t.Tensor) => t.Tensor;
}

/** Checks an operation of two tensors in every presentation and dtype, eagerly and compiled. */
function check(name: string, draw: (random: Random) => Sample) {
  test(`${name} in every presentation${inF32Alone}`, async () => {
    const draws = drawn({ maxRank: 0 }, (_, random) => {
      const sample = draw(random);
      const dtypes = [0, 1].map(() => floats[integer(random, 0, floats.length - 1)]);
      return { sample, inputs: sample.shapes.map((shape, i) => arrayOf(shape, random, undefined, dtypes[i])) };
    });
    let turn = 0;
    await fc.assert(
      fc.asyncProperty(draws, async ({ sample, inputs }) => {
        const held = t.scope(() => inputs.map((x, i) => present(x, presentations[turn++ % presentations.length], i)));
        const [a, b] = held.map(({ tensor }) => tensor);
        const expected = products(
          held.map(({ values }) => values),
          sample.axes,
          sample.output,
        );
        const what = `${name} of ${inputs.map(({ dtype, shape }) => `${dtype}[${shape}]`).join(' and ')}`;
        const out = t.scope(() => sample.run(a, b));
        await assertMatches(what, out, expected, { relative: 2e-6 });
        out.dispose();
        if (turn % 6 === 0) {
          const compiled = t.compile(sample.run);
          const again = compiled(a, b);
          await assertMatches(`compiled ${what}`, again, expected, { relative: 2e-6 });
          again.dispose();
          compiled.dispose();
        }
        a.dispose();
        b.dispose();
      }),
      { ...runs, numRuns: 2 * runs.numRuns },
    );
  });
}

check('matmul with vectors', (random) => {
  const k = pickExtent(random);
  const batch = Array.from({ length: integer(random, 0, 3) }, () => Math.min(3, pickExtent(random)));
  const names = letters.slice(0, batch.length);
  const m = pickExtent(random);
  const vector = integer(random, 0, 2);
  const run = integer(random, 0, 1)
    ? (a: t.Tensor, b: t.Tensor) => t.matmul(a, b)
    : (a: t.Tensor, b: t.Tensor) => a.matmul(b);
  if (vector === 0) return { shapes: [[k], [k]], axes: [['k'], ['k']], output: [], run };
  if (vector === 1) {
    return { shapes: [[...batch, m, k], [k]], axes: [[...names, 'm', 'k'], ['k']], output: [...names, 'm'], run };
  }
  return { shapes: [[k], [...batch, k, m]], axes: [['k'], [...names, 'k', 'm']], output: [...names, 'm'], run };
});

check('dot', (random) => {
  const k = random() < 0.2 ? integer(random, 1000, 3000) : pickExtent(random);
  return { shapes: [[k], [k]], axes: [['k'], ['k']], output: [], run: (a, b) => t.dot(a, b) };
});

check('outer', (random) => ({
  shapes: [[pickExtent(random)], [pickExtent(random)]],
  axes: [['m'], ['n']],
  output: ['m', 'n'],
  run: (a, b) => a.outer(b),
}));

check('inner', (random) => {
  const [a, b] = [0, 1].map(() => Array.from({ length: integer(random, 0, 3) }, () => Math.min(5, pickExtent(random))));
  const scalar = random() < 0.15 ? integer(random, 0, 1) : -1;
  const k = pickExtent(random);
  const [ofA, ofB] = [letters.slice(0, a.length), letters.slice(8, 8 + b.length)];
  const [last, name] = scalar < 0 ? [[k], ['z']] : [[], []];
  const shapes: [number[], number[]] = [scalar === 0 ? [] : [...a, ...last], scalar === 1 ? [] : [...b, ...last]];
  const axes: [string[], string[]] = [scalar === 0 ? [] : [...ofA, ...name], scalar === 1 ? [] : [...ofB, ...name]];
  return { shapes, axes, output: axes.flat().filter((axis) => axis !== 'z'), run: (x, y) => x.inner(y) };
});

const shuffle = <T>(list: readonly T[], random: Random): T[] =>
  list
    .map((item) => ({ item, key: random() }))
    .sort((x, y) => x.key - y.key)
    .map(({ item }) => item);

check('tensordot over axes that were named', (random) => {
  const shared = Array.from({ length: integer(random, 0, 3) }, () => Math.min(5, pickExtent(random)));
  const free = () => Array.from({ length: integer(random, 0, 2) }, () => Math.min(5, pickExtent(random)));
  const part = (own: number[], from: number) =>
    shuffle(
      [
        ...own.map((extent, d) => ({ extent, name: letters[from + d] })),
        ...shared.map((extent, d) => ({ extent, name: `s${d}` })),
      ],
      random,
    );
  const [a, b] = [part(free(), 0), part(free(), 8)];
  const names = shuffle(
    shared.map((_, d) => `s${d}`),
    random,
  );
  const placesIn = (list: { name: string }[]) =>
    names.map((name) => list.findIndex((axis) => axis.name === name) - (random() < 0.3 ? list.length : 0));
  const dims = [placesIn(a), placesIn(b)] as const;
  return {
    shapes: [a.map(({ extent }) => extent), b.map(({ extent }) => extent)],
    axes: [a.map(({ name }) => name), b.map(({ name }) => name)],
    output: [...a, ...b].map(({ name }) => name).filter((name) => !name.startsWith('s')),
    run: (x, y) => t.tensordot(x, y, dims),
  };
});

check('tensordot over a number of axes', (random) => {
  const shared = Array.from({ length: integer(random, 0, 2) }, () => Math.min(7, pickExtent(random)));
  const [a, b] = [0, 1].map(() => Array.from({ length: integer(random, 0, 2) }, () => Math.min(7, pickExtent(random))));
  const [ofA, ofB] = [letters.slice(0, a.length), letters.slice(8, 8 + b.length)];
  const both = shared.map((_, d) => `s${d}`);
  return {
    shapes: [
      [...a, ...shared],
      [...shared, ...b],
    ],
    axes: [
      [...ofA, ...both],
      [...both, ...ofB],
    ],
    output: [...ofA, ...ofB],
    run: (x, y) => (shared.length === 2 && random() < 0.5 ? t.tensordot(x, y) : t.tensordot(x, y, shared.length)),
  };
});

const ofHalves = floats.includes('f16') ? test : test.skip;
ofHalves('the sum of products of halves is summed in f32', async () => {
  // In halves the sum would stop at 2048, and a product of 256 and 256 would be infinite.
  const ones = t.ones([5000], { dtype: 'f16' });
  assert.is(await t.dot(ones, ones).item(), 5000);
  assert.is(t.dot(ones, ones).dtype, 'f16');
  const large = t.full([1], 256, { dtype: 'f16' });
  const small = t.concat([large, large.neg()]);
  assert.is(await t.dot(small, t.concat([large, large])).item(), 0);
});

test('whole numbers have dot, outer, inner and tensordot', async () => {
  const [a, b] = [t.tensor(Int32Array.of(1, -2, 3)), t.tensor(Int32Array.of(4, 5, 2 ** 30))];
  assert.is(await a.dot(b).item(), (4 - 10 + 3 * 2 ** 30) | 0);
  assert.is(a.dot(b).dtype, 'i32');
  assert.equal(await a.outer(t.tensor(Int32Array.of(1, 2))).toArray(), [
    [1, 2],
    [-2, -4],
    [3, 6],
  ]);
  const rows = t.tensor(
    [
      [1, 2, 3],
      [4, 5, 6],
    ],
    { dtype: 'i32' },
  );
  assert.equal(await rows.inner(rows).toArray(), [
    [14, 32],
    [32, 77],
  ]);
  assert.is(await t.tensordot(rows, rows).item(), 0 + 91);
});

test('the trace is the sum of a diagonal', async () => {
  const x = upload({ dtype: 'f32', shape: [2, 3, 3], data: Float64Array.from({ length: 18 }, (_, i) => i) });
  assert.equal(await x.trace({ dim1: 1, dim2: 2 }).toArray(), [0 + 4 + 8, 9 + 13 + 17]);
  assert.equal(await x.trace().toArray(), [0 + 12, 1 + 13, 2 + 14]);
  assert.equal(await t.matrixTrace(x, { dim1: -2, dim2: -1, offset: 1 }).toArray(), [1 + 5, 10 + 14]);
  assert.equal(await x.trace({ offset: 5 }).toArray(), [0, 0, 0]);
  assert.throws(() => t.zeros([3]).trace(), /axis 1 does not exist/);
});

test('errors of products', () => {
  const shape = (...extents: number[]): t.Tensor => t.ones(extents);
  assert.throws(() => t.matmul(shape(3), shape(4)), 'matmul: inner dimensions 3 and 4 of [3] x [4] differ');
  assert.throws(() => t.matmul(shape(3), shape(2, 4, 5)), 'matmul: inner dimensions 3 and 4 of [3] x [2, 4, 5] differ');
  assert.throws(() => t.matmul(shape(5, 4), shape(5)), 'matmul: inner dimensions 4 and 5 of [5, 4] x [5] differ');
  assert.throws(() => t.matmul(shape(), shape(5)), 'matmul: [] x [5]: a scalar has no axis to sum over; use mul');
  assert.throws(() => t.matmul(shape(2, 5), shape()), /\[2, 5\] x \[\]: a scalar/);
  assert.throws(() => t.dot(shape(3), shape(3, 1)), 'dot: [3] x [3, 1] are no two vectors; use matmul or tensordot');
  assert.throws(() => t.dot(shape(3), shape(2)), 'dot: the vectors [3] x [2] differ in length');
  assert.throws(
    () => t.outer(shape(3, 1), shape(2)),
    /outer: \[3, 1\] x \[2\] are no two vectors; use flatten, or tensordot/,
  );
  assert.throws(() => t.inner(shape(2, 3), shape(4)), 'inner: axis 1 of [2, 3] has 3 elements, axis 0 of [4] has 4');
  assert.throws(
    () => t.tensordot(shape(2, 3), shape(3, 2)),
    /tensordot: axis 0 of \[2, 3\] has 2 elements, axis 0 of \[3, 2\] has 3/,
  );
  assert.throws(
    () => t.tensordot(shape(2, 3), shape(3), 2),
    'tensordot: [2, 3] x [3] do not have 2 axes each to sum over',
  );
  assert.throws(() => t.tensordot(shape(2), shape(2), 0.5), /do not have 0.5 axes/);
  assert.throws(
    () =>
      t.tensordot(shape(2, 2), shape(2, 2), [
        [0, -2],
        [0, 1],
      ]),
    'tensordot: an axis was given twice in [0,-2]',
  );
  assert.throws(
    () => t.tensordot(shape(2, 2), shape(2, 2), [[0], [0, 1]]),
    'tensordot: [0] and [0,1] must name as many axes',
  );
  assert.throws(() => t.tensordot(shape(2), shape(2), [[1], [0]]), /axis 1 does not exist/);
  const [five, four] = [shape(1, 1, 1, 1, 1), shape(1, 1, 1, 1)];
  assert.throws(
    () => t.tensordot(five, four, 0),
    'tensordot: the result has 9 axes, over the limit of 8; reshape some into one',
  );
});

test('matmul of whole numbers is what einsum makes of them', async () => {
  const whole = (shape: number[], dtype: 'i32' | 'u32' | 'bool', step = 7) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const numbers = Array.from({ length: size }, (_, i) => (i * step) % 11);
    return t.tensor(dtype === 'bool' ? numbers.map((v) => v % 2) : numbers, { shape, dtype });
  };
  const cases: [string, number[], number[]][] = [
    ['ij,jk->ik', [3, 5], [5, 4]],
    ['bij,bjk->bik', [2, 3, 5], [2, 5, 4]],
    ['bij,jk->bik', [2, 3, 5], [5, 4]],
    ['abij,bjk->abik', [2, 2, 3, 5], [2, 5, 4]],
    ['j,jk->k', [5], [5, 4]],
    ['bij,j->bi', [2, 3, 5], [5]],
    ['j,j->', [5], [5]],
  ];
  for (const dtype of ['i32', 'u32', 'bool'] as const) {
    for (const [equation, left, right] of cases) {
      const [a, b] = [whole(left, dtype), whole(right, dtype, 3)];
      const [made, expected] = [t.matmul(a, b), t.einsum(equation, a, b)];
      assert.is(made.dtype, dtype === 'bool' ? 'i32' : dtype);
      assert.equal([...made.shape], [...expected.shape], equation);
      assert.equal(await made.data(), await expected.data(), `${equation} of ${dtype}`);
    }
  }
  const large = t.tensor(Int32Array.of(16_777_217, 100_000, 1, 100_000), { shape: [2, 2] });
  const exact = await t.matmul(large, large).data();
  assert.is(exact[0], (Math.imul(16_777_217, 16_777_217) + 100_000) | 0);
  assert.is(t.matmul(whole([3, 5], 'i32'), t.ones([5, 2])).dtype, 'f32');
  assert.equal([...(await t.matmul(t.tensor(Int32Array.of(1, 2)), t.tensor([0.5, 0.25])).data())], [1]);
  assert.throws(() => t.matmul(whole([2, 3], 'i32'), whole([4, 2], 'i32')), /matmul: inner dimensions 3 and 4/);
  assert.throws(() => t.matmul(whole([2, 3, 4], 'i32'), whole([3, 4, 2], 'i32')), /matmul.*\[2\] and \[3\]/);
});

test.run();

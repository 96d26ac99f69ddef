import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { compile, full, matmul, scope, type Tensor } from '../src/index.ts';
import { LONGEST_SUM, splitsOfLarge } from '../src/ops/matmul-split.ts';
import { tiles64x128 } from '../src/ops/matmul-tiles.ts';
import { matmulFamily } from '../src/ops/matmul-variants.ts';
import { arrayOf, type Presentation, present, presentations, randomFrom, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { device, floats, hasHalf, unlessHalf } from './device.ts';
import { poisonMemory } from './poison.ts';
import type { NDArray } from './reference/array.ts';
import { matmul as reference } from './reference/products.ts';

poisonMemory();

const tolerance = { relative: 1e-6 };

/** Variants that some adapters have no units for, and those of them that take no f32. */
const matrixVariants = /^matrix/;
const halvesAlone = /^matrix\d/;

// M, N and K all different, on and off the tiles of 4, 32 and 64, and steps of 16.
const sizes = [
  [1, 1, 1],
  [1, 0, 5],
  [4, 1, 9],
  [5, 17, 3],
  [31, 16, 33],
  [65, 33, 129],
  [130, 47, 66],
  [64, 32, 96],
];

/** The dtypes of both operands: f32, and where the adapter has f16, that and both beside each other. */
const pairsOfDtypes = floats.flatMap((a) => floats.map((b) => [a, b] as const));

test(`products of every size in every presentation${unlessHalf && ', in f32 alone'}`, async () => {
  const random = randomFrom(1);
  let turn = 0;
  for (const [m, k, n] of sizes) {
    for (const [i, kind] of presentations.entries()) {
      const other = presentations[(i * 2 + 1) % presentations.length];
      const [left, right] = pairsOfDtypes[turn++ % pairsOfDtypes.length];
      const a = present(arrayOf([m, k], random, undefined, left), kind, i);
      const b = present(arrayOf([k, n], random, undefined, right), other, i);
      const out = matmul(a.tensor, b.tensor);
      const what = `${left}[${m}, ${k}] ${kind} x ${right}[${k}, ${n}] ${other}`;
      await assertMatches(what, out, reference(a.values, b.values), tolerance);
    }
  }
});

test('batches broadcast, also over more axes than the kernel walks', async () => {
  const random = randomFrom(2);
  const pairs = [
    [
      [7, 3, 5],
      [5, 2],
    ],
    [
      [3, 5],
      [7, 5, 2],
    ],
    [
      [2, 1, 3, 5],
      [1, 4, 5, 2],
    ],
    [
      [2, 1, 3, 3, 5],
      [4, 1, 5, 2],
    ],
    [
      [2, 1, 2, 1, 3, 5],
      [1, 3, 1, 2, 5, 2],
    ],
  ];
  for (const [left, right] of pairs) {
    const [a, b] = [arrayOf(left, random), arrayOf(right, random)];
    const out = scope(() => matmul(upload(a), upload(b)));
    await assertMatches(`[${left}] x [${right}]`, out, reference(a, b), tolerance);
  }
});

test('attention heads are read in place: batch axes that no stride joins', async () => {
  const random = randomFrom(3);
  const [batch, time, heads, width] = [2, 5, 3, 4];
  const x = arrayOf([batch, time, heads, width], random);
  const { values } = present(x, 'dense');
  const out = scope(() => {
    const split = upload(values).permute([0, 2, 1, 3]);
    return matmul(split, split.transpose());
  });
  const permuted = { ...x, shape: [batch, heads, time, width], data: new Float64Array(x.data.length) };
  const swapped = { ...x, shape: [batch, heads, width, time], data: new Float64Array(x.data.length) };
  x.data.forEach((value, i) => {
    const [w, h] = [i % width, Math.floor(i / width) % heads];
    const [t, b] = [Math.floor(i / (width * heads)) % time, Math.floor(i / (width * heads * time))];
    permuted.data[((b * heads + h) * time + t) * width + w] = value;
    swapped.data[((b * heads + h) * width + w) * time + t] = value;
  });
  await assertMatches('heads', out, reference(permuted, swapped), tolerance);
});

test('more products in a batch than a grid is deep', async () => {
  const random = randomFrom(4);
  const [a, b] = [arrayOf([65_537, 1, 2], random), arrayOf([65_537, 2, 1], random)];
  const out = scope(() => matmul(upload(a), upload(b)));
  await assertMatches('65537 products', out, reference(a, b), tolerance);
});

/** On and off tiles of 64 and 128 and steps of 16, rows and columns of vectors, sums that are split. */
const variantSizes = [
  [65, 33, 129],
  [64, 128, 64],
  [132, 20, 136],
  [20, 2000, 36],
  [130, 47, 66],
  [7, 1030, 9],
  [1, 0, 5],
  // Sums too long for one accumulator, in whole parts and with a rest.
  [5, 2 * LONGEST_SUM, 6],
  [3, LONGEST_SUM + 1, 10],
];

test('k is split as waves of tiles fill the cores, and no further than sums are worth it', () => {
  const splits = (k: number, ...shape: number[]) =>
    splitsOfLarge(k, { shape, size: shape.reduce((a, b) => a * b) }, tiles64x128);
  // 72 tiles for 132 cores, and three such products.
  assert.equal(splits(2992, 768, 768), { splits: 5, chunk: 608 });
  assert.equal(splits(2992, 3, 768, 768), { splits: 3, chunk: 1008 });
  // Tiles enough, or too short a sum.
  assert.is(splits(4096, 4096, 4096).splits, 1);
  assert.is(splits(500, 64, 64).splits, 1);
  assert.is(splits(0, 64, 64).splits, 1);
  for (const k of [1, 257, 1000, 2 ** 20, 10 ** 9]) {
    const { splits: count, chunk } = splits(k, 64, 64);
    assert.ok(count * chunk >= k && (count - 1) * chunk < k && count <= 64, `${count} of ${chunk} for ${k}`);
  }
});

for (const k of [2 ** 17, 10 ** 6 + 3]) {
  test(`sums of ${k} equal terms keep their digits, eager, in a batch and compiled`, async () => {
    // One accumulator rounds them all the same way, and is a hundredth off.
    const a: NDArray = { dtype: 'f32', shape: [2, 1, k], data: new Float64Array(2 * k).fill(Math.fround(0.1)) };
    const b: NDArray = { dtype: 'f32', shape: [k, 3], data: new Float64Array(3 * k).fill(Math.fround(0.1)) };
    const expected = reference(a, b);
    const [left, right] = [upload(a), upload(b)];
    const product = compile((x: Tensor, y: Tensor) => x.matmul(y).mul(2));
    const [eager, compiled] = [scope(() => left.matmul(right)), product(left, right)];
    const doubled = { ...expected, data: expected.data.map((value) => 2 * value) };
    await assertMatches('eager', eager, expected, { relative: 2e-4 });
    await assertMatches('compiled', compiled, doubled, { relative: 2e-4 });
    for (const tensor of [left, right, eager, compiled]) tensor.dispose();
    product.dispose();
  });
}

/** Every variant that the adapter can run, on operands in every presentation; outputs are poisoned before. */
for (const { name: variant, legal } of matmulFamily.variants) {
  test(`the variant ${variant} gives the same products${unlessHalf && ', in f32 alone'}`, async () => {
    const random = randomFrom(5);
    let turn = 0;
    let runs = 0;
    const check = async (a: NDArray, b: NDArray, kind: Presentation, other: Presentation) => {
      const [left, right] = [present(a, kind, turn), present(b, other, turn + 1)];
      const expected = reference(left.values, right.values);
      const inputs = [left.tensor, right.tensor];
      const out = full(expected.shape, Number.NaN, { dtype: expected.dtype });
      if (legal && !legal(device, inputs, [out], {})) return;
      runs++;
      matmulFamily.variants.find(({ name }) => name === variant)!.run(device, inputs, [out], {});
      const what = `${variant} ${a.dtype}[${a.shape}] ${kind} x ${b.dtype}[${b.shape}] ${other}`;
      await assertMatches(what, out, expected, tolerance);
    };
    // Each pair of dtypes and layouts is a pipeline of its own, which CPU drivers compile for a second.
    for (const [at, [m, k, n]] of variantSizes.entries()) {
      const [kind, other] = [
        presentations[at % presentations.length],
        presentations[(2 * at + 1) % presentations.length],
      ];
      const usual = hasHalf && halvesAlone.test(variant) ? (['f16', 'f16'] as const) : (['f32', 'f32'] as const);
      const [left, right] = at < pairsOfDtypes.length ? pairsOfDtypes[at] : usual;
      await check(arrayOf([m, k], random, undefined, left), arrayOf([k, n], random, undefined, right), kind, other);
      turn++;
    }
    await check(arrayOf([3, 65, 7], random), arrayOf([3, 7, 70], random), 'dense', 'dense');
    await check(arrayOf([2, 1, 8, 516], random), arrayOf([3, 516, 12], random), 'dense', 'dense');
    assert.ok(runs > 1 || matrixVariants.test(variant), `${variant} ran ${runs} times`);
  });
}

test.run();

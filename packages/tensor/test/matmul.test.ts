import { matmul as kernels } from '@dawnchorus/kernels';
import { test } from 'uvu';
import { promote, wgslType } from '../src/dtype.ts';
import { matmul, scope, Tensor, type Tensor as TensorType } from '../src/index.ts';
import { arrayOf, present, presentations, randomFrom, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { device, floats, unlessHalf } from './device.ts';
import { matmul as reference } from './reference/products.ts';

const tolerance = { relative: 1e-6 };

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

/** Runs the variant that only hardware adapters choose. */
function matmulTiled(a: TensorType, b: TensorType): TensorType {
  const [m, k] = a.shape.slice(-2);
  const n = b.shape.at(-1)!;
  const batch = a.rank === 3 ? a.shape[0] : 1;
  const dtype = promote(a.dtype, b.dtype);
  const out = Tensor.allocate(device, dtype, a.rank === 3 ? [batch, m, n] : [m, n], 'tiled');
  device.recorder.dispatch({
    kernel: kernels.matmulTiled,
    constants: {
      AElement: `alias AElement = ${wgslType[a.dtype]};`,
      BElement: `alias BElement = ${wgslType[b.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[dtype]};`,
    },
    buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
    parameters: {
      m,
      n,
      k,
      batchInner: batch,
      aOffset: a.offset,
      bOffset: b.offset,
      aRow: a.strides[a.rank - 2],
      aColumn: a.strides[a.rank - 1],
      bRow: b.strides[b.rank - 2],
      bColumn: b.strides[b.rank - 1],
      aBatchOuter: 0,
      aBatchInner: a.rank === 3 ? a.strides[0] : 0,
      bBatchOuter: 0,
      bBatchInner: b.rank === 3 ? b.strides[0] : 0,
    },
    grid: [Math.ceil(n / 64), Math.ceil(m / 64), batch],
  });
  return out;
}

test(`the tiled variant gives the same products${unlessHalf && ', in f32 alone'}`, async () => {
  const random = randomFrom(5);
  let turn = 0;
  for (const [m, k, n] of [...sizes, [100, 100, 70]]) {
    for (const [i, kind] of presentations.entries()) {
      const other = presentations[(i * 2 + 2) % presentations.length];
      const [left, right] = pairsOfDtypes[turn++ % pairsOfDtypes.length];
      const a = present(arrayOf([m, k], random, undefined, left), kind, i);
      const b = present(arrayOf([k, n], random, undefined, right), other, i + 1);
      const what = `tiled ${left}[${m}, ${k}] ${kind} x ${right}[${k}, ${n}] ${other}`;
      await assertMatches(what, matmulTiled(a.tensor, b.tensor), reference(a.values, b.values), tolerance);
    }
  }
  const [a, b] = [arrayOf([3, 65, 7], random), arrayOf([3, 7, 70], random)];
  await assertMatches('tiled batch', matmulTiled(upload(a), upload(b)), reference(a, b), tolerance);
});

test.run();

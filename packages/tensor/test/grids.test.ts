/** Work that needs more workgroups along an axis than one dispatch can have: 65535. Shapes are cheap otherwise. */
import { elementwise } from '@dawnchorus/kernels';
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import {
  apply,
  arange,
  compile,
  complexMul,
  conv1d,
  fft,
  irfft,
  matmul,
  ones,
  rfft,
  scope,
  sum,
  type Tensor,
  tensor,
  zeros,
} from '../src/index.ts';
import { linearGrid, splitGrid } from '../src/kernel/grid.ts';
import type { Dispatch } from '../src/kernel/recorder.ts';
import { device } from './device.ts';

const limit = device.limits.maxComputeWorkgroupsPerDimension;

/** i modulo 251, so that no two neighbouring tiles are alike. */
const ramp = (count: number) => Float32Array.from({ length: count }, (_, i) => i % 251);

/** Disposes the inputs and compares every element. */
async function assertElements(out: Tensor, expected: (i: number) => number): Promise<void> {
  const data = (await out.data()) as Float32Array;
  out.dispose();
  let wrong = -1;
  for (let i = 0; i < data.length && wrong < 0; i++) if (data[i] !== expected(i)) wrong = i;
  assert.ok(wrong < 0, `element ${wrong} is ${data[wrong]}, not ${expected(wrong)}`);
}

test('parts of a grid cover it once', () => {
  const kernel = { name: 'k', parameters: { groupX: 'u32', groupY: 'u32', groupZ: 'u32' } };
  const seen = new Set<string>();
  const grid = [5, 7, 4];
  for (const part of splitGrid({ kernel, parameters: {}, grid } as unknown as Dispatch<Record<string, 'u32'>>, 3)) {
    const { groupX, groupY, groupZ } = part.parameters as Record<string, number>;
    for (const extent of part.grid) assert.ok(extent > 0 && extent <= 3);
    for (let x = 0; x < part.grid[0]; x++)
      for (let y = 0; y < part.grid[1]; y++)
        for (let z = 0; z < part.grid[2]; z++) {
          const at = `${x + groupX} ${y + groupY} ${z + groupZ}`;
          assert.not.ok(seen.has(at), at);
          seen.add(at);
        }
  }
  assert.is(seen.size, 5 * 7 * 4);
});

test('a kernel that cannot be told where to start is an error at once', () => {
  const x = zeros([4]);
  assert.throws(
    () =>
      device.recorder.dispatch({
        kernel: { ...elementwise.fill, parameters: { size: 'u32', bits: 'u32' } } as typeof elementwise.fill,
        constants: { Scalar: 'alias Scalar = f32;', OutElement: '' },
        buffers: [x.storage.buffer],
        parameters: { size: 4, bits: 0 },
        grid: [1, limit + 1, 1],
      }),
    /kernel fill: grid .* over this adapter's limit/,
  );
  x.dispose();
});

test('a long row of workgroups folds into two dimensions', () => {
  assert.equal(linearGrid(65_535), [65_535, 1, 1]);
  for (const count of [65_536, 65_537, 200_003, 3_000_017]) {
    const [x, y] = linearGrid(count);
    assert.ok(x <= 65_535 && x * y >= count && x * y < count + y, `${count} -> ${x} x ${y}`);
  }
});

test('products of more matrices than a grid is deep', async () => {
  const count = limit + 3;
  const out = scope(() => matmul(tensor(ramp(count), { shape: [count, 1, 1] }), tensor([[[1, 2]]])));
  await assertElements(out, (i) => (Math.floor(i / 2) % 251) * (1 + (i % 2)));
});

test('products of more matrices than a grid is deep, compiled with what follows in the same kernel', async () => {
  const count = limit + 3;
  const x = tensor(ramp(count), { shape: [count, 1, 1] });
  const w = tensor([[[1, 2]]]);
  const product = compile((x: Tensor) => matmul(x, w).add(1).relu());
  await assertElements(product(x), (i) => (Math.floor(i / 2) % 251) * (1 + (i % 2)) + 1);
  product.dispose();
  x.dispose();
  w.dispose();
});

test('products of more rows than a grid is wide', async () => {
  const rows = limit * 64 + 70;
  const out = scope(() => matmul(tensor(ramp(rows), { shape: [rows, 1] }), tensor([[3]])));
  await assertElements(out, (i) => (i % 251) * 3);
});

test('products of more columns than a grid is wide', async () => {
  const columns = limit * 64 + 70;
  const out = scope(() => matmul(tensor([[3]]), tensor(ramp(columns), { shape: [1, columns] })));
  await assertElements(out, (i) => (i % 251) * 3);
});

test('convolutions of more signals than a grid is deep, and their gradients', async () => {
  const count = limit + 3;
  const attributes = { stride: 1, padding: 0, dilation: 1, groups: 1 };
  const { out, back, weight } = scope(() => {
    const x = tensor(ramp(count), { shape: [count, 1, 1] });
    const w = tensor([[[2]], [[5]]]);
    const out = conv1d(x, w);
    const [back] = apply('convTranspose1d', [out, w], { ...attributes, length: 1 });
    const [weight] = apply('conv1dWeightGradient', [x.minimum(1), ones([count, 2, 1])], { ...attributes, kernel: 1 });
    return { out, back, weight };
  });
  await assertElements(out, (i) => (Math.floor(i / 2) % 251) * [2, 5][i % 2]);
  await assertElements(back, (i) => (i % 251) * 29);
  await assertElements(weight, () => count - Math.ceil(count / 251));
});

test('convolutions longer than a grid is wide, and their gradients', async () => {
  const length = limit * 128 + 5;
  const attributes = { stride: 1, padding: 0, dilation: 1, groups: 1 };
  const x = tensor(ramp(length), { shape: [1, 1, length] });
  const w = tensor([[[7]]]);
  await assertElements(conv1d(x, w), (i) => (i % 251) * 7);
  await assertElements(apply('convTranspose1d', [x, w], { ...attributes, length })[0], (i) => (i % 251) * 7);
  x.dispose();
  w.dispose();
});

test('convolutions of more channels than a grid is wide, and their gradients', async () => {
  const channels = limit * 32 + 9;
  const attributes = { stride: 1, padding: 0, dilation: 1, groups: 1 };
  const w = tensor(ramp(channels), { shape: [channels, 1, 1] });
  const x = tensor([[[3]]]);
  await assertElements(conv1d(x, w), (i) => (i % 251) * 3);
  const across = w.reshape([1, channels, 1]);
  await assertElements(apply('convTranspose1d', [x, across], { ...attributes, length: 1 })[0], (i) => (i % 251) * 3);
  await assertElements(
    apply('conv1dWeightGradient', [across, x], { ...attributes, kernel: 1 })[0],
    (i) => (i % 251) * 3,
  );
  for (const t of [w, x, across]) t.dispose();
});

test('everything that is a row of workgroups reaches past 65535 of them', async () => {
  const rows = 64 * limit + 100;
  const x = tensor(ramp(rows));
  await assertElements(x.add(1), (i) => (i % 251) + 1);
  const tall = x.reshape([rows, 1]);
  await assertElements(sum(tall, { dim: 1 }), (i) => i % 251);
  await assertElements(tall.softmax(), () => 1);
  const index = arange(0, rows);
  await assertElements(x.indexSelect(0, index), (i) => i % 251);
  for (const t of [x, tall, index]) t.dispose();
});

test('Fourier transforms of more values than a row of workgroups has threads', async () => {
  const values = 64 * limit + 128;
  const x = tensor(ramp(values));
  // Sums and differences of neighbours, exact in f32.
  await assertElements(
    scope(() => rfft(x.reshape([-1, 2]))),
    (i) =>
      (i % 2 ? 0 : (2 * Math.floor(i / 4)) % 251) +
      (i % 2 ? 0 : (i % 4 ? -1 : 1) * ((2 * Math.floor(i / 4) + 1) % 251)),
  );
  await assertElements(
    scope(() => irfft(rfft(x.reshape([-1, 2])))),
    (i) => i % 251,
  );
  const pairs = x.reshape([-1, 1, 2]);
  await assertElements(fft(pairs), (i) => i % 251);
  await assertElements(complexMul(pairs, tensor([2, 0])), (i) => (i % 251) * 2);
  x.dispose();
  pairs.dispose();
});

test.after(() => device.pool.trim());
test.run();

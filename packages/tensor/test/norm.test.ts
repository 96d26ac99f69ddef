import { test } from 'uvu';
import * as assert from 'uvu/assert';
import { groupNorm, layerNorm, logSoftmax, scope, softmax, sum, tensor } from '../src/index.ts';
import { arrayOf, between, randomFrom, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import './device.ts';
import * as reference from './reference/norm.ts';

// E[x^2] - mean^2 in f32 is 1e-2 off at a mean of 100 and NaN at 1000. The tolerance grows with the mean only by what
// rounding the mean itself to f32 costs: see MEAN_ROUNDING in reference/norm.ts.
for (const mean of [0, 30, 100, 1000]) {
  test(`norms keep their accuracy at a mean of ${mean}`, async () => {
    const random = randomFrom(mean + 1);
    for (const shape of [
      [5, 33],
      [3, 768],
      [2, 6, 1031],
    ]) {
      const x = arrayOf(shape, random, (r) => mean + between(-2, 2)(r));
      const channels = shape.at(-1)!;
      const [weight, bias] = [arrayOf([channels], random), arrayOf([channels], random)];
      const out = scope(() => layerNorm(upload(x), upload(weight), upload(bias)));
      await assertMatches('layerNorm', out, reference.norm(x, weight, bias, reference.layerNormLayout(x), 1e-5)[0]);
      out.dispose();
    }
    const x = arrayOf([2, 6, 517], random, (r) => mean + between(-2, 2)(r));
    const [weight, bias] = [arrayOf([6], random), arrayOf([6], random)];
    for (const groups of [1, 2, 3, 6]) {
      const out = scope(() => groupNorm(upload(x), groups, upload(weight), upload(bias)));
      await assertMatches(
        'groupNorm',
        out,
        reference.norm(x, weight, bias, reference.groupNormLayout(x, groups), 1e-5)[0],
      );
      out.dispose();
    }
  });
}

test('a constant row is normalised to the bias', async () => {
  const x = tensor([[1000.5, 1000.5, 1000.5, 1000.5, 1000.5, 1000.5, 1000.5]]);
  const out = layerNorm(x, tensor([1, 1, 1, 1, 1, 1, 1]), tensor([1, 2, 3, 4, 5, 6, 7]));
  assert.equal([...(await out.data())], [1, 2, 3, 4, 5, 6, 7]);
});

test('softmax of any axis', async () => {
  const x = arrayOf([3, 5, 7], randomFrom(9), between(-5, 5));
  for (const dim of [0, 1, 2, -1, -2]) {
    const out = scope(() => sum(softmax(upload(x), { dim }), { dim }));
    for (const total of await out.data()) assert.ok(Math.abs(total - 1) < 1e-6, `softmax over ${dim}: ${total}`);
  }
  const last = scope(() => softmax(upload(x).transpose(0, 2), { dim: 0 }).transpose(0, 2));
  await assertMatches('softmax over a moved axis', last, reference.softmax(x));
});

test('softmax takes large and infinite inputs', async () => {
  const inf = Number.NEGATIVE_INFINITY;
  const rows = [
    [1e30, 1e30, -1e30],
    [10_000, 9999, inf],
    [inf, 0, inf],
  ];
  const out = (await softmax(tensor(rows)).toArray()) as number[][];
  const e = Math.exp(-1);
  const expected = [
    [0.5, 0.5, 0],
    [1 / (1 + e), e / (1 + e), 0],
    [0, 1, 0],
  ];
  expected.flat().forEach((value, i) => {
    assert.ok(Math.abs(out.flat()[i] - value) < 1e-6, `softmax element ${i}: ${out.flat()[i]}, expected ${value}`);
  });
  const logs = (await logSoftmax(tensor(rows[1])).data())[0];
  assert.ok(Math.abs(logs + Math.log(1 + e)) < 1e-6, `logSoftmax: ${logs}`);
});

test.run();

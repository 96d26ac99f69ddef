/** What attention promises beyond agreeing with its reference (ops.test.ts). */
import { test } from 'uvu';
import * as assert from 'uvu/assert';
import * as t from '../src/index.ts';
import { arrayOf, between, randomFrom, upload } from './arbitraries.ts';
import { assertMatches } from './compare.ts';
import { device, floats } from './device.ts';
import { build } from './reference/array.ts';
import { attention } from './reference/attention.ts';

const draw = (shape: readonly number[], stream: number) => t.normal(shape, { seed: 11, stream });
const close = { relative: 1e-5, peak: true };

/** By operations that hold the matrix of weights. */
function composed(q: t.Tensor, k: t.Tensor, v: t.Tensor, drop?: t.RandomKey & { p: number }): t.Tensor {
  const weights = t.softmax(t.matmul(q, t.transpose(k)).mul(1 / Math.sqrt(q.shape[3])));
  const keys = v.shape[2];
  // Each row's draws begin with the next four.
  const dropped = drop && t.dropout(t.pad(weights, [0, -keys & 3]), drop).sliceAxis(3, 0, keys);
  return t.matmul(dropped ?? weights, v);
}

async function agrees(what: string, actual: t.Tensor, expected: t.Tensor, tolerance = close): Promise<void> {
  const data = Float64Array.from(await expected.data());
  await assertMatches(what, actual, { dtype: actual.dtype, shape: expected.shape, data }, tolerance);
}

test('dropout drops the weights that dropout of the matrix would, at a step of its own', async () => {
  const [q, k, v] = [draw([2, 3, 13, 8], 1), draw([2, 3, 21, 8], 2), draw([2, 3, 21, 8], 3)];
  for (const step of [undefined, t.tensor(Uint32Array.of(5))]) {
    const key = { seed: 3, stream: 2 ** 32 - 1, step };
    const fused = t.scaledDotProductAttention(q, k, v, { dropout: 0.4, key });
    await agrees('attention with dropout', fused, composed(q, k, v, { p: 0.4, ...key }));
  }
});

test('a compiled function drops other weights at each step, those of the function itself', async () => {
  const [q, k, v] = [1, 2, 3].map((stream) => draw([1, 2, 9, 8], stream));
  const run = (x: t.Tensor, step: t.Tensor) =>
    t.scaledDotProductAttention(x, k, v, { dropout: 0.5, key: { seed: 1, stream: 4, step } });
  const compiled = t.compile(run);
  const seen = new Set<string>();
  for (const number of [1, 2, 3]) {
    const step = t.tensor(Uint32Array.of(number));
    const data = await compiled(q, step).data();
    assert.equal([...data], [...(await run(q, step).data())]);
    seen.add(String([...data]));
  }
  assert.is(seen.size, 3);
  compiled.dispose();
});

for (const dtype of floats) {
  test(`scores far from zero neither overflow nor lose the differences, in ${dtype}`, async () => {
    const random = randomFrom(5);
    // Scores about 100 * 100 * 64 / 8, far over what a half holds.
    const [q, k] = [0, 0].map(() => arrayOf([1, 2, 40, 64], random, (r) => 100 + between(-1, 1)(r), dtype));
    const v = arrayOf([1, 2, 40, 64], random, between(-2, 2), dtype);
    const settings = { scale: 1 / 8, causal: false, dropout: 0, seed: 0, stream: 0 };
    const [expected] = attention([q, k, v], settings);
    const out = t.apply('attention', [q, k, v].map(upload), settings)[0];
    // A score of 80000 has an error of 4e-3 in f32, and so has each weight.
    await assertMatches('attention', out, expected, { relative: 0.02, peak: true });
    const bits = await out.data();
    assert.ok(bits.every(Number.isFinite));
  });
}

test('a projection is read in place, and the output is one without a copy', async () => {
  const [batch, time, heads, size] = [2, 17, 3, 8];
  const packed = draw([batch, time, 3 * heads * size], 7);
  const [q, k, v] = [0, 1, 2].map((i) =>
    t
      .sliceAxis(packed, 2, i * heads * size, (i + 1) * heads * size)
      .reshape([batch, time, heads, size])
      .permute([0, 2, 1, 3]),
  );
  assert.ok([q, k, v].every((x) => x.storage === packed.storage));
  const out = t.scaledDotProductAttention(q, k, v);
  await agrees('attention of a packed projection', out, composed(q, k, v));
  assert.is(out.permute([0, 2, 1, 3]).reshape([batch, time, heads * size]).storage, out.storage);
});

test('the matrix of weights is not in memory', async () => {
  const inputs = [1, 2, 3].map((stream) => draw([1, 32, 256, 8], stream));
  await device.synchronize();
  const before = device.statistics();
  t.scope(() => void t.scaledDotProductAttention(inputs[0], inputs[1], inputs[2]));
  const grown = device.statistics().peakBytes - before.liveBytes;
  assert.ok(grown < 0.75 * (4 * 32 * 256 * 256), `${grown} bytes`);
});

test('operands may lack axes or stretch', async () => {
  const [q, k] = [draw([5, 8], 1), draw([7, 8], 2)];
  const whole = (x: t.Tensor) => x.reshape([1, 1, ...x.shape]);
  await agrees(
    'two axes',
    t.scaledDotProductAttention(q, k, k),
    composed(whole(q), whole(k), whole(k)).reshape([5, 8]),
  );
  const clips = draw([3, 5, 8], 3);
  const spread = t.expand(whole(k), [3, 1, 7, 8]);
  const expected = composed(clips.reshape([3, 1, 5, 8]), spread, spread).reshape([3, 5, 8]);
  await agrees('three axes', t.scaledDotProductAttention(clips, k, k), expected);
  const heads = draw([2, 4, 5, 8], 4);
  const all = t.expand(whole(k), [2, 4, 7, 8]);
  await agrees('keys for all heads', t.scaledDotProductAttention(heads, k, k), composed(heads, all, all));
});

test('NaN in a query spoils its row, in a value its column', async () => {
  const at = (row: number) => upload(build([1, 1, 4, 8], 'f32', ([, , i, d]) => (i === row && d === 3 ? NaN : i + d)));
  const clean = draw([1, 1, 4, 8], 1);
  const query = (await t.scaledDotProductAttention(at(2), clean, clean).toArray()) as number[][][][];
  const value = (await t.scaledDotProductAttention(clean, clean, at(2)).toArray()) as number[][][][];
  for (let i = 0; i < 4; i++) {
    assert.equal(query[0][0][i].map(Number.isNaN), new Array(8).fill(i === 2), `row ${i}`);
    assert.equal(
      value[0][0][i].map(Number.isNaN),
      Array.from({ length: 8 }, (_, d) => d === 3),
      `row ${i}`,
    );
  }
});

test('a clip that sees nothing attends to all keys alike', async () => {
  const [q, k, v] = [1, 2, 3].map((stream) => draw([2, 1, 4, 8], stream));
  const visible = t.tensor([0, 0, 0, 0, 1, 1, 1, 1], { shape: [2, 4], dtype: 'bool' });
  const out = t.scaledDotProductAttention(q, k, v, { visible });
  const mean = t.expand(v.mean({ dim: 2, keepdim: true }), v.shape);
  await agrees('the first clip', t.sliceAxis(out, 0, 0, 1), t.sliceAxis(mean, 0, 0, 1));
  await agrees('the second clip', t.sliceAxis(out, 0, 1, 2), t.sliceAxis(composed(q, k, v), 0, 1, 2));
});

test('misuse is named', () => {
  const x = draw([1, 2, 3, 8], 1);
  const of = (shape: number[]) => t.zeros(shape);
  const run = t.scaledDotProductAttention;
  assert.throws(() => run(x, of([1, 2, 3, 4]), x), /attention: q \[1, 2, 3, 8\], k \[1, 2, 3, 4\]/);
  assert.throws(() => run(x, of([1, 3, 3, 8]), of([1, 3, 3, 8])), /expected one batch, heads and headSize/);
  assert.throws(() => run(x, x, of([1, 2, 4, 8])), /as many keys as values/);
  assert.throws(() => run(of([1, 1, 2, 129]), of([1, 1, 2, 129]), of([1, 1, 2, 129])), /129.*use matmul and softmax/);
  assert.throws(() => run(x, x, x, { visible: of([1, 3]) }), /mask.*is f32\[1, 3\]; expected bool/);
  assert.throws(
    () => run(x, x, x, { visible: t.full([1, 4], 1, { dtype: 'bool' }) }),
    /mask is \[1, 4\]; expected \[batch, keys\], \[1, 3\]/,
  );
  assert.throws(
    () => run(x, x, x, { dropout: 1, key: { seed: 1, stream: 1 } }),
    /dropout is 1; expected a probability in \[0, 1\)/,
  );
  assert.throws(() => run(x, x, x, { dropout: 0.5 }), /needs a key/);
  assert.throws(() => run(of([8]), x, x), /q is \[8\]; expected \[batch, heads, time, headSize\]/);
  assert.throws(() => run(x, x, t.cast(x, 'i32')), /v is i32/);
});

test.run();

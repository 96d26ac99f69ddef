/**
 * The tests of attention again, with the tiles that hardware adapters get, as hardware-variants.test.ts has them: apart,
 * because a CPU driver takes so long to compile these kernels that there are few draws.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';

process.env.DAWNCHORUS_TEST_TOGGLES = 'disable_robustness';
process.env.FAST_CHECK_RUNS ??= '2';
process.env.ONLY = 'attention,attentionBackward';
const { device } = await import('./device.ts');
const { poisonMemory } = await import('./poison.ts');
const { apply } = await import('../src/index.ts');
const { arrayOf, between, randomFrom, upload } = await import('./arbitraries.ts');
const { assertMatches } = await import('./compare.ts');
const reference = await import('./reference/attention.ts');

Object.assign(device.adapter, { software: false });
poisonMemory();

/** So many heads that each workgroup gets 64 queries or keys, where the draws of the other tests are cut into 32. */
test('tiles of 64 scores a side, cut off at the ends', async () => {
  const random = randomFrom(3);
  const shape = [2, 64, 70, 8];
  const [q, k, v] = [0, 1, 2].map(() => arrayOf(shape, random, between(-1, 1)));
  const settings = { scale: 0.35, causal: true, dropout: 0, seed: 0, stream: 0 };
  const expected = reference.attention([q, k, v], settings);
  const [output, logarithms] = expected.map(({ dtype, shape, data }) => ({
    dtype,
    shape,
    data: data.map(Math.fround),
  }));
  const gradient = arrayOf(output.shape, random, between(-1, 1));
  const names: string[] = [];
  device.recorder.onDispatch = (kernel) => names.push(kernel);
  const [out, sums] = apply('attention', [q, k, v].map(upload), settings);
  const inputs = [...[q, k, v].map(upload), out, sums, upload(gradient)];
  const gradients = apply('attentionBackward', inputs, settings);
  device.recorder.onDispatch = undefined;
  for (const kernel of ['attention_tiled', 'attention_tiled_queries', 'attention_tiled_keys']) {
    assert.ok(names.includes(kernel), `${kernel} is not among ${names}`);
  }
  await assertMatches('attention', out, expected[0], { relative: 1e-5, peak: true });
  const backward = reference.attentionBackward([q, k, v, output, logarithms, gradient], settings);
  for (const [i, own] of gradients.entries()) {
    await assertMatches(`gradient ${i}`, own, backward[i], { relative: 1e-5, peak: true });
  }
});

await import('./ops.test.ts');

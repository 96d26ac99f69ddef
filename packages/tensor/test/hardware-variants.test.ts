/**
 * The tests of operations again, with the kernel variants that hardware adapters get: more threads a row, tiles.
 * They run here on whatever adapter there is, which only has to believe that it is a GPU. Memory is poisoned, and nobody
 * clamps indices: what reads or writes where it should not shows, or crashes. Products and convolutions have tests that run
 * each of their variants by name.
 */
process.env.DAWNCHORUS_TEST_TOGGLES = 'disable_robustness';
// Their pipelines take CPU drivers seconds to compile.
process.env.FAST_CHECK_RUNS ??= '8';
// What has no variants of its own has its test in ops.test.ts, which poisons memory, too.
process.env.ONLY = [
  ...[
    'matmul',
    'conv1d',
    'conv1dWeightGradient',
    'convTranspose1d',
    'conv2d',
    'conv2dWeightGradient',
    'convTranspose2d',
  ],
  ...['crossEntropy', 'crossEntropyBackward', 'softmax', 'softmaxBackward'],
  ...['logSoftmax', 'logSoftmaxBackward', 'layerNorm', 'layerNormBackward', 'groupNorm', 'groupNormBackward'],
  ...[
    'sum',
    'mean',
    'sumSquares',
    'prod',
    'max',
    'argmax',
    'concat',
    'nearestCode',
    'residualCodes',
    'convNormGelu',
    'convNormGeluBackward',
    'weightNorm',
    'weightNormBackward',
    'gradientNorm',
    'adamw',
  ],
].join();
const { suite } = await import('uvu');
const assert = await import('uvu/assert');
const { arange, concat } = await import('../src/index.ts');
const { device } = await import('./device.ts');
const { poisonMemory } = await import('./poison.ts');

Object.assign(device.adapter, { software: false });
poisonMemory();

/** Parts on and off the blocks of a workgroup, views that begin inside their memory, and one that must be taken by itself. */
const parts = suite('parts');
parts('many tensors become one, each where it belongs', async () => {
  for (const dtype of ['f32', 'u32'] as const) {
    const sizes = [1, 300, 256, 0, 5000, 255, 257, 3, 1024, 2, 700, 64, 9, 1];
    const all = arange(8000, { dtype, device });
    const views = sizes.map((size, i) => all.sliceAxis(0, 11 * i, 11 * i + size).reshape([size, 1]));
    views.splice(5, 0, all.sliceAxis(0, 3, 63, 6).reshape([10, 1]));
    assert.not.ok(views[5].contiguous);
    const expected = (await Promise.all(views.map((view) => view.toArray()))).flat();
    assert.equal(await concat(views).toArray(), expected);
  }
});
parts.run();

await import('./norm.test.ts');
await import('./reduce.test.ts');
await import('./ops.test.ts');

export {};

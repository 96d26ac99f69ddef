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
    'nearestCode',
    'residualCodes',
    'weightNorm',
    'weightNormBackward',
    'gradientNorm',
    'adamw',
  ],
].join();
const { device } = await import('./device.ts');
const { poisonMemory } = await import('./poison.ts');

Object.assign(device.adapter, { software: false });
poisonMemory();

await import('./norm.test.ts');
await import('./reduce.test.ts');
await import('./ops.test.ts');

export {};

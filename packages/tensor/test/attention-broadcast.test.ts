/**
 * The tests of attention again, with the kernels in which subgroups hand columns round: CPU drivers take them where there is more to
 * do than in these draws, and compile each for so long that there are few.
 */
import { test } from 'uvu';
import * as assert from 'uvu/assert';

process.env.FAST_CHECK_RUNS ??= '4';
process.env.ONLY = 'attention,attentionBackward';
const { device } = await import('./device.ts');
const { canBroadcast, subgroupSize } = await import('../src/ops/matmul-tiles.ts');
const { randomFrom } = await import('./arbitraries.ts');

// Each call takes one of them.
const ways = (['broadcast', 'broadcast16'] as const).filter((variant) => canBroadcast(device, variant));
const random = randomFrom(1);
const draw = () => ways[Math.floor(random() * ways.length)];
Object.defineProperties(device.choices.pinned, {
  attention: { get: draw, enumerable: true },
  attentionBackward: { get: draw, enumerable: true },
});

const names = new Set<string>();
device.recorder.onDispatch = (kernel) => names.add(kernel);

await import('./ops.test.ts');

const onlyBroadcast = subgroupSize(device) === undefined ? test.skip : test;
onlyBroadcast('they were run', () => {
  for (const kernel of ['attention_scores_broadcast', 'attention_sums_broadcast']) {
    assert.ok(names.has(kernel), `${kernel} is not among ${[...names]}`);
  }
});
test.run();

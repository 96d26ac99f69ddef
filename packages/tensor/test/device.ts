import { openDevice } from '../src/index.ts';

/** One device a test process, opened without a word; with Dawn toggles where a test file has set them. */
export const device = await openDevice({
  log: () => {},
  kernels: 'default',
  enable: typeof process === 'undefined' ? undefined : process.env.DAWNCHORUS_TEST_TOGGLES?.split(','),
});

/** Whether the adapter has f16. Tests of it are skipped where it has not, and say so in their names. */
export const hasHalf = device.features.has('shader-f16');
export const unlessHalf = hasHalf ? '' : ' (skipped: this adapter has no shader-f16)';

/** The dtypes of real numbers that this adapter has. */
export const floats: ('f32' | 'f16')[] = hasHalf ? ['f32', 'f16'] : ['f32'];

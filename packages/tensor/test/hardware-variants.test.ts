/**
 * The tests of operations again, with the kernel variants that hardware adapters get: more threads a row, tiled products.
 * They run here on whatever adapter there is, which only has to believe that it is a GPU.
 */
import { device } from './device.ts';

Object.assign(device.adapter, { software: false });

await import('./matmul.test.ts');
await import('./norm.test.ts');
await import('./reduce.test.ts');
await import('./ops.test.ts');

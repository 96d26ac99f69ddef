import { defineKernel } from '../contract.ts';
import { nearestCode as nearestCodeSource } from '../generated/wgsl.ts';
import { rowConstants, rowNearest } from '../lib/index.ts';

/** Nearest codebook row and what it leaves over. Grid: rows / ROWS. */
export const nearestCode = defineKernel({
  name: 'nearest_code',
  source: nearestCodeSource,
  bindings: { x: 'read', codebook: 'read', indices: 'readWrite', residual: 'readWrite' },
  parameters: { rows: 'u32', dimension: 'u32', codes: 'u32', xOffset: 'u32', codebookOffset: 'u32' },
  constants: rowConstants,
  rows: rowNearest,
});

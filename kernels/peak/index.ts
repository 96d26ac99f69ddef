import { defineKernel } from '../contract.ts';
import { peakArithmetic as arithmeticSource, peakBandwidth as bandwidthSource } from '../generated/wgsl.ts';

/** Copies `size` vectors of four floats. Grid: size / 1024 workgroups in a row, folded where it is too long. */
export const peakBandwidth = defineKernel({
  name: 'peak_bandwidth',
  source: bandwidthSource,
  bindings: { source: 'read', out: 'readWrite' },
  parameters: { size: 'u32' },
  constants: {},
});

/** 128 multiply-adds a thread and iteration. Grid: threads / 64. */
export const peakArithmetic = defineKernel({
  name: 'peak_arithmetic',
  source: arithmeticSource,
  bindings: { out: 'readWrite' },
  parameters: { iterations: 'u32', factor: 'f32', addend: 'f32' },
  constants: {},
});

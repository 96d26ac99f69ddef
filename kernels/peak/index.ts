import { ownKernel } from '../contract.ts';
import {
  peakArithmetic as arithmeticSource,
  peakBandwidth as bandwidthSource,
  peakMatrix as matrixSource,
} from '../generated/wgsl.ts';

/** Copies `size` vectors of four floats. Grid: size / 1024 workgroups in a row, folded where it is too long. */
export const peakBandwidth = ownKernel({
  name: 'peak_bandwidth',
  source: bandwidthSource,
  bindings: { source: 'read', out: 'readWrite' },
  parameters: { size: 'u32' },
  constants: {},
});

/** 128 multiply-adds a thread and iteration. Grid: threads / 64. */
export const peakArithmetic = ownKernel({
  name: 'peak_arithmetic',
  source: arithmeticSource,
  bindings: { out: 'readWrite' },
  parameters: { iterations: 'u32', factor: 'f32', addend: 'f32' },
  constants: {},
});

/** 32 products of fragments a subgroup and iteration: 64 M N K operations. Grid: workgroups of LANES threads. */
export const peakMatrix = ownKernel({
  name: 'peak_matrix',
  source: matrixSource,
  directives: [
    'enable subgroups;',
    'enable chromium_experimental_subgroup_matrix;',
    'diagnostic(off, chromium.subgroup_matrix_uniformity);',
  ],
  bindings: { out: 'readWrite' },
  parameters: { iterations: 'u32' },
  constants: {
    Component: 'alias Component = f16;',
    Sum: 'alias Sum = f32;',
    M: 'const M = 16u;',
    N: 'const N = 16u;',
    K: 'const K = 16u;',
    LANES: 'const LANES = 32u;',
  },
});

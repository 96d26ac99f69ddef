import { defineKernel, emit, fetch, prepare } from '../contract.ts';
import { softmaxBackward as backwardSource, softmax as softmaxSource } from '../generated/wgsl.ts';

/** Last axis of [rows, length], one workgroup a row. Grid: rows. */
export const softmax = defineKernel({
  name: 'softmax',
  source: softmaxSource,
  bindings: { input: 'read', out: 'readWrite' },
  parameters: { rows: 'u32', length: 'u32', offset: 'u32' },
  constants: {
    ELEMENTS: 'const ELEMENTS = 1u;',
    LANES: 'const LANES = 64u;',
    LOGARITHM: 'const LOGARITHM = false;',
    InputElement: 'alias InputElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { fetch, emit, prepare },
});

export const softmaxBackward = defineKernel({
  name: 'softmax_backward',
  source: backwardSource,
  bindings: { y: 'read', grad: 'read', out: 'readWrite' },
  parameters: { rows: 'u32', length: 'u32', yOffset: 'u32', gradOffset: 'u32' },
  constants: {
    LANES: 'const LANES = 64u;',
    LOGARITHM: 'const LOGARITHM = false;',
    Element: 'alias Element = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit },
});

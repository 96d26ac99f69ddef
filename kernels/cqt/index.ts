import { defineKernel } from '../contract.ts';
import { cqtDirect as directSource } from '../generated/wgsl.ts';

/** The constant-Q transform by its definition. Grid: (frames / 8, bins, clips). */
export const cqtDirect = defineKernel({
  name: 'cqt_direct',
  source: directSource,
  bindings: { x: 'read', taps: 'read', bins: 'read', out: 'readWrite' },
  parameters: { samples: 'u32', frames: 'u32', bins: 'u32', hop: 'u32', xOffset: 'u32' },
  constants: { COMPLEX: 'const COMPLEX = false;' },
});

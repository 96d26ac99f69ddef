import { ownKernel } from '../contract.ts';
import { scanChunks as chunksSource, scanWrite as writeSource } from '../generated/wgsl.ts';

const parameters = {
  outer: 'u32',
  length: 'u32',
  inner: 'u32',
  chunk: 'u32',
  chunks: 'u32',
  reverse: 'u32',
  xOffset: 'u32',
  factorOffset: 'u32',
} as const;

const constants = {
  Scalar: 'alias Scalar = f32;',
  Element: 'alias Element = f32;',
  FactorElement: 'alias FactorElement = f32;',
  RECURRENT: 'const RECURRENT = false;',
};

/** What each chunk of the middle axis adds up to. */
export const scanChunks = ownKernel({
  name: 'scan_chunks',
  source: chunksSource,
  bindings: { x: 'read', factors: 'read', totals: 'readWrite' },
  parameters,
  constants,
});

/** Every chunk walked from where those before it end. */
export const scanWrite = ownKernel({
  name: 'scan_write',
  source: writeSource,
  bindings: { x: 'read', factors: 'read', carried: 'read', out: 'readWrite' },
  parameters,
  constants: {
    ...constants,
    CarriedElement: 'alias CarriedElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
});

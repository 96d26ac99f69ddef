import { defineKernel, emit, gridStart, prepare } from '../contract.ts';
import { matmulRegister as registerSource, matmulTiled as tiledSource } from '../generated/wgsl.ts';

const constants = {
  AElement: 'alias AElement = f32;',
  BElement: 'alias BElement = f32;',
  OutElement: 'alias OutElement = f32;',
};
const bindings = { a: 'read', b: 'read', out: 'readWrite' } as const;
/** Strides in elements; a batch index is split as (outer, inner) so that attention heads need no copy. */
const parameters = {
  m: 'u32',
  n: 'u32',
  k: 'u32',
  batchInner: 'u32',
  aOffset: 'u32',
  bOffset: 'u32',
  aRow: 'u32',
  aColumn: 'u32',
  bRow: 'u32',
  bColumn: 'u32',
  aBatchOuter: 'u32',
  aBatchInner: 'u32',
  bBatchOuter: 'u32',
  bBatchInner: 'u32',
  ...gridStart,
} as const;

/** 8 x 8 outputs a thread, no workgroup memory. Grid: (n / 64, m / 64, batch). */
export const matmulRegister = defineKernel({
  name: 'matmul_register',
  source: registerSource,
  bindings,
  parameters,
  constants,
  hooks: { emit, prepare },
});

/** 64 x 64 tiles through workgroup memory. Grid: (n / 64, m / 64, batch). */
export const matmulTiled = defineKernel({
  name: 'matmul_tiled',
  source: tiledSource,
  bindings,
  parameters,
  constants,
  hooks: { emit, prepare },
});

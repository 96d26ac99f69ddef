import { ownKernel } from '../contract.ts';
import { draws, philox as philoxSource } from '../generated/wgsl.ts';

/** Shared WGSL functions that draw. */
export const drawFunctions = draws;

/** Uniform and normal draws and dropout from Philox4x32-10, four elements a thread. Takes `drawFunctions`. */
export const philox = ownKernel({
  name: 'philox',
  source: philoxSource,
  bindings: { x: 'read', steps: 'read', out: 'readWrite' },
  parameters: {
    size: 'u32',
    seedLow: 'u32',
    seedHigh: 'u32',
    streamLow: 'u32',
    streamHigh: 'u32',
    xOffset: 'u32',
    scale: 'f32',
    shift: 'f32',
    high: 'f32',
    stepOffset: 'u32',
  },
  constants: {
    DISTRIBUTION: 'const DISTRIBUTION = 0u;',
    STEPPED: 'const STEPPED = false;',
    Element: 'alias Element = f32;',
  },
});

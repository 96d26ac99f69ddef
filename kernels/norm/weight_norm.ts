import { emit, gridStart, ownKernel } from '../contract.ts';
import {
  weightNormBackward as backwardSource,
  weightNorm as forwardSource,
  weightNormSums as sumsSource,
} from '../generated/wgsl.ts';

const elements = { Element: 'alias Element = f32;', ScaleElement: 'alias ScaleElement = f32;' };

/** Grid: (columns / 32, chunks, 1). */
export const weightNormSums = ownKernel({
  name: 'weight_norm_sums',
  source: sumsSource,
  bindings: { v: 'read', grad: 'read', out: 'readWrite' },
  parameters: { rows: 'u32', columns: 'u32', chunk: 'u32', offset: 'u32', gradOffset: 'u32', ...gridStart },
  constants: {
    GRADIENT: 'const GRADIENT = true;',
    Element: 'alias Element = f32;',
    GradElement: 'alias GradElement = f32;',
  },
});

/** Grid: (columns / 32, rows / chunk, 1). */
export const weightNorm = ownKernel({
  name: 'weight_norm',
  source: forwardSource,
  bindings: { v: 'read', g: 'read', sums: 'read', out: 'readWrite' },
  parameters: {
    rows: 'u32',
    columns: 'u32',
    chunk: 'u32',
    chunks: 'u32',
    offset: 'u32',
    scaleOffset: 'u32',
    ...gridStart,
  },
  constants: { ...elements, OutElement: 'alias OutElement = f32;' },
  hooks: { emit },
});

/** Grid: (columns / 32, rows / chunk, 1). */
export const weightNormBackward = ownKernel({
  name: 'weight_norm_backward',
  source: backwardSource,
  bindings: { v: 'read', g: 'read', grad: 'read', sums: 'read', out: 'readWrite', scaleGrad: 'readWrite' },
  parameters: {
    rows: 'u32',
    columns: 'u32',
    chunk: 'u32',
    chunks: 'u32',
    offset: 'u32',
    scaleOffset: 'u32',
    gradOffset: 'u32',
    ...gridStart,
  },
  constants: { ...elements, GradElement: 'alias GradElement = f32;', OutElement: 'alias OutElement = f32;' },
  hooks: { emit },
});

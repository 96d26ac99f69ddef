import { emit, ownKernel } from '../contract.ts';
import {
  convNormGeluBackward as backwardSource,
  convNormSteps,
  convNormGelu as forwardSource,
} from '../generated/wgsl.ts';
import { rowConstants, rowSum } from '../lib/index.ts';

const parameters = {
  rows: 'u32',
  blocks: 'u32',
  channels: 'u32',
  length: 'u32',
  steps: 'u32',
  xOffset: 'u32',
  weightOffset: 'u32',
  scaleOffset: 'u32',
  shiftOffset: 'u32',
} as const;

const constants = {
  ...rowConstants,
  KERNEL: 'const KERNEL = 10u;',
  STRIDE: 'const STRIDE = 5u;',
  STAGED: 'const STAGED = false;',
  XElement: 'alias XElement = f32;',
  WeightElement: 'alias WeightElement = f32;',
  AffineElement: 'alias AffineElement = f32;',
};

/** The longest kernel whose taps, of four channels, a thread keeps in registers. */
export const LONGEST_KEPT_KERNEL = 16;

/** A convolution of one channel, its channels normalised over time, and GELU; by `elementwiseFunctions`. Grid: rows / ROWS. */
export const convNormGelu = ownKernel({
  name: 'conv_norm_gelu',
  source: `${convNormSteps}\n${forwardSource}`,
  bindings: { x: 'read', weight: 'read', scale: 'read', shift: 'read', out: 'readWrite', statistics: 'readWrite' },
  parameters: { ...parameters, eps: 'f32' },
  constants: { ...constants, OutElement: 'alias OutElement = f32;' },
  hooks: { emit },
  rows: rowSum('vec4<f32>'),
});

/** Gradients of weight, scale and shift of each clip; by `elementwiseFunctions`. Grid: rows / ROWS. */
export const convNormGeluBackward = ownKernel({
  name: 'conv_norm_gelu_backward',
  source: `${convNormSteps}\n${backwardSource}`,
  bindings: {
    x: 'read',
    weight: 'read',
    scale: 'read',
    shift: 'read',
    statistics: 'read',
    grad: 'read',
    out: 'readWrite',
    affine: 'readWrite',
  },
  parameters: { ...parameters, statisticsOffset: 'u32', gradOffset: 'u32' },
  constants: { ...constants, GradElement: 'alias GradElement = f32;' },
  rows: rowSum('vec4<f32>'),
});

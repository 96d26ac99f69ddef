import { emit, gridStart, ownKernel, prepare, windowFields } from '../contract.ts';
import {
  conv2d as conv2dSource,
  registerSums,
  conv2dTranspose as transposeSource,
  conv2dWeightGradient as weightGradientSource,
} from '../generated/wgsl.ts';

const sizes = {
  ...windowFields,
  groups: 'u32',
} as const;

/** Grid: (outHeight * ceil(outWidth / 8) / 16, groups * ceil(outChannels / groups / 4) / 4, batch). */
export const conv2d = ownKernel({
  name: 'conv2d',
  source: `${registerSums}\n${conv2dSource}`,
  bindings: { x: 'read', weight: 'read', out: 'readWrite' },
  parameters: {
    inChannels: 'u32',
    inHeight: 'u32',
    inWidth: 'u32',
    outChannels: 'u32',
    outHeight: 'u32',
    outWidth: 'u32',
    ...sizes,
    xOffset: 'u32',
    weightOffset: 'u32',
    ...gridStart,
  },
  constants: {
    PADDED: 'const PADDED = true;',
    XElement: 'alias XElement = f32;',
    WeightElement: 'alias WeightElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit, prepare },
});

/** Grid: (height * strideX * ceil(width / strideX / 8) / 16, groups * ceil(channels / groups / 4) / 4, batch). */
export const conv2dTranspose = ownKernel({
  name: 'conv2d_transpose',
  source: `${registerSums}\n${transposeSource}`,
  bindings: { y: 'read', weight: 'read', out: 'readWrite' },
  parameters: {
    channels: 'u32',
    height: 'u32',
    width: 'u32',
    yChannels: 'u32',
    yHeight: 'u32',
    yWidth: 'u32',
    ...sizes,
    yOffset: 'u32',
    weightOffset: 'u32',
    ...gridStart,
  },
  constants: {
    YElement: 'alias YElement = f32;',
    WeightElement: 'alias WeightElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit },
});

/** Grid: (inChannels / groups * taps / 32, groups * ceil(outChannels / groups / 8) / 8, splits). */
export const conv2dWeightGradient = ownKernel({
  name: 'conv2d_weight_gradient',
  source: `${registerSums}\n${weightGradientSource}`,
  bindings: { x: 'read', grad: 'read', out: 'readWrite' },
  parameters: {
    batch: 'u32',
    inChannels: 'u32',
    inHeight: 'u32',
    inWidth: 'u32',
    outChannels: 'u32',
    outHeight: 'u32',
    outWidth: 'u32',
    ...sizes,
    chunk: 'u32',
    xOffset: 'u32',
    gradOffset: 'u32',
    ...gridStart,
  },
  constants: {
    XElement: 'alias XElement = f32;',
    GradElement: 'alias GradElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
});

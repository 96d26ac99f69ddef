import { emit, gridStart, ownKernel, prepare } from '../contract.ts';
import {
  conv1d as conv1dSource,
  registerSums,
  conv1dTranspose as transposeSource,
  conv1dWeightGradient as weightGradientSource,
} from '../generated/wgsl.ts';

export * from './conv_channels_last.ts';
export * from './conv_norm_gelu.ts';
export * from './conv_product.ts';
export * from './conv_spectrum_product.ts';
export * from './conv_window.ts';
export * from './conv2d.ts';

/** Grid: (outLength / 128, groups * ceil(outChannels / groups / 4) / 4, batch). */
export const conv1d = ownKernel({
  name: 'conv1d',
  source: `${registerSums}\n${conv1dSource}`,
  bindings: { x: 'read', weight: 'read', out: 'readWrite' },
  parameters: {
    inChannels: 'u32',
    inLength: 'u32',
    outChannels: 'u32',
    outLength: 'u32',
    kernel: 'u32',
    stride: 'u32',
    padding: 'u32',
    dilation: 'u32',
    groups: 'u32',
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

/** Grid: (stride * ceil(length / stride / 8) / 16, groups * ceil(channels / groups / 4) / 4, batch). */
export const conv1dTranspose = ownKernel({
  name: 'conv1d_transpose',
  source: `${registerSums}\n${transposeSource}`,
  bindings: { y: 'read', weight: 'read', out: 'readWrite' },
  parameters: {
    channels: 'u32',
    length: 'u32',
    yChannels: 'u32',
    yLength: 'u32',
    kernel: 'u32',
    stride: 'u32',
    padding: 'u32',
    dilation: 'u32',
    groups: 'u32',
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

/** Grid: (inChannels / groups * kernel / 32, groups * ceil(outChannels / groups / 8) / 8, splits). */
export const conv1dWeightGradient = ownKernel({
  name: 'conv1d_weight_gradient',
  source: `${registerSums}\n${weightGradientSource}`,
  bindings: { x: 'read', grad: 'read', out: 'readWrite' },
  parameters: {
    batch: 'u32',
    inChannels: 'u32',
    inLength: 'u32',
    outChannels: 'u32',
    outLength: 'u32',
    kernel: 'u32',
    stride: 'u32',
    padding: 'u32',
    dilation: 'u32',
    groups: 'u32',
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

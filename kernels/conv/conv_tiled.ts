import { defineKernel, emit, gridStart, prepare } from '../contract.ts';
import { convTiled as tiledSource, convTiledWeightGradient as weightGradientSource } from '../generated/wgsl.ts';

const sizes = {
  batch: 'u32',
  inPerGroup: 'u32',
  inHeight: 'u32',
  inWidth: 'u32',
  outPerGroup: 'u32',
  outHeight: 'u32',
  outWidth: 'u32',
  kernelHeight: 'u32',
  kernelWidth: 'u32',
  strideY: 'u32',
  strideX: 'u32',
  paddingY: 'u32',
  paddingX: 'u32',
  dilationY: 'u32',
  dilationX: 'u32',
} as const;

const tiled = {
  source: tiledSource,
  bindings: { x: 'read', weight: 'read', out: 'readWrite' },
  parameters: {
    ...sizes,
    tapStepY: 'u32',
    tapStepX: 'u32',
    groups: 'u32',
    xOffset: 'u32',
    weightOffset: 'u32',
    ...gridStart,
  },
  hooks: { emit, prepare },
} as const;

const elements = {
  XElement: 'alias XElement = f32;',
  WeightElement: 'alias WeightElement = f32;',
  OutElement: 'alias OutElement = f32;',
};

/** A convolution over one axis or two. Grid: (batch * outHeight * outWidth / 64, outPerGroup / 64, groups). */
export const convTiled = defineKernel({
  name: 'conv_tiled',
  ...tiled,
  constants: { TRANSPOSED: 'const TRANSPOSED = false;', ...elements },
});

/**
 * Its transpose. Grid: (batch * ceil(outHeight / strideY) * ceil(outWidth / strideX) / 64, outPerGroup / 64, groups *
 * strideY * strideX).
 */
export const convTiledTranspose = defineKernel({
  name: 'conv_tiled_transpose',
  ...tiled,
  constants: { TRANSPOSED: 'const TRANSPOSED = true;', ...elements },
});

/** Grid: (inPerGroup * kernelHeight * kernelWidth / 64, outPerGroup / 64, splits * groups). */
export const convTiledWeightGradient = defineKernel({
  name: 'conv_tiled_weight_gradient',
  source: weightGradientSource,
  bindings: { x: 'read', grad: 'read', out: 'readWrite' },
  parameters: { ...sizes, groups: 'u32', chunk: 'u32', xOffset: 'u32', gradOffset: 'u32', ...gridStart },
  constants: {
    XElement: 'alias XElement = f32;',
    GradElement: 'alias GradElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
});

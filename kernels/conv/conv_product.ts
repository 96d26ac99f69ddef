import { defineKernel, emit, gridStart, prepare } from '../contract.ts';
import {
  convGather,
  convGatherWeightGradient,
  convMatrix as matrixSource,
  convMatrixWeightGradient as matrixWeightGradientSource,
  convThinWeightGradient as thinSource,
  convTiled as tiledSource,
  convTiledWeightGradient as tiledWeightGradientSource,
} from '../generated/wgsl.ts';

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

const product = {
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
  source: `${tiledSource}${convGather}`,
  ...product,
  constants: { TRANSPOSED: 'const TRANSPOSED = false;', ...elements },
});

/**
 * Its transpose. Grid: (batch * ceil(outHeight / strideY) * ceil(outWidth / strideX) / 64, outPerGroup / 64, groups *
 * strideY * strideX).
 */
export const convTiledTranspose = defineKernel({
  name: 'conv_tiled_transpose',
  source: `${tiledSource}${convGather}`,
  ...product,
  constants: { TRANSPOSED: 'const TRANSPOSED = true;', ...elements },
});

const weightGradient = {
  bindings: { x: 'read', grad: 'read', out: 'readWrite' },
  parameters: { ...sizes, groups: 'u32', chunk: 'u32', xOffset: 'u32', gradOffset: 'u32', ...gridStart },
} as const;

const gradientElements = {
  XElement: 'alias XElement = f32;',
  GradElement: 'alias GradElement = f32;',
  OutElement: 'alias OutElement = f32;',
};

/** Grid: (inPerGroup * kernelHeight * kernelWidth / 64, outPerGroup / 64, splits * groups). */
export const convTiledWeightGradient = defineKernel({
  name: 'conv_tiled_weight_gradient',
  source: `${tiledWeightGradientSource}${convGatherWeightGradient}`,
  ...weightGradient,
  constants: gradientElements,
});

/** For inPerGroup * kernelHeight * kernelWidth of 16 at most. Grid: (1, outPerGroup / 64, splits * groups). */
export const convThinWeightGradient = defineKernel({
  name: 'conv_thin_weight_gradient',
  source: `${thinSource}${convGatherWeightGradient}`,
  ...weightGradient,
  constants: gradientElements,
});

const directives = [
  'enable f16;',
  'enable subgroups;',
  'enable chromium_experimental_subgroup_matrix;',
  // Which subgroup a thread is of follows from its number, which the compiler cannot know.
  'diagnostic(off, chromium.subgroup_matrix_uniformity);',
];

const units = {
  UNIT: 'const UNIT_M = 16u; const UNIT_N = 16u; const UNIT_K = 16u;',
  SUBGROUP: 'const SUBGROUP = 32u;',
};

/** By matrix units, by four subgroups, which must all be of one size. Grids as those of convTiled. */
export const convMatrix = defineKernel({
  name: 'conv_matrix',
  source: `${matrixSource}${convGather}`,
  directives,
  ...product,
  constants: { TRANSPOSED: 'const TRANSPOSED = false;', ...units, ...elements },
});

/** The same for the transposed convolution, and for the gradient of what a convolution takes. */
export const convMatrixTranspose = defineKernel({
  name: 'conv_matrix_transpose',
  source: `${matrixSource}${convGather}`,
  directives,
  ...product,
  constants: { TRANSPOSED: 'const TRANSPOSED = true;', ...units, ...elements },
});

/** The gradient of a convolution's weight, by matrix units. */
export const convMatrixWeightGradient = defineKernel({
  name: 'conv_matrix_weight_gradient',
  source: `${matrixWeightGradientSource}${convGatherWeightGradient}`,
  directives,
  ...weightGradient,
  constants: { ...units, ...gradientElements },
});

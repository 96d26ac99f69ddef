import { emit, gridStart, ownKernel, prepare, windowFields } from '../contract.ts';
import {
  convBroadcast as broadcastSource,
  convBroadcastWeightGradient as broadcastWeightGradientSource,
  convParams,
  matrixProduct,
  convProduct as productSource,
  convThinWeightGradient as thinSource,
  tileProduct,
  convProductWeightGradient as weightGradientSource,
} from '../generated/wgsl.ts';
import { broadcastProduct } from '../lib/index.ts';
import {
  broadcastConstants,
  fourByElements,
  fragmentLoader,
  matrixDirectives,
  matrixTileConstants,
  tileConstants,
  usualHanding,
} from '../matmul/index.ts';

const planes = {
  inHeight: 'u32',
  inWidth: 'u32',
  outPerGroup: 'u32',
  outHeight: 'u32',
  outWidth: 'u32',
} as const;

const sizes = {
  ...planes,
  paddingY: 'u32',
  paddingX: 'u32',
  dilationY: 'u32',
  dilationX: 'u32',
} as const;

const product = {
  bindings: { a: 'read', b: 'read', out: 'readWrite' },
  parameters: {
    ...sizes,
    tapStepY: 'u32',
    tapStepX: 'u32',
    groups: 'u32',
    phases: 'u32',
    xOffset: 'u32',
    weightOffset: 'u32',
    ...gridStart,
  },
  hooks: { emit, prepare },
} as const;

const weightGradient = {
  bindings: { a: 'read', b: 'read', out: 'readWrite' },
  parameters: {
    batch: 'u32',
    inPerGroup: 'u32',
    ...sizes,
    groups: 'u32',
    clips: 'u32',
    chunk: 'u32',
    xOffset: 'u32',
    gradOffset: 'u32',
    ...gridStart,
  },
} as const;

/** What a convolution is divided by, as constants. */
export const windowConstants = (kernel: readonly number[], stride: readonly number[]) => ({
  WINDOW:
    `const KERNEL_HEIGHT = ${kernel[0]}u; const KERNEL_WIDTH = ${kernel[1]}u; ` +
    `const STRIDE_Y = ${stride[0]}u; const STRIDE_X = ${stride[1]}u;`,
});

const channels = { CHANNELS: 'const IN_PER_GROUP = 1u;' };

const operands = {
  ...windowConstants([1, 3], [1, 1]),
  FLAT: 'const FLAT = true;',
  AElement: 'alias AElement = f32;',
  BElement: 'alias BElement = f32;',
  fourOfA: fourByElements('A'),
  OutElement: 'alias OutElement = f32;',
};

const tiles = { TILE: tileConstants({ m: 64, n: 64, rows: 8, columns: 8, step: 16 }) };

const units = {
  UNIT: 'const UNIT_M = 16u; const UNIT_N = 16u; const UNIT_K = 16u;',
  SUBGROUP: 'const SUBGROUP = 32u;',
  TILE: matrixTileConstants({ m: 64, n: 64, partM: 32, partN: 32, step: 32 }),
  PARTS: 'const PARTS = 1u;',
};

/** Which way neighbours of the weight and of the input lie: along q, or along channels and places. */
const alongK = (a: boolean, b: boolean) => ({
  A_ALONG_K: `const A_ALONG_K = ${a};`,
  B_ALONG_K: `const B_ALONG_K = ${b};`,
});

const loaders = (a: boolean, b: boolean) => ({
  loadLeft: fragmentLoader('Left', a),
  loadRight: fragmentLoader('Right', !b),
});

const transposed = (value: boolean) => ({ TRANSPOSED: `const TRANSPOSED = ${value};` });

const convolution = `${convParams}\n${productSource}`;

const byTiles = (source: string) => `${tileProduct}
${source}
fn fetchA(row: Row, k: u32, end: u32) -> vec4<f32> { return fourA(row, k, 0u, end); }
fn fetchB(column: Column, k: u32, end: u32) -> vec4<f32> { return fourB(column, k, 0u, end); }
`;

const byUnits = (source: string) => `${matrixProduct}
${source}
fn fetchA(row: Row, k: u32, end: u32) -> Eight { return eightOf(fourA(row, k, 0u, end), fourA(row, k, 4u, end)); }
fn fetchB(column: Column, k: u32, end: u32) -> Eight { return eightOf(fourB(column, k, 0u, end), fourB(column, k, 4u, end)); }
`;

/** A convolution over one axis or two. Grid: (places of a clip / TILE_N, outPerGroup / TILE_M, groups * batch). */
export const convTiled = ownKernel({
  name: 'conv_tiled',
  source: byTiles(convolution),
  ...product,
  constants: { ...transposed(false), ...channels, ...operands, ...tiles, ...alongK(true, false) },
});

/**
 * Its transpose. Grid: (ceil(outHeight / strideY) * ceil(outWidth / strideX) / TILE_N, outPerGroup / TILE_M, groups *
 * strideY * strideX * batch).
 */
export const convTiledTranspose = ownKernel({
  name: 'conv_tiled_transpose',
  source: byTiles(convolution),
  ...product,
  constants: { ...transposed(true), ...channels, ...operands, ...tiles, ...alongK(false, false) },
});

/** Grid: (inPerGroup * kernelHeight * kernelWidth / TILE_N, outPerGroup / TILE_M, splits * groups). */
export const convTiledWeightGradient = ownKernel({
  name: 'conv_tiled_weight_gradient',
  source: byTiles(weightGradientSource),
  ...weightGradient,
  constants: { ...operands, ...tiles, ...alongK(true, true) },
});

/** For inPerGroup * kernelHeight * kernelWidth of 16 at most. Grid: (1, outPerGroup / 64, splits * groups). */
export const convThinWeightGradient = ownKernel({
  name: 'conv_thin_weight_gradient',
  source: thinSource,
  bindings: { x: 'read', grad: 'read', out: 'readWrite' },
  parameters: {
    batch: 'u32',
    inPerGroup: 'u32',
    ...planes,
    ...windowFields,
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

const byBroadcast = {
  ...broadcastConstants(usualHanding),
  ...windowConstants([1, 3], [1, 1]),
  AElement: 'alias AElement = f32;',
  BElement: 'alias BElement = f32;',
  OutElement: 'alias OutElement = f32;',
};

/**
 * A convolution by subgroups by themselves, on the CPU. Grid: (places of a clip / (8 SUBGROUP), outPerGroup / COLUMNS,
 * groups * batch).
 */
export const convBroadcast = ownKernel({
  name: 'conv_broadcast',
  source: [broadcastProduct, convParams, broadcastSource].join('\n'),
  directives: ['enable subgroups;'],
  ...product,
  constants: {
    ...transposed(false),
    ...channels,
    ...byBroadcast,
    FLAT: 'const FLAT = true;',
    PADDED: 'const PADDED = true;',
  },
});

/** Its transpose. Grid: as that of convTiledTranspose, by tiles of convBroadcast. */
export const convBroadcastTranspose = ownKernel({
  ...convBroadcast,
  name: 'conv_broadcast_transpose',
  constants: { ...convBroadcast.constants, ...transposed(true) },
});

/** Grid: (inPerGroup * kernelHeight * kernelWidth / (8 SUBGROUP), outPerGroup / COLUMNS, splits * groups). */
export const convBroadcastWeightGradient = ownKernel({
  name: 'conv_broadcast_weight_gradient',
  source: [broadcastProduct, broadcastWeightGradientSource].join('\n'),
  directives: ['enable subgroups;'],
  bindings: { a: 'read', b: 'read', out: 'readWrite' },
  parameters: {
    batch: 'u32',
    inPerGroup: 'u32',
    ...planes,
    dilationY: 'u32',
    dilationX: 'u32',
    groups: 'u32',
    rows: 'u32',
    chunk: 'u32',
    xOffset: 'u32',
    gradOffset: 'u32',
    ...gridStart,
  },
  constants: byBroadcast,
});

/** By matrix units, by subgroups that must all be of one size. Grids as those of convTiled. */
export const convMatrix = ownKernel({
  name: 'conv_matrix',
  source: byUnits(convolution),
  directives: matrixDirectives,
  ...product,
  constants: {
    ...transposed(false),
    ...channels,
    ...operands,
    ...units,
    ...alongK(true, false),
    ...loaders(true, false),
  },
});

/** The same for the transposed convolution, and for the gradient of what a convolution takes. */
export const convMatrixTranspose = ownKernel({
  name: 'conv_matrix_transpose',
  source: byUnits(convolution),
  directives: matrixDirectives,
  ...product,
  constants: {
    ...transposed(true),
    ...channels,
    ...operands,
    ...units,
    ...alongK(false, false),
    ...loaders(false, false),
  },
});

/** The gradient of a convolution's weight, by matrix units. */
export const convMatrixWeightGradient = ownKernel({
  name: 'conv_matrix_weight_gradient',
  source: byUnits(weightGradientSource),
  directives: matrixDirectives,
  ...weightGradient,
  constants: { ...operands, ...units, ...alongK(true, true), ...loaders(true, true) },
});

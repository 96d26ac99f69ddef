import { conv as kernels, matmul as products } from '@dawnchorus/kernels';
import type { MatrixUnit } from '../device/adapters.ts';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import type { Geometry } from './conv-geometry.ts';
import { SHORTEST_CHUNK } from './conv-parts.ts';
import {
  matrixFits,
  tileFits,
  tiles64,
  tiles64x128,
  unitConstants,
  units64,
  units128,
  units128x64,
} from './matmul-tiles.ts';
import { windowParameters } from './window.ts';

/** Workgroups that keep the largest GPUs busy. */
const WORKGROUPS_WANTED = 528;

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** How a convolution is cut into tiles, by threads or by matrix units. */
export type ConvTiling =
  | { readonly units: false; readonly tiling: products.Tiling }
  | { readonly units: true; readonly tiling: products.MatrixTiling };

export const byThreads64: ConvTiling = { units: false, tiling: tiles64 };
export const byThreads64x128: ConvTiling = { units: false, tiling: tiles64x128 };
export const byUnits64: ConvTiling = { units: true, tiling: units64 };
export const byUnits128x64: ConvTiling = { units: true, tiling: units128x64 };
export const byUnits128: ConvTiling = { units: true, tiling: units128 };

/** Whether the adapter can make these tiles of these operands. */
export function fits(device: Device, operands: readonly Tensor[], tiling: ConvTiling): boolean {
  if (!tiling.units) return tileFits(device, tiling.tiling);
  return operands.every(({ dtype }) => dtype === 'f16') && matrixFits(device, tiling.tiling, 1) !== undefined;
}

/** SwiftShader's compiler never comes back from the tiles of weight gradients, a product in a loop. */
export const hangs = ({ adapter }: Device): boolean => adapter.name.toLowerCase().includes('swiftshader');

function tileConstants(device: Device, { units, tiling }: ConvTiling) {
  if (!units) return { TILE: products.tileConstants(tiling) };
  return {
    ...unitConstants(device, matrixFits(device, tiling, 1) as MatrixUnit),
    TILE: products.matrixTileConstants(tiling),
    PARTS: 'const PARTS = 1u;',
  };
}

/** The first operand's neighbours, along q or a distance apart, are read by fours: as vectors where they lie together. */
function firstOperand(a: Tensor, extents: readonly number[], together: boolean) {
  const element = wgslType[a.dtype];
  const vector =
    together && [a.offset, ...extents].every((value) => value % 4 === 0) && a.storage.buffer.size % 16 === 0;
  return {
    AElement: `alias AElement = ${vector ? `vec4<${element}>` : element};`,
    fourOfA: vector ? products.fourByVector('A') : products.fourByElements('A'),
  };
}

/** Where windows lie, beside what the kernels have as constants. */
const windows = ({ padding, dilation }: Geometry) => ({
  paddingY: padding[0],
  paddingX: padding[1],
  dilationY: dilation[0],
  dilationX: dilation[1],
});

/** What goes in and comes out of a convolution or of its transpose, whose outputs are made phase by phase of the stride. */
export function productSizes(g: Geometry, transposed: boolean) {
  const { inPerGroup, outPerGroup, inSize, outSize, stride } = g;
  if (!transposed) return { inPerGroup, outPerGroup, inSize, outSize, phases: 1, places: outSize[0] * outSize[1] };
  const places = Math.ceil(inSize[0] / stride[0]) * Math.ceil(inSize[1] / stride[1]);
  return {
    ...{ inPerGroup: outPerGroup, outPerGroup: inPerGroup, inSize: outSize, outSize: inSize },
    ...{ phases: stride[0] * stride[1], places },
  };
}

/** The parameters of kernels that make a convolution or its transpose of dense operands. */
export function placement(g: Geometry, transposed: boolean, source: Tensor, weight: Tensor) {
  const { inSize, outSize, outPerGroup, phases } = productSizes(g, transposed);
  return {
    inHeight: inSize[0],
    inWidth: inSize[1],
    outPerGroup,
    outHeight: outSize[0],
    outWidth: outSize[1],
    ...windows(g),
    tapStepY: g.stride[0] / gcd(g.stride[0], g.dilation[0]),
    tapStepX: g.stride[1] / gcd(g.stride[1], g.dilation[1]),
    groups: g.groups,
    phases,
    xOffset: source.offset,
    weightOffset: weight.offset,
  };
}

/**
 * A convolution, or by phases of its stride its transpose, as a product of matrices by tiles. Operands are dense.
 */
export function recordProduct(
  device: Device,
  [source, weight]: readonly Tensor[],
  out: Tensor,
  g: Geometry,
  transposed: boolean,
  tiling: ConvTiling,
): void {
  const { inPerGroup, outPerGroup, inSize, outSize, phases, places } = productSizes(g, transposed);
  const depth = inPerGroup * g.kernel[0] * g.kernel[1];
  const byUnits = transposed ? kernels.convMatrixTranspose : kernels.convMatrix;
  const byTiles = transposed ? kernels.convTiledTranspose : kernels.convTiled;
  const { constants } = tiling.units ? byUnits : byTiles;
  device.recorder.dispatch({
    kernel: tiling.units ? byUnits : byTiles,
    constants: {
      ...constants,
      ...tileConstants(device, tiling),
      ...firstOperand(weight, [depth], !transposed),
      ...kernels.windowConstants(g.kernel, g.stride),
      CHANNELS: `const IN_PER_GROUP = ${inPerGroup}u;`,
      FLAT: `const FLAT = ${inSize[0] === 1 && outSize[0] === 1 && g.kernel[0] === 1};`,
      BElement: `alias BElement = ${wgslType[source.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
    },
    buffers: [weight.storage.buffer, source.storage.buffer, out.storage.buffer],
    parameters: placement(g, transposed, source, weight),
    grid: [Math.ceil(places / tiling.tiling.n), Math.ceil(outPerGroup / tiling.tiling.m), g.groups * phases * g.batch],
  });
}

const THIN = 16;

/** Whether a weight has so few columns that most of a tile of them would be empty. */
export const isThin = ({ inPerGroup, kernel }: Geometry): boolean => inPerGroup * kernel[0] * kernel[1] <= THIN;

/** A part of what a weight gradient sums: so many rows of places, and of each so many places. */
export interface Share {
  readonly rows: number;
  readonly chunk: number;
  /** How many such parts there are. */
  readonly splits: number;
}

/**
 * How a weight gradient of `rows` rows of `width` places is split, that there are workgroups enough, of which `blocks` make one sum:
 * by rows, and where these are too few by places, too, a multiple of `step` of them.
 */
export function sharesOf(rows: number, width: number, blocks: number, wantedWorkgroups: number, step = 1): Share {
  const wanted = Math.max(
    1,
    Math.min(Math.ceil(wantedWorkgroups / blocks), Math.floor((rows * width) / SHORTEST_CHUNK)),
  );
  const together = Math.ceil(rows / Math.min(rows, wanted));
  const parts = Math.max(1, Math.min(Math.ceil(wanted / rows), Math.floor(width / SHORTEST_CHUNK)));
  const chunk = Math.ceil(Math.ceil(width / parts) / step) * step;
  return { rows: together, chunk, splits: Math.ceil(rows / together) * Math.ceil(width / chunk) };
}

/** The same for tiles, to which a clip is a row of places. */
export function tileShares(
  { batch, outSize, groups, outPerGroup, inPerGroup, kernel }: Geometry,
  { tiling }: ConvTiling,
): Share {
  const depth = inPerGroup * kernel[0] * kernel[1];
  const tiles = groups * Math.ceil(outPerGroup / tiling.m) * Math.ceil(depth / tiling.n);
  return sharesOf(batch, outSize[0] * outSize[1], tiles, WORKGROUPS_WANTED, 16);
}

/** The sums of a weight gradient's splits, [splits, ...weight]. Operands are dense. */
export function recordWeightGradient(
  device: Device,
  [x, grad]: readonly Tensor[],
  partial: Tensor,
  g: Geometry,
  { rows: clips, chunk, splits }: Share,
  tiling: ConvTiling,
): void {
  const { m, n } = tiling.tiling;
  const kernel = tiling.units ? kernels.convMatrixWeightGradient : kernels.convTiledWeightGradient;
  device.recorder.dispatch({
    kernel,
    constants: {
      ...kernel.constants,
      ...tileConstants(device, tiling),
      ...firstOperand(grad, [g.outSize[0] * g.outSize[1], chunk], true),
      ...kernels.windowConstants(g.kernel, g.stride),
      FLAT: `const FLAT = ${g.inSize[0] === 1 && g.outSize[0] === 1 && g.kernel[0] === 1};`,
      BElement: `alias BElement = ${wgslType[x.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[partial.dtype]};`,
    },
    buffers: [grad.storage.buffer, x.storage.buffer, partial.storage.buffer],
    parameters: { ...gradientParameters(g, x, grad), ...windows(g), clips, chunk },
    grid: [Math.ceil((g.inPerGroup * g.kernel[0] * g.kernel[1]) / n), Math.ceil(g.outPerGroup / m), splits * g.groups],
  });
}

/** The parameters of kernels that make a weight's gradient of dense operands. */
export const gradientParameters = (g: Geometry, x: Tensor, grad: Tensor) => ({
  batch: g.batch,
  inPerGroup: g.inPerGroup,
  inHeight: g.inSize[0],
  inWidth: g.inSize[1],
  outPerGroup: g.outPerGroup,
  outHeight: g.outSize[0],
  outWidth: g.outSize[1],
  groups: g.groups,
  xOffset: x.offset,
  gradOffset: grad.offset,
});

/** The part of a thin weight's gradient that each split sums, of `batch` times `outSize` places in one row. */
export function thinChunk(total: number, { groups, outPerGroup }: Geometry): number {
  const workgroups = groups * Math.ceil(outPerGroup / 64);
  return Math.max(SHORTEST_CHUNK, Math.ceil((total * workgroups) / (2 * WORKGROUPS_WANTED) / 16) * 16);
}

/** The same for a thin weight, where a split sums `chunk` of all places. */
export function recordThinWeightGradient(
  device: Device,
  [x, grad]: readonly Tensor[],
  partial: Tensor,
  g: Geometry,
  chunk: number,
  splits: number,
): void {
  device.recorder.dispatch({
    kernel: kernels.convThinWeightGradient,
    constants: {
      XElement: `alias XElement = ${wgslType[x.dtype]};`,
      GradElement: `alias GradElement = ${wgslType[grad.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[partial.dtype]};`,
    },
    buffers: [x.storage.buffer, grad.storage.buffer, partial.storage.buffer],
    parameters: { ...gradientParameters(g, x, grad), ...windowParameters(g.kernel, g), chunk },
    grid: [1, Math.ceil(g.outPerGroup / 64), splits * g.groups],
  });
}

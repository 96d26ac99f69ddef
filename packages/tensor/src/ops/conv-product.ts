import { conv as kernels } from '@dawnchorus/kernels';
import type { MatrixUnit } from '../device/adapters.ts';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import type { Geometry } from './conv-geometry.ts';
import { halfUnit } from './matmul-variants.ts';
import { windowParameters } from './window.ts';

const TILE = 64;
const THIN = 16;
/** Workgroups that keep the largest GPUs busy: eight for each of some 130 cores. */
const WORKGROUPS_WANTED = 1024;
/** Places that a split of a weight gradient sums at least: fewer cost more in the second pass than they save. */
const SHORTEST_CHUNK = 256;

const gcd = (a: number, b: number): number => (b === 0 ? a : gcd(b, a % b));

/** What matrix units a kernel counts on. */
const unitConstants = (device: Device, { M, N, K }: MatrixUnit) => ({
  UNIT: `const UNIT_M = ${M}u; const UNIT_N = ${N}u; const UNIT_K = ${K}u;`,
  SUBGROUP: `const SUBGROUP = ${device.adapter.subgroupSizes?.[0]}u;`,
});

/** The unit that products of these operands may use, where there is one. */
export function unitFor(device: Device, operands: readonly Tensor[]): MatrixUnit | undefined {
  if (operands.some(({ dtype }) => dtype !== 'f16')) return undefined;
  const unit = halfUnit(device, TILE / 2);
  const subgroup = device.adapter.subgroupSizes?.[0] ?? 0;
  if (!unit || subgroup % 8 !== 0) return undefined;
  const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = device.limits;
  const bytes = 2 * 2 * TILE * (TILE / 2 + 8) + TILE * 16 + 4 * 4 * unit.M * unit.N;
  return bytes <= maxComputeWorkgroupStorageSize && 4 * subgroup <= maxComputeInvocationsPerWorkgroup
    ? unit
    : undefined;
}

/**
 * A convolution, or by phases of its stride its transpose, as a product of matrices by tiles; by matrix units where one is
 * given. Operands are dense.
 */
export function recordProduct(
  device: Device,
  [source, weight]: readonly Tensor[],
  out: Tensor,
  g: Geometry,
  transposed: boolean,
  unit?: MatrixUnit,
): void {
  const { batch, groups, stride, dilation } = g;
  const [inPerGroup, outPerGroup] = transposed ? [g.outPerGroup, g.inPerGroup] : [g.inPerGroup, g.outPerGroup];
  const [inSize, outSize] = transposed ? [g.outSize, g.inSize] : [g.inSize, g.outSize];
  const phases = transposed ? stride[0] * stride[1] : 1;
  const outputs = transposed ? Math.ceil(outSize[0] / stride[0]) * Math.ceil(outSize[1] / stride[1]) : out.size;
  const places = transposed ? batch * outputs : out.size / (groups * outPerGroup);
  device.recorder.dispatch({
    kernel: unit
      ? transposed
        ? kernels.convMatrixTranspose
        : kernels.convMatrix
      : transposed
        ? kernels.convTiledTranspose
        : kernels.convTiled,
    constants: {
      ...(unit && unitConstants(device, unit)),
      TRANSPOSED: `const TRANSPOSED = ${transposed};`,
      XElement: `alias XElement = ${wgslType[source.dtype]};`,
      WeightElement: `alias WeightElement = ${wgslType[weight.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
    },
    buffers: [source.storage.buffer, weight.storage.buffer, out.storage.buffer],
    parameters: {
      batch,
      inPerGroup,
      inHeight: inSize[0],
      inWidth: inSize[1],
      outPerGroup,
      outHeight: outSize[0],
      outWidth: outSize[1],
      ...windowParameters(g.kernel, g),
      tapStepY: stride[0] / gcd(stride[0], dilation[0]),
      tapStepX: stride[1] / gcd(stride[1], dilation[1]),
      groups,
      xOffset: source.offset,
      weightOffset: weight.offset,
    },
    grid: [Math.ceil(places / TILE), Math.ceil(outPerGroup / TILE), groups * phases],
  });
}

/** Whether a weight has so few columns that most of a tile of them would be empty. */
export const isThin = ({ inPerGroup, kernel }: Geometry): boolean => inPerGroup * kernel[0] * kernel[1] <= THIN;

/** How many places of `total` each split sums, where one alone takes so many workgroups. */
export function productChunk(total: number, workgroups: number): number {
  return Math.max(SHORTEST_CHUNK, Math.ceil((total * workgroups) / WORKGROUPS_WANTED / 16) * 16);
}

/** Workgroups of one split of a weight gradient. */
export const weightTiles = ({ groups, outPerGroup, inPerGroup, kernel }: Geometry): number =>
  groups * Math.ceil(outPerGroup / TILE) * Math.ceil((inPerGroup * kernel[0] * kernel[1]) / TILE);

/** The sums of a weight gradient's splits, [splits, ...weight]. Operands are dense. */
export function recordWeightGradient(
  device: Device,
  [x, grad]: readonly Tensor[],
  partial: Tensor,
  g: Geometry,
  chunk: number,
  splits: number,
  unit?: MatrixUnit,
): void {
  device.recorder.dispatch({
    kernel: unit
      ? kernels.convMatrixWeightGradient
      : isThin(g)
        ? kernels.convThinWeightGradient
        : kernels.convTiledWeightGradient,
    constants: {
      ...(unit && unitConstants(device, unit)),
      XElement: `alias XElement = ${wgslType[x.dtype]};`,
      GradElement: `alias GradElement = ${wgslType[grad.dtype]};`,
      OutElement: `alias OutElement = ${wgslType[partial.dtype]};`,
    },
    buffers: [x.storage.buffer, grad.storage.buffer, partial.storage.buffer],
    parameters: {
      batch: g.batch,
      inPerGroup: g.inPerGroup,
      inHeight: g.inSize[0],
      inWidth: g.inSize[1],
      outPerGroup: g.outPerGroup,
      outHeight: g.outSize[0],
      outWidth: g.outSize[1],
      ...windowParameters(g.kernel, g),
      groups: g.groups,
      chunk,
      xOffset: x.offset,
      gradOffset: grad.offset,
    },
    grid: [
      Math.ceil((g.inPerGroup * g.kernel[0] * g.kernel[1]) / TILE),
      Math.ceil(g.outPerGroup / TILE),
      splits * g.groups,
    ],
  });
}

import { matmul as kernels } from '@dawnchorus/kernels';
import type { MatrixUnit } from '../device/adapters.ts';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import { type Family, runVariants, type Variant } from '../kernel/variants.ts';
import type { Tensor } from '../tensor.ts';
import { createChunked, isLong } from './matmul-chunked.ts';
import { layoutOf, type None, operandConstants, tiledConstants, withProduct } from './matmul-operands.ts';
import { CORES, split64, split64x128, tilesOf } from './matmul-split.ts';
import {
  type BroadcastVariant,
  broadcastFor,
  broadcastLayout,
  canBroadcast,
  matrixFits,
  tileFits,
  tiles64,
  tiles64x128,
  unitConstants,
  units64,
  units128,
  units128x64,
} from './matmul-tiles.ts';

const register: Variant<None> = {
  name: 'register',
  run(device, inputs, [out]) {
    withProduct(device, inputs, out, ({ a, b, count, parameters }) => {
      device.recorder.dispatch({
        kernel: kernels.matmulRegister,
        constants: {
          AElement: `alias AElement = ${wgslType[a.dtype]};`,
          BElement: `alias BElement = ${wgslType[b.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
        },
        buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
        parameters,
        grid: [Math.ceil(parameters.n / 64), Math.ceil(parameters.m / 64), count],
      });
    });
  },
};

/** Subgroups by themselves, 8 x 16, 32 or 64 outputs a thread. */
const byBroadcast = (name: BroadcastVariant): Variant<None> => ({
  name,
  legal: (device) => canBroadcast(device, name),
  run(device, inputs, [out]) {
    const layout = broadcastLayout(device, name, out.shape[out.rank - 1]);
    withProduct(device, inputs, out, ({ a, b, count, parameters }) => {
      device.recorder.dispatch({
        kernel: kernels.matmulBroadcast,
        constants: {
          ...kernels.broadcastConstants(layout, { length: parameters.k }),
          AElement: `alias AElement = ${wgslType[a.dtype]};`,
          BElement: `alias BElement = ${wgslType[b.dtype]};`,
          OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
        },
        buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
        parameters,
        grid: [Math.ceil(parameters.n / layout.columns), Math.ceil(parameters.m / (8 * layout.subgroup)), count],
      });
    });
  },
});

const broadcast = byBroadcast('broadcast');
const broadcast16 = byBroadcast('broadcast16');

/** Tiles through workgroup memory. */
function tiled(name: string, tiling: kernels.Tiling): Variant<None> {
  const { m, n } = tiling;
  return {
    name,
    legal: (device) => tileFits(device, tiling),
    run(device, inputs, [out]) {
      withProduct(device, inputs, out, (product) => {
        const { a, b, count, parameters } = product;
        device.recorder.dispatch({
          kernel: kernels.matmulTiled,
          constants: tiledConstants(product, tiling, wgslType[out.dtype]),
          buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
          parameters: { ...parameters, chunk: parameters.k, batches: count },
          grid: [Math.ceil(parameters.n / n), Math.ceil(parameters.m / m), count],
        });
      });
    },
  };
}

const tiled64 = tiled('tiled64', tiles64);
const tiled64x128 = tiled('tiled64x128', tiles64x128);

/** Tiles by matrix units. `parts`: halves that an f32 operand is split into. */
function matrix(name: string, tiling: kernels.MatrixTiling, parts: 1 | 2): Variant<None> {
  const { m, n } = tiling;
  return {
    name,
    onlyPinned: parts === 2,
    legal(device, [a, b]) {
      const halves = a.dtype === 'f16' && b.dtype === 'f16';
      return (parts === 2 || halves) && matrixFits(device, tiling, parts) !== undefined;
    },
    run(device, inputs, [out]) {
      withProduct(device, inputs, out, (product) => {
        const { a, b, count, parameters } = product;
        device.recorder.dispatch({
          kernel: kernels.matmulMatrix,
          constants: {
            ...operandConstants(product, 8),
            ...unitConstants(device, matrixFits(device, tiling, parts) as MatrixUnit),
            TILE: kernels.matrixTileConstants(tiling),
            loadLeft: kernels.fragmentLoader('Left', layoutOf(product, 'A', 8).alongK),
            loadRight: kernels.fragmentLoader('Right', !layoutOf(product, 'B', 8).alongK),
            PARTS: `const PARTS = ${parts}u;`,
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
          },
          buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
          parameters: { ...parameters, chunk: parameters.k, batches: count },
          grid: [Math.ceil(parameters.n / n), Math.ceil(parameters.m / m), count],
        });
      });
    },
  };
}

const matrix64 = matrix('matrix64', units64, 1);
const matrix128x64 = matrix('matrix128x64', units128x64, 1);
const matrix128 = matrix('matrix128', units128, 1);
const matrixSplit = matrix('matrixSplit', { m: 64, n: 64, partM: 32, partN: 32, step: 16 }, 2);

/** Workgroups of the largest tiles of matrix units from which they beat smaller ones. */
const LARGEST_TILES_WANTED = 768;
/** The part of a block's sums that must be of use for `broadcast` to beat `register`. */
const SHARE_OF_USE = 0.4;

/** How columns are handed round, where subgroups have enough rows and columns to share. */
function handsOf(device: Device, a: Tensor, out: Tensor): BroadcastVariant | undefined {
  const variant = broadcastFor(device, out.size * a.shape[a.rank - 1]);
  if (variant === undefined) return undefined;
  const [m, n] = out.shape.slice(-2);
  const { subgroup, columns } = broadcastLayout(device, variant, n);
  const rows = 8 * subgroup;
  const made = Math.ceil(m / rows) * rows * Math.ceil(n / columns) * columns;
  return m * n >= SHARE_OF_USE * made ? variant : undefined;
}

/** Any product, as a part of another. */
const multiply = (device: Device, operands: readonly Tensor[], out: Tensor): void =>
  runVariants(matmulFamily).run(device, operands, [out], {});

const chunked = createChunked(multiply);

/** Sums of which each is made by one accumulator: where they are too long for that it is no way. */
const unlessLong = (variant: Variant<None>): Variant<None> => ({
  ...variant,
  legal: (device, inputs, outputs, attributes) =>
    !isLong(device, inputs[0], outputs[0]) && (variant.legal?.(device, inputs, outputs, attributes) ?? true),
});

const whole = [register, broadcast16, broadcast, tiled64, tiled64x128];
const byUnits = [matrix64, matrix128x64, matrix128, matrixSplit];

/** The ways to multiply. */
export const matmulFamily: Family<None> = {
  name: 'matmul',
  variants: [...whole.map(unlessLong), split64, split64x128, chunked, ...byUnits.map(unlessLong)],
  prefer(device, [a, b], [out]) {
    const { software } = device.adapter;
    const can = (variant: Variant<None>) => variant.legal?.(device, [a, b], [out], {}) ?? true;
    const splits = () => !software && tilesOf(out, tiles64) < 2 * CORES && can(split64);
    if (isLong(device, a, out)) return splits() ? 'split' : 'chunked';
    // On CPU drivers barriers are costly, and caches do what workgroup memory does.
    if (software) return handsOf(device, a, out) ?? 'register';
    // Small tiles until large ones are many: measured on an H200, which has 132 cores.
    if (can(matrix128) && tilesOf(out, units128) >= LARGEST_TILES_WANTED) return 'matrix128';
    if (can(matrix128x64) && tilesOf(out, units128x64) >= CORES) return 'matrix128x64';
    if (can(matrix64) && tilesOf(out, tiles64) >= CORES / 2) return 'matrix64';
    if (can(tiled64x128) && tilesOf(out, tiles64x128) >= CORES) return 'tiled64x128';
    if (splits()) return 'split';
    // A tile of which most is cut off is no better than threads by themselves, unless k is long.
    const [m, n] = out.shape.slice(-2);
    const isSmall = Math.min(m, n) < 16 || (m * n < 1024 && a.shape[a.rank - 1] < 256);
    return isSmall ? 'register' : 'tiled64';
  },
};

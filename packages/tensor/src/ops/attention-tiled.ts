import { attention as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { bytesPerElement } from '../dtype.ts';
import type { Variant } from '../kernel/variants.ts';
import type { Tensor } from '../tensor.ts';
import type { AttentionAttributes } from './attention.ts';
import { withStatistics } from './attention-composed.ts';
import {
  byHeads,
  constantsOf,
  liesInFours,
  operandsOf,
  optionalBuffers,
  pairsOf,
  parametersOf,
} from './attention-operands.ts';

/** Rows that stay in workgroup memory, and rows that pass through it at a time. The first tile that fits is taken. */
type Tile = readonly [rows: number, columns: number];
const forwardTiles: readonly Tile[] = [
  [64, 32],
  [64, 16],
  [32, 32],
  [32, 16],
  [16, 16],
];
const backwardTiles: readonly Tile[] = [
  [32, 32],
  [32, 16],
  [16, 16],
];

const THREADS = 128;

/** Bytes of workgroup memory: `held` tiles of rows, one that passes, and `matrices` of f32 between them. */
function bytesOf([rows, columns]: Tile, { shape, dtype }: Tensor, held: number, matrices: number): number {
  const chunks = Math.ceil(shape[3] / 4);
  const elements = 4 * (held * rows * chunks + columns * (chunks | 1));
  return elements * bytesPerElement(dtype) + 4 * (matrices * columns * (rows + 1) + THREADS + rows);
}

function tileFor(device: Device, tiles: readonly Tile[], q: Tensor, held: number, matrices: number): Tile | undefined {
  const limit = device.limits.maxComputeWorkgroupStorageSize;
  return tiles.find((tile) => bytesOf(tile, q, held, matrices) <= limit);
}

const forwardTile = (device: Device, q: Tensor) => tileFor(device, forwardTiles, q, 1, 1);
const backwardTile = (device: Device, q: Tensor) => tileFor(device, backwardTiles, q, 2, 2);

/** Threads that sum fours of columns beside each other, in powers of two; the others take further rows. */
function tileConstants([rows, columns]: Tile, size: number) {
  const chunks = Math.ceil(size / 4);
  const span = Math.max(THREADS / rows, Math.min(16, 2 ** Math.ceil(Math.log2(chunks))));
  return {
    ROWS: `const ROWS = ${rows}u;`,
    COLUMNS: `const COLUMNS = ${columns}u;`,
    SPAN: `const SPAN = ${span}u;`,
  };
}

/** For GPUs: scores of a tile at a time, in workgroup memory and registers. See attention_tiled.wgsl. */
export const tiled: Variant<AttentionAttributes> = {
  name: 'tiled',
  legal: (device, [q]) => forwardTile(device, q) !== undefined,
  run(device, inputs, [out, logSums], attributes) {
    const operands = operandsOf(inputs);
    const { q, k, v } = operands;
    const size = q.shape[3];
    const tile = forwardTile(device, q) as Tile;
    const wide = liesInFours(size, [q, k, v]);
    const { visible, steps } = optionalBuffers(device, operands);
    device.recorder.dispatch({
      kernel: kernels.tiled,
      constants: {
        ...constantsOf(operands, attributes),
        ...tileConstants(tile, size),
        read: kernels.readers('qkv', wide),
        write: kernels.writers(['out'], wide),
      },
      buffers: [
        ...[q, k, v].map(({ storage }) => storage.buffer),
        visible,
        steps,
        out.storage.buffer,
        logSums.storage.buffer,
      ],
      parameters: parametersOf(device, operands, attributes, { unit: wide ? 4 : 1 }),
      grid: [Math.ceil(q.shape[2] / tile[0]), 1, pairsOf(q)],
    });
  },
};

/** For GPUs: a pass over tiles of queries for the gradient of q, one over tiles of keys for those of k and v. */
export const tiledBackward: Variant<AttentionAttributes> = {
  name: 'tiled',
  legal: (device, [q]) => backwardTile(device, q) !== undefined,
  run(device, inputs, [dq, dk, dv], attributes) {
    const [, , , , , grad] = inputs;
    withStatistics(device, inputs, attributes, (statistics, operands) => {
      const { q, k, v } = operands;
      const size = q.shape[3];
      const tile = backwardTile(device, q) as Tile;
      const g = byHeads(grad);
      const wide = liesInFours(size, [q, k, v, g]);
      const { visible } = optionalBuffers(device, operands);
      const constants = {
        ...constantsOf(operands, attributes),
        ...tileConstants(tile, size),
        read: kernels.readers('qkvg', wide),
      };
      const read = [...[q, k, v, grad].map(({ storage }) => storage.buffer), visible, statistics.storage.buffer];
      const parameters = parametersOf(device, operands, attributes, { g, unit: wide ? 4 : 1 });
      const groups = (time: number) => [Math.ceil(time / tile[0]), 1, pairsOf(q)] as const;
      device.recorder.dispatch({
        kernel: kernels.tiledQueries,
        constants: { ...constants, write: kernels.writers(['out'], wide) },
        buffers: [...read, dq.storage.buffer],
        parameters,
        grid: groups(q.shape[2]),
      });
      device.recorder.dispatch({
        kernel: kernels.tiledKeys,
        constants: { ...constants, write: kernels.writers(['dk', 'dv'], wide) },
        buffers: [...read, dk.storage.buffer, dv.storage.buffer],
        parameters,
        grid: groups(k.shape[2]),
      });
    });
  },
};

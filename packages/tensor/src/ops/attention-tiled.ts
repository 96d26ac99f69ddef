import { attention as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { bytesPerElement } from '../dtype.ts';
import type { Constants } from '../kernel/pipelines.ts';
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
import { halfUnit } from './matmul-tiles.ts';

/** Rows that stay in workgroup memory, and rows that pass through it at a time. */
type Tile = readonly [rows: number, columns: number];

/** How one of the variants divides an operation into workgroups. */
interface Fused {
  readonly name: string;
  readonly kernels: Pick<typeof kernels, 'tiled' | 'tiledQueries' | 'tiledKeys'>;
  /** The tile that this adapter has room for, and what the kernels must be told of it; undefined where there is none. */
  plan(device: Device, q: Tensor, pass: 'forward' | 'backward'): { rows: number; constants: Constants } | undefined;
}

const rowsAndColumns = ([rows, columns]: Tile) => ({
  ROWS: `const ROWS = ${rows}u;`,
  COLUMNS: `const COLUMNS = ${columns}u;`,
});

const THREADS = 128;

/** Bytes of workgroup memory: tiles of rows that stay, one that passes, and `matrices` of f32 between them. */
function tiledBytes([rows, columns]: Tile, { shape, dtype }: Tensor, pass: 'forward' | 'backward'): number {
  const chunks = Math.ceil(shape[3] / 4);
  const [held, matrices] = pass === 'forward' ? [1, 1] : [2, 2];
  const elements = 4 * (held * rows * chunks + columns * (chunks | 1));
  return elements * bytesPerElement(dtype) + 4 * (matrices * columns * (rows + 1) + THREADS + rows);
}

/** Larger tiles read less of what passes; of these the first that fits. Backward, registers hold two sums. */
const tiles: Readonly<Record<'forward' | 'backward', readonly Tile[]>> = {
  forward: [
    [64, 32],
    [64, 16],
    [32, 32],
    [32, 16],
    [16, 16],
  ],
  backward: [
    [32, 32],
    [32, 16],
    [16, 16],
  ],
};

const byThreads: Fused = {
  name: 'tiled',
  kernels,
  plan(device, q, pass) {
    const limit = device.limits.maxComputeWorkgroupStorageSize;
    const tile = tiles[pass].find((each) => tiledBytes(each, q, pass) <= limit);
    if (!tile) return undefined;
    // Threads that sum fours of columns beside each other, in powers of two; the others take further rows.
    const chunks = Math.ceil(q.shape[3] / 4);
    const span = Math.max(THREADS / tile[0], Math.min(16, 2 ** Math.ceil(Math.log2(chunks))));
    return { rows: tile[0], constants: { ...rowsAndColumns(tile), SPAN: `const SPAN = ${span}u;` } };
  },
};

/** Rows of a subgroup, and what extents of matrix units must divide. */
const FRAGMENT = 16;

/** Bytes of workgroup memory: see `HALVES` and `SINGLES` of the kernels. */
function matrixBytes([rows, columns]: Tile, size: number, pass: 'forward' | 'backward'): number {
  const pitch = Math.ceil(size / 16) * 16 + 8;
  const [held, weights, scores] = pass === 'forward' ? [1, 1, 1] : [2, 2, 2];
  const halves = (held * rows + columns) * pitch + weights * rows * (columns + 8);
  return 2 * halves + 4 * scores * rows * (columns + 4) + 8 * THREADS;
}

const byUnits: Fused = {
  name: 'matrix',
  kernels: { tiled: kernels.matrix, tiledQueries: kernels.matrixQueries, tiledKeys: kernels.matrixKeys },
  plan(device, q, pass) {
    // Its extents divide half of what it is asked for.
    const unit = halfUnit(device, FRAGMENT);
    const [least] = device.adapter.subgroupSizes ?? [0];
    // Two threads of a subgroup share a row at most.
    if (!unit || least > 64 || q.dtype !== 'f16') return undefined;
    const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = device.limits;
    const candidates: readonly Tile[] = [
      [64, 32],
      [32, 32],
    ];
    const tile = candidates.find(
      (each) =>
        (pass === 'forward' || each[0] === 32) &&
        (each[0] / FRAGMENT) * least <= maxComputeInvocationsPerWorkgroup &&
        matrixBytes(each, q.shape[3], pass) <= maxComputeWorkgroupStorageSize,
    );
    if (!tile) return undefined;
    const { M, N, K } = unit;
    return {
      rows: tile[0],
      constants: {
        ...rowsAndColumns(tile),
        UNIT: `const UNIT_M = ${M}u; const UNIT_N = ${N}u; const UNIT_K = ${K}u;`,
        SUBGROUP: `const SUBGROUP = ${least}u;`,
      },
    };
  },
};

type Plan = NonNullable<ReturnType<Fused['plan']>>;

const forward = ({ name, kernels: own, plan }: Fused): Variant<AttentionAttributes> => ({
  name,
  legal: (device, [q]) => plan(device, q, 'forward') !== undefined,
  run(device, inputs, [out, logSums], attributes) {
    const operands = operandsOf(inputs);
    const { q, k, v } = operands;
    const { rows, constants } = plan(device, q, 'forward') as Plan;
    const wide = liesInFours(q.shape[3], [q, k, v]);
    const { visible, steps } = optionalBuffers(device, operands);
    device.recorder.dispatch({
      kernel: own.tiled,
      constants: {
        ...constantsOf(operands, attributes),
        ...constants,
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
      grid: [Math.ceil(q.shape[2] / rows), 1, pairsOf(q)],
    });
  },
});

/** A pass over tiles of queries for the gradient of q, one over tiles of keys for those of k and v. */
const backward = ({ name, kernels: own, plan }: Fused): Variant<AttentionAttributes> => ({
  name,
  legal: (device, [q]) => plan(device, q, 'backward') !== undefined,
  run(device, inputs, [dq, dk, dv], attributes) {
    const [, , , , , grad] = inputs;
    withStatistics(device, inputs, attributes, (statistics, operands) => {
      const { q, k, v } = operands;
      const { rows, constants } = plan(device, q, 'backward') as Plan;
      const g = byHeads(grad);
      const wide = liesInFours(q.shape[3], [q, k, v, g]);
      const { visible } = optionalBuffers(device, operands);
      const all = { ...constantsOf(operands, attributes), ...constants, read: kernels.readers('qkvg', wide) };
      const read = [...[q, k, v, grad].map(({ storage }) => storage.buffer), visible, statistics.storage.buffer];
      const parameters = parametersOf(device, operands, attributes, { g, unit: wide ? 4 : 1 });
      const groups = (time: number) => [Math.ceil(time / rows), 1, pairsOf(q)] as const;
      device.recorder.dispatch({
        kernel: own.tiledQueries,
        constants: { ...all, write: kernels.writers(['out'], wide) },
        buffers: [...read, dq.storage.buffer],
        parameters,
        grid: groups(q.shape[2]),
      });
      device.recorder.dispatch({
        kernel: own.tiledKeys,
        constants: { ...all, write: kernels.writers(['dk', 'dv'], wide) },
        buffers: [...read, dk.storage.buffer, dv.storage.buffer],
        parameters,
        grid: groups(k.shape[2]),
      });
    });
  },
});

/** For GPUs: scores of a tile at a time, in workgroup memory and registers. See attention_tiled.wgsl. */
export const tiled = forward(byThreads);
export const tiledBackward = backward(byThreads);

/** For GPUs with matrix units, of halves. Weights are halves before they are summed with; see attention_matrix.wgsl. */
export const matrix = forward(byUnits);
export const matrixBackward = backward(byUnits);

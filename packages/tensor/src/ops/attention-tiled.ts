import { attention as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
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

/** Queries and keys that a workgroup multiplies at a time; by matrix units, rows that stay and rows that pass. */
type Tile = readonly [rows: number, columns: number];

/** Which kernel: forward, for the gradient of the queries, or for those of keys and values. */
type Pass = 'forward' | 'queries' | 'keys';

/** How one of the variants divides an operation into workgroups. */
interface Fused {
  readonly name: string;
  readonly kernels: Pick<typeof kernels, 'tiled' | 'tiledQueries' | 'tiledKeys'>;
  /** Queries or keys a workgroup, as this adapter has room, and what the kernel must be told; undefined where it cannot. */
  plan(device: Device, q: Tensor, k: Tensor, pass: Pass): { extent: number; constants: Constants } | undefined;
}

const rowsAndColumns = ([rows, columns]: Tile) => ({
  ROWS: `const ROWS = ${rows}u;`,
  COLUMNS: `const COLUMNS = ${columns}u;`,
});

const THREADS = 128;

/** Vectors of each row that pass through workgroup memory at once: see attention_tiles.wgsl. */
const STEP = 4;

const downToPower = (x: number) => 2 ** Math.floor(Math.log2(x));

/** Bytes of workgroup memory: a slice, weights, and what is known of each query. */
function tiledBytes([rows, columns]: Tile): number {
  return 16 * ((rows + columns) * (STEP + 1) + rows * (columns / 4 + 1)) + 4 * (THREADS + 2 * rows);
}

/** Workgroups below which smaller tiles keep a large GPU busier. */
const WORKGROUPS_WANTED = 256;

const byThreads: Fused = {
  name: 'tiled',
  kernels,
  plan(device, q, k, pass) {
    const chunks = Math.ceil(q.shape[3] / 4);
    const [held, time] = pass === 'keys' ? [1, k.shape[2]] : [0, q.shape[2]];
    // Registers hold two sums of long rows for each key.
    const longest = pass === 'keys' && chunks > 16 ? 32 : 64;
    const extent = longest === 64 && Math.ceil(time / 64) * pairsOf(q) >= WORKGROUPS_WANTED ? 64 : 32;
    const wanted: Tile = held === 0 ? [extent, 64] : [64, extent];
    const tile = tiledBytes(wanted) <= device.limits.maxComputeWorkgroupStorageSize ? wanted : ([32, 32] as const);
    const [rows, columns] = tile;
    const tall = Math.min(pass === 'keys' ? rows : columns, downToPower(((rows + columns) * STEP) / chunks));
    // Threads beside each other in a row of sums, in powers of two; the others have further rows, or fours of keys.
    const least = THREADS / (pass === 'keys' ? columns / 4 : rows);
    const span = Math.max(least, Math.min(16, 2 ** Math.ceil(Math.log2(chunks))));
    return {
      extent: tile[held],
      constants: { ...rowsAndColumns(tile), TALL: `const TALL = ${tall}u;`, SPAN: `const SPAN = ${span}u;` },
    };
  },
};

/** Rows of a subgroup, and what extents of matrix units must divide. */
const FRAGMENT = 16;

/** Bytes of workgroup memory: see `HALVES` and `SINGLES` of the kernels. */
function matrixBytes([rows, columns]: Tile, size: number, pass: Pass): number {
  const pitch = Math.ceil(size / 16) * 16 + 8;
  const [held, weights, scores] = { forward: [1, 1, 1], queries: [2, 1, 2], keys: [2, 2, 2] }[pass];
  const halves = (held * rows + columns) * pitch + weights * rows * (columns + 8);
  return 2 * halves + 4 * scores * rows * (columns + 4) + 8 * THREADS;
}

/** From the one that won on an H200 to what fits anywhere. */
const UNIT_TILES: Readonly<Record<Pass, readonly Tile[]>> = {
  forward: [
    [64, 32],
    [32, 32],
  ],
  queries: [
    [64, 32],
    [48, 32],
    [32, 32],
  ],
  keys: [
    [48, 32],
    [32, 32],
  ],
};

const byUnits: Fused = {
  name: 'matrix',
  kernels: { tiled: kernels.matrix, tiledQueries: kernels.matrixQueries, tiledKeys: kernels.matrixKeys },
  plan(device, q, _, pass) {
    // Its extents divide half of what it is asked for.
    const unit = halfUnit(device, FRAGMENT);
    const [least] = device.adapter.subgroupSizes ?? [0];
    // Two threads of a subgroup share a row at most.
    if (!unit || least > 64 || q.dtype !== 'f16') return undefined;
    const { maxComputeWorkgroupStorageSize, maxComputeInvocationsPerWorkgroup } = device.limits;
    const tile = UNIT_TILES[pass].find(
      (each) =>
        (each[0] / FRAGMENT) * least <= maxComputeInvocationsPerWorkgroup &&
        matrixBytes(each, q.shape[3], pass) <= maxComputeWorkgroupStorageSize,
    );
    if (!tile) return undefined;
    const { M, N, K } = unit;
    return {
      extent: tile[0],
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
  legal: (device, [q, k]) => plan(device, q, k, 'forward') !== undefined,
  run(device, inputs, [out, logSums], attributes) {
    const operands = operandsOf(inputs);
    const { q, k, v } = operands;
    const { extent, constants } = plan(device, q, k, 'forward') as Plan;
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
      grid: [Math.ceil(q.shape[2] / extent), 1, pairsOf(q)],
    });
  },
});

/** A pass over tiles of queries for the gradient of q, one over tiles of keys for those of k and v. */
const backward = ({ name, kernels: own, plan }: Fused): Variant<AttentionAttributes> => ({
  name,
  legal: (device, [q, k]) => plan(device, q, k, 'queries') !== undefined && plan(device, q, k, 'keys') !== undefined,
  run(device, inputs, [dq, dk, dv], attributes) {
    const [, , , , , grad] = inputs;
    withStatistics(device, inputs, attributes, (statistics, operands) => {
      const { q, k, v } = operands;
      const ofQueries = plan(device, q, k, 'queries') as Plan;
      const ofKeys = plan(device, q, k, 'keys') as Plan;
      const g = byHeads(grad);
      const wide = liesInFours(q.shape[3], [q, k, v, g]);
      const { visible } = optionalBuffers(device, operands);
      const all = { ...constantsOf(operands, attributes), read: kernels.readers('qkvg', wide) };
      const read = [...[q, k, v, grad].map(({ storage }) => storage.buffer), visible, statistics.storage.buffer];
      const parameters = parametersOf(device, operands, attributes, { g, unit: wide ? 4 : 1 });
      device.recorder.dispatch({
        kernel: own.tiledQueries,
        constants: { ...all, ...ofQueries.constants, write: kernels.writers(['out'], wide) },
        buffers: [...read, dq.storage.buffer],
        parameters,
        grid: [Math.ceil(q.shape[2] / ofQueries.extent), 1, pairsOf(q)],
      });
      device.recorder.dispatch({
        kernel: own.tiledKeys,
        constants: { ...all, ...ofKeys.constants, write: kernels.writers(['dk', 'dv'], wide) },
        buffers: [...read, dk.storage.buffer, dv.storage.buffer],
        parameters,
        grid: [Math.ceil(k.shape[2] / ofKeys.extent), 1, pairsOf(q)],
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

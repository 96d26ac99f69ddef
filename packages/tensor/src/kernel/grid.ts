import { gridStart, type ParameterType } from '@dawnchorus/kernels';
import type { AdapterDescription } from '../device/adapters.ts';
import type { Dispatch } from './recorder.ts';

/** How many workgroups along x, y and z. */
export type Grid = readonly [number, number, number];

/** A grid of `count` workgroups in a row, folded into two dimensions where one is too short. */
export function linearGrid(workgroups: number, limit = 65535): Grid {
  if (workgroups <= limit) return [workgroups, 1, 1];
  const y = Math.ceil(workgroups / limit);
  return [Math.ceil(workgroups / y), y, 1];
}

/** Workgroups of `threads` that cover `count` elements. */
export function gridFor(count: number, threads = 64): Grid {
  return linearGrid(Math.ceil(count / threads));
}

/** Elements from which threads have several: fewer are too few to keep a GPU busy. */
const MANY_ELEMENTS = 2 ** 19;

/**
 * Elements a thread, for kernels that only move them: on GPUs a thread that waits for one number at a time leaves most of
 * the memory's speed unused.
 */
export function turnsFor({ adapter }: Pick<RowDevice, 'adapter'>, size: number): 1 | 4 {
  return adapter.software || size < MANY_ELEMENTS ? 1 : 4;
}

/**
 * Whether rows of `length` elements that begin at these offsets are read and stored four neighbours at a time. CPU drivers
 * gather and scatter for each thread by itself, at half the cost for a vec4; on GPUs it was not measured.
 */
export const takesFours = (
  { adapter }: Pick<RowDevice, 'adapter'>,
  length: number,
  offsets: readonly number[],
): boolean => adapter.software && length % 4 === 0 && offsets.every((offset) => offset % 4 === 0);

/** How threads share the rows of a kernel with `rows` (see `@dawnchorus/kernels`). */
export interface RowShape {
  readonly constants: { readonly LANES: string; readonly ROWS: string; readonly SUBGROUPS: string };
  /** For kernels that may keep their row in registers: how many elements a thread keeps, 0 where it reads them again. */
  readonly kept: { readonly KEPT: string };
  /** Threads a row. */
  readonly lanes: number;
  /** Rows a workgroup. */
  readonly rows: number;
  /** The grid for so many rows. */
  grid(rows: number): Grid;
}

/**
 * Threads that share rows of `length` elements. On a GPU four elements a thread, from 8 threads for short rows, several of
 * which then share a workgroup, to 256, joined by subgroups where there are any and a row has a workgroup of its own. CPU
 * drivers run the threads of a subgroup as one SIMD group, one of which a row is best: each barrier costs them dearly, and
 * their subgroup operations cost more than the one barrier that those would save (measured on llvmpipe: 8 threads in place
 * of 4 take 0.7 of the time, with subgroups 0.8).
 */
export function rowShape({ adapter, features }: RowDevice, length: number): RowShape {
  const simd = Math.min(16, Math.max(4, adapter.subgroupSizes?.[0] ?? 4));
  const lanes = adapter.software
    ? simd
    : Math.min(256, Math.max(8, 2 ** Math.ceil(Math.log2(Math.max(1, length / 4)))));
  const each = Math.max(4, length / lanes);
  const rows = adapter.software ? 1 : Math.max(1, 64 / lanes);
  const subgroups = !adapter.software && rows === 1 && features.has('subgroups');
  return {
    constants: {
      LANES: `const LANES = ${lanes}u;`,
      ROWS: `const ROWS = ${rows}u;`,
      SUBGROUPS: `const SUBGROUPS = ${subgroups};`,
    },
    // Rounded up, so that a few pipelines do for all lengths. Memory is as near as registers to a CPU.
    kept: { KEPT: `const KEPT = ${adapter.software || each > MOST_KEPT ? 0 : 2 ** Math.ceil(Math.log2(each))}u;` },
    lanes,
    rows,
    grid: (count) => linearGrid(Math.ceil(count / rows)),
  };
}

/** Elements of a row in the registers of a thread. */
const MOST_KEPT = 16;

interface RowDevice {
  readonly adapter: Pick<AdapterDescription, 'software' | 'subgroupSizes'>;
  readonly features: ReadonlySet<string>;
}

/**
 * Dispatches that together cover a grid which is longer than `limit` workgroups along some axis.
 *
 * @throws RangeError when the kernel cannot be told where to start (see `gridStart`).
 */
export function* splitGrid<P extends Record<string, ParameterType>>(
  work: Dispatch<P>,
  limit: number,
): Generator<Dispatch<P>> {
  const { kernel, grid } = work;
  if (!Object.keys(gridStart).every((name) => name in kernel.parameters)) {
    throw new RangeError(`kernel ${kernel.name}: grid ${grid} is over this adapter's limit of ${limit}`);
  }
  for (let groupZ = 0; groupZ < grid[2]; groupZ += limit) {
    for (let groupY = 0; groupY < grid[1]; groupY += limit) {
      for (let groupX = 0; groupX < grid[0]; groupX += limit) {
        const part = [grid[0] - groupX, grid[1] - groupY, grid[2] - groupZ].map((rest) => Math.min(limit, rest));
        const parameters = { ...work.parameters, groupX, groupY, groupZ };
        yield { ...work, parameters, grid: part as unknown as Grid };
      }
    }
  }
}

import { gridStart, type ParameterType } from '@dawnchorus/kernels';
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

/**
 * Threads that share a row in reductions, softmax and norms. CPU drivers pay dearly for each barrier of the tree that
 * joins the threads' sums; four of them are one SIMD group there.
 */
export function rowLanes(device: { readonly adapter: { readonly software: boolean } }): { LANES: string } {
  return { LANES: `const LANES = ${device.adapter.software ? 4 : 64}u;` };
}

/** How threads share the rows of a kernel with `rows` (see `@dawnchorus/kernels`). */
export interface RowShape {
  readonly constants: { readonly LANES: string; readonly ROWS: string; readonly SUBGROUPS: string };
  /** Threads that share a row. */
  readonly lanes: number;
  /** The grid for so many rows. */
  grid(rows: number): Grid;
}

/**
 * Threads that share rows of `length` elements. On a GPU four elements a thread, from 8 threads for short rows, several of
 * which then share a workgroup, to 256. CPU drivers run four threads as one SIMD group; each barrier costs them dearly.
 */
export function rowShape({ adapter, features }: RowDevice, length: number): RowShape {
  const lanes = adapter.software ? 4 : Math.min(256, Math.max(8, 2 ** Math.ceil(Math.log2(Math.max(1, length / 4)))));
  const rows = adapter.software ? 1 : Math.max(1, 64 / lanes);
  const subgroups = !adapter.software && rows === 1 && features.has('subgroups');
  return {
    constants: {
      LANES: `const LANES = ${lanes}u;`,
      ROWS: `const ROWS = ${rows}u;`,
      SUBGROUPS: `const SUBGROUPS = ${subgroups};`,
    },
    lanes,
    grid: (count) => linearGrid(Math.ceil(count / rows)),
  };
}

interface RowDevice {
  readonly adapter: { readonly software: boolean };
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

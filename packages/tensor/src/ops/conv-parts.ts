import type { Device } from '../device/device.ts';
import { Tensor } from '../tensor.ts';
import { sumMiddle } from './reduce.ts';

/** Places that a part of a weight gradient sums at least: fewer cost more in the second pass than they save. */
export const SHORTEST_CHUNK = 256;
/** Threads that keep the cores of a CPU busy. */
const THREADS_WANTED = 2048;

/** The chunk that leaves a CPU driver enough threads, each of which sums one chunk. */
export const registerChunk = (total: number, threads: number): number =>
  Math.max(SHORTEST_CHUNK, Math.ceil((total * threads) / THREADS_WANTED));

/** Weight gradients are summed in parts by `dispatch`, and the partial sums added, always in the same order. */
export function inParts(device: Device, out: Tensor, splits: number, dispatch: (partial: Tensor) => void): void {
  if (splits === 1) {
    dispatch(out);
    return;
  }
  const partial = Tensor.allocate(device, 'f32', [splits, out.size], 'partial weight gradient', false);
  try {
    dispatch(partial);
    sumMiddle(device, partial, [1, splits, out.size], out);
  } finally {
    partial.dispose();
  }
}

/** The same where each part is a `chunk` of `total` places. */
export function inChunks(
  device: Device,
  out: Tensor,
  total: number,
  chunk: number,
  dispatch: (partial: Tensor, chunk: number, splits: number) => void,
): void {
  const splits = Math.ceil(total / chunk);
  inParts(device, out, splits, (partial) => dispatch(partial, splits === 1 ? total : chunk, splits));
}

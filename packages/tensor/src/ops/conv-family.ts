import type { Device } from '../device/device.ts';
import { type Family, runVariants, type Variant } from '../kernel/variants.ts';
import { Tensor } from '../tensor.ts';
import { type AnyConvAttributes, type Geometry, geometryOf, type Kind, rolesOf } from './conv-geometry.ts';
import { recordTiled, recordTiledWeightGradient, tiledChunk, weightTiles } from './conv-tiled.ts';
import { recordWindow, slides } from './conv-window.ts';
import { withDense } from './dense.ts';
import { fillBuffer } from './fill.ts';
import type { KernelOp } from './op.ts';
import { sumMiddle } from './reduce.ts';

/** Channels a group below which a tile of 64 would be mostly empty. */
const FEWEST_CHANNELS = 16;
/** Taps from which a window in registers beats tiles. */
const LONG_KERNEL = 32;

/**
 * Weight gradients sum over `total` places. Where that is more than a `chunk`, each chunk is summed by itself, and the
 * partial sums are added, always in the same order.
 */
export function inSplits(
  device: Device,
  out: Tensor,
  total: number,
  chunk: number,
  dispatch: (partial: Tensor, chunk: number, splits: number) => void,
): void {
  const splits = Math.ceil(total / chunk);
  if (splits === 1) {
    dispatch(out, total, 1);
    return;
  }
  const partial = Tensor.allocate(device, 'f32', [splits, out.size], 'partial weight gradient', false);
  try {
    dispatch(partial, chunk, splits);
    sumMiddle(device, partial, [1, splits, out.size], out);
  } finally {
    partial.dispose();
  }
}

const THREADS_WANTED = 2048;
const SHORTEST_CHUNK = 256;

/** The chunk that leaves a CPU driver enough threads, each of which sums one chunk. */
export const registerChunk = (total: number, threads: number): number =>
  Math.max(SHORTEST_CHUNK, Math.ceil((total * threads) / THREADS_WANTED));

function runTiled(device: Device, kind: Kind, operands: readonly Tensor[], out: Tensor, geometry: Geometry): void {
  if (kind !== 'weightGradient') {
    recordTiled(device, operands, out, geometry, kind === 'transpose');
    return;
  }
  const total = geometry.batch * geometry.outSize[0] * geometry.outSize[1];
  inSplits(device, out, total, tiledChunk(total, weightTiles(geometry)), (partial, chunk, splits) =>
    recordTiledWeightGradient(device, operands, partial, geometry, chunk, splits),
  );
}

/**
 * The ways to compute a convolution, its transpose or its weight's gradient, over one axis or two. All but `register`,
 * which needs no workgroup memory and suits CPU drivers, are for GPUs.
 */
function convFamily<A extends AnyConvAttributes>(name: string, kind: Kind, register: Variant<A>['run']): Family<A> {
  const geometry = (inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A) =>
    geometryOf(rolesOf(kind, inputs, outputs), attributes);
  const recorded =
    (record: typeof runTiled): Variant<A>['run'] =>
    (device, inputs, outputs, attributes) =>
      withDense(device, inputs, (dense) =>
        record(device, kind, dense, outputs[0], geometry(inputs, outputs, attributes)),
      );
  return {
    name,
    variants: [
      { name: 'register', run: register },
      { name: 'tiled', run: recorded(runTiled) },
      {
        name: 'window',
        legal: (_, inputs, outputs, attributes) => slides(geometry(inputs, outputs, attributes)),
        run: recorded((device, own, dense, out, sizes) => recordWindow(device, dense, out, sizes, own)),
      },
    ],
    prefer(device, inputs, outputs, attributes) {
      if (device.adapter.software) return 'register';
      const sizes = geometry(inputs, outputs, attributes);
      if (slides(sizes) && sizes.kernel[1] >= LONG_KERNEL) return 'window';
      const channels = kind === 'transpose' ? sizes.inPerGroup : sizes.outPerGroup;
      return channels >= FEWEST_CHANNELS ? 'tiled' : 'register';
    },
  };
}

/** What a convolution gives as its `run`: zeros where one of its operands has no elements. */
export function convVariants<A extends AnyConvAttributes>(
  name: string,
  kind: Kind,
  register: Variant<A>['run'],
): Pick<KernelOp<A>, 'run' | 'family'> {
  const { run, family } = runVariants(convFamily(name, kind, register));
  return {
    family,
    run(device, inputs, outputs, attributes) {
      if (inputs.some(({ size }) => size === 0)) fillBuffer(device, outputs[0], 0);
      else run(device, inputs, outputs, attributes);
    },
  };
}

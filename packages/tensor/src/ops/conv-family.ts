import type { MatrixUnit } from '../device/adapters.ts';
import type { Device } from '../device/device.ts';
import { type Family, runVariants, type Variant } from '../kernel/variants.ts';
import { Tensor } from '../tensor.ts';
import { type AnyConvAttributes, type Geometry, geometryOf, type Kind, rolesOf } from './conv-geometry.ts';
import { isThin, productChunk, recordProduct, recordWeightGradient, unitFor, weightTiles } from './conv-product.ts';
import { recordWindow, slides, windowShare } from './conv-window.ts';
import { withDense } from './dense.ts';
import { fillBuffer } from './fill.ts';
import type { KernelOp } from './op.ts';
import { sumMiddle } from './reduce.ts';

/** Channels a group below which a tile of 64 would be mostly empty. */
const FEWEST_CHANNELS = 16;
/** Taps from which a window in registers beats tiles. */
const LONG_KERNEL = 32;
/** The part of a window kernel's work that must be of use for it to beat `register` on a CPU driver. */
const WINDOW_SHARE = 0.7;

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

function runProduct(
  device: Device,
  kind: Kind,
  operands: readonly Tensor[],
  out: Tensor,
  geometry: Geometry,
  unit?: MatrixUnit,
): void {
  if (kind !== 'weightGradient') {
    recordProduct(device, operands, out, geometry, kind === 'transpose', unit);
    return;
  }
  const total = geometry.batch * geometry.outSize[0] * geometry.outSize[1];
  inSplits(device, out, total, productChunk(total, weightTiles(geometry)), (partial, chunk, splits) =>
    recordWeightGradient(device, operands, partial, geometry, chunk, splits, unit),
  );
}

/**
 * The ways to compute a convolution, its transpose or its weight's gradient, over one axis or two. `register` needs no
 * workgroup memory and suits CPU drivers; `tiled` and `matrix` are for GPUs.
 */
function convFamily<A extends AnyConvAttributes>(name: string, kind: Kind, register: Variant<A>['run']): Family<A> {
  const geometry = (inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A) =>
    geometryOf(rolesOf(kind, inputs, outputs), attributes);
  const recorded =
    (record: typeof runProduct): Variant<A>['run'] =>
    (device, inputs, outputs, attributes) =>
      withDense(device, inputs, (dense) =>
        record(device, kind, dense, outputs[0], geometry(inputs, outputs, attributes)),
      );
  return {
    name,
    variants: [
      { name: 'register', run: register },
      { name: 'tiled', run: recorded(runProduct) },
      {
        name: 'window',
        legal: (_, inputs, outputs, attributes) => slides(geometry(inputs, outputs, attributes)),
        run: recorded((device, own, dense, out, sizes) => recordWindow(device, dense, out, sizes, own)),
      },
      {
        name: 'matrix',
        legal: (device, inputs) => unitFor(device, inputs) !== undefined,
        run: recorded((device, own, dense, out, sizes) =>
          runProduct(device, own, dense, out, sizes, unitFor(device, dense)),
        ),
      },
    ],
    relevant: ['stride', 'padding', 'dilation', 'groups'],
    prefer(device, inputs, outputs, attributes) {
      const sizes = geometry(inputs, outputs, attributes);
      const long = slides(sizes) && sizes.kernel[1] >= LONG_KERNEL;
      // There caches do what workgroup memory does for tiles, but a window saves reads from caches, too.
      if (device.adapter.software) return long && windowShare(sizes, kind) >= WINDOW_SHARE ? 'window' : 'register';
      const channels = kind === 'transpose' ? sizes.inPerGroup : sizes.outPerGroup;
      if (channels < FEWEST_CHANNELS) return 'register';
      if (kind === 'weightGradient' && isThin(sizes)) return 'tiled';
      if (unitFor(device, inputs)) return 'matrix';
      return long ? 'window' : 'tiled';
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

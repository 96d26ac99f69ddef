import type { Device } from '../device/device.ts';
import { type Family, runVariants, type Variant } from '../kernel/variants.ts';
import { Tensor } from '../tensor.ts';
import { broadcastShares, broadcastUse, recordBroadcast, recordBroadcastWeightGradient } from './conv-broadcast.ts';
import { hasRows, recordChannelsLast } from './conv-channels-last.ts';
import { type AnyConvAttributes, directFlops, type Geometry, geometryOf, type Kind, rolesOf } from './conv-geometry.ts';
import {
  type ConvTiling,
  fits,
  isThin,
  recordProduct,
  recordThinWeightGradient,
  recordWeightGradient,
  thinChunk,
  tileShares,
} from './conv-product.ts';
import { hasSpectrum, recordSpectrum, spectrumFlops } from './conv-spectrum.ts';
import { recordWindow, slides, windowShare } from './conv-window.ts';
import { withDense } from './dense.ts';
import { fillBuffer } from './fill.ts';
import {
  type BroadcastVariant,
  broadcastFor,
  canBroadcast,
  tiles64,
  tiles64x128,
  units64,
  units128,
  units128x64,
} from './matmul-tiles.ts';
import type { KernelOp } from './op.ts';
import { sumMiddle } from './reduce.ts';

/** Channels a group below which a tile of 64 would be mostly empty. */
const FEWEST_CHANNELS = 16;
/** Taps from which a window in registers beats tiles. */
const LONG_KERNEL = 32;
/** The part of a window kernel's work that must be of use for it to beat `register` on a CPU driver. */
const WINDOW_SHARE = 0.7;

/** The same of the blocks of `broadcast`. */
const BROADCAST_SHARE = 0.3;

/** How many times as many operations a convolution must take as its spectra do. */
const SPECTRUM_GAIN = 2;

/** Weight gradients are summed in parts by `dispatch`, and the partial sums added, always in the same order. */
function inParts(device: Device, out: Tensor, splits: number, dispatch: (partial: Tensor) => void): void {
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
export function inSplits(
  device: Device,
  out: Tensor,
  total: number,
  chunk: number,
  dispatch: (partial: Tensor, chunk: number, splits: number) => void,
): void {
  const splits = Math.ceil(total / chunk);
  inParts(device, out, splits, (partial) => dispatch(partial, splits === 1 ? total : chunk, splits));
}

const THREADS_WANTED = 2048;
const SHORTEST_CHUNK = 256;

/** The chunk that leaves a CPU driver enough threads, each of which sums one chunk. */
export const registerChunk = (total: number, threads: number): number =>
  Math.max(SHORTEST_CHUNK, Math.ceil((total * threads) / THREADS_WANTED));

const byThreads64: ConvTiling = { units: false, tiling: tiles64 };
const byThreads64x128: ConvTiling = { units: false, tiling: tiles64x128 };
const byUnits64: ConvTiling = { units: true, tiling: units64 };
const byUnits128x64: ConvTiling = { units: true, tiling: units128x64 };
const byUnits128: ConvTiling = { units: true, tiling: units128 };

function runProduct(
  device: Device,
  kind: Kind,
  operands: readonly Tensor[],
  out: Tensor,
  geometry: Geometry,
  tiling: ConvTiling,
): void {
  if (kind !== 'weightGradient') {
    recordProduct(device, operands, out, geometry, kind === 'transpose', tiling);
    return;
  }
  if (isThin(geometry) && !tiling.units) {
    const total = geometry.batch * geometry.outSize[0] * geometry.outSize[1];
    inSplits(device, out, total, thinChunk(total, geometry), (partial, chunk, splits) =>
      recordThinWeightGradient(device, operands, partial, geometry, chunk, splits),
    );
    return;
  }
  const share = tileShares(geometry, tiling);
  inParts(device, out, share.splits, (partial) =>
    recordWeightGradient(device, operands, partial, geometry, share, tiling),
  );
}

function runBroadcast(
  device: Device,
  variant: BroadcastVariant,
  kind: Kind,
  operands: readonly Tensor[],
  out: Tensor,
  geometry: Geometry,
): void {
  if (kind !== 'weightGradient') {
    recordBroadcast(device, variant, operands, out, geometry, kind === 'transpose');
    return;
  }
  const share = broadcastShares(device, variant, geometry);
  inParts(device, out, share.splits, (partial) =>
    recordBroadcastWeightGradient(device, variant, operands, partial, geometry, share),
  );
}

/** SwiftShader's compiler never comes back from the tiles of weight gradients, a product in a loop. */
const hangs = ({ adapter }: Device): boolean => adapter.name.toLowerCase().includes('swiftshader');

/** Tiles of 128 that keep a large GPU busy. */
const LARGE_TILES_WANTED = 64;

/** How many tiles of 128 there are; parts of weight gradients are as many as one likes. */
function tilesOf({ batch, groups, inPerGroup, outPerGroup, inSize, outSize, kernel }: Geometry, kind: Kind): number {
  const cells = (rows: number, columns: number) => Math.ceil(rows / 128) * Math.ceil(columns / 128);
  if (kind === 'weightGradient') return inPerGroup * kernel[0] * kernel[1] > 64 ? Infinity : 0;
  if (kind === 'transpose') return batch * groups * cells(inPerGroup, inSize[0] * inSize[1]);
  return batch * groups * cells(outPerGroup, outSize[0] * outSize[1]);
}

/**
 * The ways to compute a convolution, its transpose or its weight's gradient, over one axis or two. `register` needs no
 * workgroup memory and `broadcast` no barriers, which suits CPU drivers; tiles, by threads or by matrix units, are for GPUs.
 */
function convFamily<A extends AnyConvAttributes>(name: string, kind: Kind, register: Variant<A>['run']): Family<A> {
  const geometry = (inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A) =>
    geometryOf(rolesOf(kind, inputs, outputs), attributes);
  const recorded =
    (
      record: (device: Device, kind: Kind, operands: readonly Tensor[], out: Tensor, geometry: Geometry) => void,
    ): Variant<A>['run'] =>
    (device, inputs, outputs, attributes) =>
      withDense(device, inputs, (dense) =>
        record(device, kind, dense, outputs[0], geometry(inputs, outputs, attributes)),
      );
  const byBroadcast = (variant: BroadcastVariant): Variant<A> => ({
    name: variant,
    legal: (device) => canBroadcast(device, variant),
    run: recorded((device, own, dense, out, sizes) => runBroadcast(device, variant, own, dense, out, sizes)),
  });
  const byTiles = (label: string, tiling: ConvTiling): Variant<A> => ({
    name: label,
    legal: (device, inputs, outputs, attributes) =>
      fits(device, inputs, tiling) &&
      !(kind === 'weightGradient' && hangs(device) && !isThin(geometry(inputs, outputs, attributes))),
    run: recorded((device, own, dense, out, sizes) => runProduct(device, own, dense, out, sizes, tiling)),
  });
  return {
    name,
    variants: [
      { name: 'register', run: register },
      byBroadcast('broadcast16'),
      byBroadcast('broadcast'),
      byTiles('tiled64', byThreads64),
      byTiles('tiled64x128', byThreads64x128),
      {
        name: 'window',
        legal: (_, inputs, outputs, attributes) => slides(geometry(inputs, outputs, attributes)),
        run: recorded((device, own, dense, out, sizes) => recordWindow(device, dense, out, sizes, own)),
      },
      {
        name: 'spectrum',
        legal: (device, inputs, outputs, attributes) => hasSpectrum(device, geometry(inputs, outputs, attributes)),
        run: recorded((device, own, dense, out, sizes) => recordSpectrum(device, dense, out, sizes, own)),
      },
      {
        name: 'channelsLast',
        legal: (device, inputs, outputs, attributes) => hasRows(device, inputs, geometry(inputs, outputs, attributes)),
        run: recorded((device, own, dense, out, sizes) => recordChannelsLast(device, dense, out, sizes, own)),
      },
      byTiles('matrix64', byUnits64),
      byTiles('matrix128x64', byUnits128x64),
      byTiles('matrix128', byUnits128),
    ],
    relevant: ['stride', 'padding', 'dilation', 'groups'],
    prefer(device, inputs, outputs, attributes) {
      const sizes = geometry(inputs, outputs, attributes);
      const long = slides(sizes) && sizes.kernel[1] >= LONG_KERNEL;
      const takesUnits = !device.adapter.software && fits(device, inputs, byUnits64);
      if (long && !takesUnits && hasSpectrum(device, sizes)) {
        if (directFlops(sizes) >= SPECTRUM_GAIN * spectrumFlops(sizes)) return 'spectrum';
      }
      // There caches do what workgroup memory does for tiles, but a window saves reads from caches, too.
      if (device.adapter.software) {
        const variant = broadcastFor(device, directFlops(sizes) / 2);
        if (variant && broadcastUse(device, variant, sizes, kind) >= BROADCAST_SHARE) return variant;
        return long && windowShare(sizes, kind) >= WINDOW_SHARE ? 'window' : 'register';
      }
      const channels = kind === 'transpose' ? sizes.inPerGroup : sizes.outPerGroup;
      if (channels < FEWEST_CHANNELS) return 'register';
      if (kind === 'weightGradient' && isThin(sizes)) return 'tiled64';
      if (kind === 'weightGradient' && hangs(device)) return 'register';
      // Of a larger tile more is cut off at the edges, and there are fewer of them.
      const large = channels > 64 && tilesOf(sizes, kind) >= LARGE_TILES_WANTED;
      if (takesUnits) {
        return large && kind === 'weightGradient' && fits(device, inputs, byUnits128) ? 'matrix128' : 'matrix64';
      }
      if (long) return 'window';
      return large && fits(device, inputs, byThreads64x128) ? 'tiled64x128' : 'tiled64';
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

import type { Device } from '../device/device.ts';
import type { Tensor } from '../tensor.ts';
import { broadcastUse } from './conv-broadcast.ts';
import { directFlops, type Geometry, type Kind } from './conv-geometry.ts';
import { byThreads64x128, byUnits64, byUnits128, fits, hangs, isThin } from './conv-product.ts';
import { hasSpectrum, spectrumFlops } from './conv-spectrum.ts';
import { slides, windowShare } from './conv-window.ts';
import { broadcastFor } from './matmul-tiles.ts';

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

/** Tiles of 128 that keep a large GPU busy. */
const LARGE_TILES_WANTED = 64;

/** How many tiles of 128 there are; parts of weight gradients are as many as one likes. */
function largeTiles({ batch, groups, inPerGroup, outPerGroup, inSize, outSize, kernel }: Geometry, kind: Kind): number {
  const cells = (rows: number, columns: number) => Math.ceil(rows / 128) * Math.ceil(columns / 128);
  if (kind === 'weightGradient') return inPerGroup * kernel[0] * kernel[1] > 64 ? Infinity : 0;
  if (kind === 'transpose') return batch * groups * cells(inPerGroup, inSize[0] * inSize[1]);
  return batch * groups * cells(outPerGroup, outSize[0] * outSize[1]);
}

const isLong = (geometry: Geometry): boolean => slides(geometry) && geometry.kernel[1] >= LONG_KERNEL;

/** The variant to take for a convolution, its transpose or its weight's gradient where nothing was measured. */
export function preferredConv(device: Device, kind: Kind, operands: readonly Tensor[], geometry: Geometry): string {
  if (spectraPay(device, geometry) && !hasUnits(device, operands)) return 'spectrum';
  if (device.adapter.software) return preferredOnCpu(device, kind, geometry);
  return preferredOnGpu(device, kind, operands, geometry);
}

const hasUnits = (device: Device, operands: readonly Tensor[]): boolean =>
  !device.adapter.software && fits(device, operands, byUnits64);

const spectraPay = (device: Device, geometry: Geometry): boolean =>
  isLong(geometry) && hasSpectrum(device, geometry) && directFlops(geometry) >= SPECTRUM_GAIN * spectrumFlops(geometry);

/** There caches do what workgroup memory does for tiles, but a window saves reads from caches, too. */
function preferredOnCpu(device: Device, kind: Kind, geometry: Geometry): string {
  const variant = broadcastFor(device, directFlops(geometry) / 2);
  if (variant && broadcastUse(device, variant, geometry, kind) >= BROADCAST_SHARE) return variant;
  return isLong(geometry) && windowShare(geometry, kind) >= WINDOW_SHARE ? 'window' : 'register';
}

function preferredOnGpu(device: Device, kind: Kind, operands: readonly Tensor[], geometry: Geometry): string {
  const channels = kind === 'transpose' ? geometry.inPerGroup : geometry.outPerGroup;
  if (channels < FEWEST_CHANNELS) return 'register';
  if (kind === 'weightGradient' && isThin(geometry)) return 'tiled64';
  if (kind === 'weightGradient' && hangs(device)) return 'register';
  // Of a larger tile more is cut off at the edges, and there are fewer of them.
  const isLarge = channels > 64 && largeTiles(geometry, kind) >= LARGE_TILES_WANTED;
  if (hasUnits(device, operands)) {
    return isLarge && kind === 'weightGradient' && fits(device, operands, byUnits128) ? 'matrix128' : 'matrix64';
  }
  if (isLong(geometry)) return 'window';
  return isLarge && fits(device, operands, byThreads64x128) ? 'tiled64x128' : 'tiled64';
}

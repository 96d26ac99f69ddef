import type { Device } from '../device/device.ts';
import { type Family, runVariants, type Variant } from '../kernel/variants.ts';
import type { Tensor } from '../tensor.ts';
import { broadcastShares, recordBroadcast, recordBroadcastWeightGradient } from './conv-broadcast.ts';
import { hasRows, recordChannelsLast } from './conv-channels-last.ts';
import { preferredConv } from './conv-choice.ts';
import { type AnyConvAttributes, type Geometry, geometryOf, type Kind, rolesOf } from './conv-geometry.ts';
import { inChunks, inParts } from './conv-parts.ts';
import {
  byThreads64,
  byThreads64x128,
  byUnits64,
  byUnits128,
  byUnits128x64,
  type ConvTiling,
  fits,
  hangs,
  isThin,
  recordProduct,
  recordThinWeightGradient,
  recordWeightGradient,
  thinChunk,
  tileShares,
} from './conv-product.ts';
import { hasSpectrum, recordSpectrum } from './conv-spectrum.ts';
import { recordWindow, slides } from './conv-window.ts';
import { withDense } from './dense.ts';
import { fillBuffer } from './fill.ts';
import { type BroadcastVariant, canBroadcast } from './matmul-tiles.ts';
import type { KernelOp } from './op.ts';

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
    inChunks(device, out, total, thinChunk(total, geometry), (partial, chunk, splits) =>
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

/**
 * The ways to compute a convolution, its transpose or its weight's gradient, over one axis or two. `register` needs no
 * workgroup memory and `broadcast` no barriers, which suits CPU drivers; tiles, by threads or by matrix units, are for GPUs.
 */
function convFamily<A extends AnyConvAttributes>(name: string, kind: Kind, register: Variant<A>['run']): Family<A> {
  const geometry = (inputs: readonly Tensor[], outputs: readonly Tensor[], attributes: A) =>
    geometryOf(rolesOf(kind, inputs, outputs), attributes);
  const recorded =
    (
      record: (device: Device, operands: readonly Tensor[], out: Tensor, geometry: Geometry) => void,
    ): Variant<A>['run'] =>
    (device, inputs, outputs, attributes) =>
      withDense(device, inputs, (dense) => record(device, dense, outputs[0], geometry(inputs, outputs, attributes)));
  const byBroadcast = (variant: BroadcastVariant): Variant<A> => ({
    name: variant,
    legal: (device) => canBroadcast(device, variant),
    run: recorded((device, dense, out, sizes) => runBroadcast(device, variant, kind, dense, out, sizes)),
  });
  const byTiles = (label: string, tiling: ConvTiling): Variant<A> => ({
    name: label,
    legal: (device, inputs, outputs, attributes) =>
      fits(device, inputs, tiling) &&
      !(kind === 'weightGradient' && hangs(device) && !isThin(geometry(inputs, outputs, attributes))),
    run: recorded((device, dense, out, sizes) => runProduct(device, kind, dense, out, sizes, tiling)),
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
        run: recorded((device, dense, out, sizes) => recordWindow(device, dense, out, sizes, kind)),
      },
      {
        name: 'spectrum',
        legal: (device, inputs, outputs, attributes) => hasSpectrum(device, geometry(inputs, outputs, attributes)),
        run: recorded((device, dense, out, sizes) => recordSpectrum(device, dense, out, sizes, kind)),
      },
      {
        name: 'channelsLast',
        legal: (device, inputs, outputs, attributes) => hasRows(device, inputs, geometry(inputs, outputs, attributes)),
        run: recorded((device, dense, out, sizes) => recordChannelsLast(device, dense, out, sizes, kind)),
      },
      byTiles('matrix64', byUnits64),
      byTiles('matrix128x64', byUnits128x64),
      byTiles('matrix128', byUnits128),
    ],
    relevant: ['stride', 'padding', 'dilation', 'groups'],
    prefer: (device, inputs, outputs, attributes) =>
      preferredConv(device, kind, inputs, geometry(inputs, outputs, attributes)),
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

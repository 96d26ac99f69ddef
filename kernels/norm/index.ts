import { emit, fetch, fetchAgain, ownKernel, prepare, prepareFetch } from '../contract.ts';
import {
  normBackwardAffine as affineSource,
  normBackwardColumns as columnsSource,
  emitPieces,
  fetchPieces,
  normBackwardInput as inputSource,
  norm as normSource,
} from '../generated/wgsl.ts';
import { keptConstants, pieceConstants, rowConstants, rowSum } from '../lib/index.ts';

export * from './weight_norm.ts';

/** The channel of a row's element: the row's first, the element's own, or found by a division, which is dear on a CPU. */
export const channelOf = ({ channelsPerGroup, spatial }: { channelsPerGroup: number; spatial: number }) => {
  const channel = channelsPerGroup === 1 ? '0u' : spatial === 1 ? 'i' : 'i / params.spatial';
  return { channelOf: `fn channelOf(i: u32) -> u32 { return ${channel}; }` };
};

/** Layer norm and group norm, Grid: rows / ROWS. */
export const norm = ownKernel({
  name: 'norm',
  source: `${fetchPieces}\n${emitPieces}\n${normSource}`,
  bindings: { input: 'read', weight: 'read', bias: 'read', out: 'readWrite', statistics: 'readWrite' },
  parameters: {
    rows: 'u32',
    length: 'u32',
    groups: 'u32',
    channelsPerGroup: 'u32',
    spatial: 'u32',
    offset: 'u32',
    weightOffset: 'u32',
    biasOffset: 'u32',
    eps: 'f32',
  },
  constants: {
    ...pieceConstants,
    WIDE_AFFINE: 'const WIDE_AFFINE = false;',
    ...keptConstants,
    ...channelOf({ channelsPerGroup: 2, spatial: 2 }),
    InputElement: 'alias InputElement = f32;',
    AffineElement: 'alias AffineElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { fetch, fetchAgain, prepareFetch, emit, prepare },
  rows: rowSum('vec2<f32>'),
});

/** Gradient with respect to the input. Grid: rows / ROWS. */
export const normBackwardInput = ownKernel({
  name: 'norm_backward_input',
  source: `${emitPieces}\n${inputSource}`,
  bindings: { x: 'read', weight: 'read', statistics: 'read', grad: 'read', out: 'readWrite' },
  parameters: {
    rows: 'u32',
    length: 'u32',
    groups: 'u32',
    channelsPerGroup: 'u32',
    spatial: 'u32',
    xOffset: 'u32',
    weightOffset: 'u32',
    gradOffset: 'u32',
    statisticsOffset: 'u32',
  },
  constants: {
    ...pieceConstants,
    WIDE_AFFINE: 'const WIDE_AFFINE = false;',
    ...keptConstants,
    ...channelOf({ channelsPerGroup: 2, spatial: 2 }),
    Element: 'alias Element = f32;',
    AffineElement: 'alias AffineElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit, prepare },
  rows: rowSum('vec2<f32>'),
});

/** Gradients of weight and bias as [2, channels]. Grid: channels / ROWS. */
export const normBackwardAffine = ownKernel({
  name: 'norm_backward_affine',
  source: affineSource,
  bindings: { x: 'read', statistics: 'read', grad: 'read', out: 'readWrite' },
  parameters: {
    rows: 'u32',
    length: 'u32',
    groups: 'u32',
    channelsPerGroup: 'u32',
    spatial: 'u32',
    xOffset: 'u32',
    gradOffset: 'u32',
    statisticsOffset: 'u32',
  },
  constants: { ...rowConstants, Element: 'alias Element = f32;' },
  rows: rowSum('vec2<f32>'),
});

/** The same for a layer norm, over chunks of rows: [chunks, 2, length]. Grid: chunks * length / 64. */
export const normBackwardColumns = ownKernel({
  name: 'norm_backward_columns',
  source: columnsSource,
  bindings: { x: 'read', statistics: 'read', grad: 'read', out: 'readWrite' },
  parameters: {
    rows: 'u32',
    length: 'u32',
    chunk: 'u32',
    chunks: 'u32',
    xOffset: 'u32',
    gradOffset: 'u32',
    statisticsOffset: 'u32',
  },
  constants: { Element: 'alias Element = f32;' },
});

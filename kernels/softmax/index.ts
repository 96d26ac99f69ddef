import { emit, fetch, fetchAgain, ownKernel, prepare, prepareFetch } from '../contract.ts';
import {
  softmaxBackward as backwardSource,
  emitPieces,
  fetchPieces,
  crossEntropyBackward as lossBackwardSource,
  crossEntropy as lossSource,
  softmax as softmaxSource,
} from '../generated/wgsl.ts';
import { keptConstants, pieceConstants, rowConstants, rowSmoothedSoftmax, rowSoftmax, rowSum } from '../lib/index.ts';

/** Last axis of [rows, length]. Grid: rows / ROWS. */
export const softmax = ownKernel({
  name: 'softmax',
  source: `${fetchPieces}\n${emitPieces}\n${softmaxSource}`,
  bindings: { input: 'read', out: 'readWrite' },
  parameters: { rows: 'u32', length: 'u32', offset: 'u32' },
  constants: {
    ...pieceConstants,
    ...keptConstants,
    LOGARITHM: 'const LOGARITHM = false;',
    InputElement: 'alias InputElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { fetch, fetchAgain, prepareFetch, emit, prepare },
  rows: rowSoftmax,
});

/** The gradient of what softmax takes, of its result and the result's gradient. */
export const softmaxBackward = ownKernel({
  name: 'softmax_backward',
  source: `${emitPieces}\n${backwardSource}`,
  bindings: { y: 'read', grad: 'read', out: 'readWrite' },
  parameters: { rows: 'u32', length: 'u32', yOffset: 'u32', gradOffset: 'u32' },
  constants: {
    ...pieceConstants,
    ...keptConstants,
    LOGARITHM: 'const LOGARITHM = false;',
    Element: 'alias Element = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { emit },
  rows: rowSum(),
});

const lossConstants = {
  WEIGHTED: 'const WEIGHTED = true;',
  SMOOTHED: 'const SMOOTHED = true;',
};

/** Losses [rows], and [rows, 2] for the gradient, of logits [rows, length] and classes [rows]. Grid: rows / ROWS. */
export const crossEntropy = ownKernel({
  name: 'cross_entropy',
  source: lossSource,
  bindings: { input: 'read', classes: 'read', weight: 'read', out: 'readWrite', statistics: 'readWrite' },
  parameters: {
    rows: 'u32',
    length: 'u32',
    offset: 'u32',
    targetOffset: 'u32',
    weightOffset: 'u32',
    ignored: 'u32',
    smoothing: 'f32',
  },
  constants: {
    ...rowConstants,
    ...lossConstants,
    InputElement: 'alias InputElement = f32;',
    OutElement: 'alias OutElement = f32;',
  },
  hooks: { fetch, emit },
  rows: rowSmoothedSoftmax,
});

/** Gradient with respect to the logits, one thread an element. */
export const crossEntropyBackward = ownKernel({
  name: 'cross_entropy_backward',
  source: lossBackwardSource,
  bindings: {
    x: 'read',
    classes: 'read',
    statistics: 'read',
    grad: 'read',
    weight: 'read',
    weightSum: 'read',
    out: 'readWrite',
  },
  parameters: {
    rows: 'u32',
    length: 'u32',
    xOffset: 'u32',
    targetOffset: 'u32',
    statisticsOffset: 'u32',
    gradOffset: 'u32',
    weightOffset: 'u32',
    ignored: 'u32',
    smoothing: 'f32',
  },
  constants: { ...lossConstants, Element: 'alias Element = f32;', OutElement: 'alias OutElement = f32;' },
  hooks: { emit },
});

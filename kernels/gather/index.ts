import { ownKernel } from '../contract.ts';
import {
  gather as gatherSource,
  overlapAdd as overlapAddSource,
  scatterAdd as scatterAddSource,
  scatterAddSorted as sortedSource,
} from '../generated/wgsl.ts';

/** Reads along one axis by index: index select, or one index an element. */
export const gather = ownKernel({
  name: 'gather',
  source: gatherSource,
  bindings: { x: 'read', index: 'read', out: 'readWrite' },
  parameters: {
    outer: 'u32',
    extent: 'u32',
    inner: 'u32',
    count: 'u32',
    xOffset: 'u32',
    indexOffset: 'u32',
    outsideBits: 'u32',
  },
  constants: {
    Element: 'alias Element = f32;',
    fromBits: 'fn fromBits(bits: u32) -> Element { return bitcast<Element>(bits); }',
    PER_ELEMENT: 'const PER_ELEMENT = false;',
  },
});

/** Adds along one axis by index, without atomics. */
export const scatterAdd = ownKernel({
  name: 'scatter_add',
  source: scatterAddSource,
  bindings: { source: 'read', index: 'read', out: 'readWrite' },
  parameters: { outer: 'u32', extent: 'u32', inner: 'u32', count: 'u32', sourceOffset: 'u32', indexOffset: 'u32' },
  constants: {
    Scalar: 'alias Scalar = f32;',
    Element: 'alias Element = f32;',
    PER_ELEMENT: 'const PER_ELEMENT = false;',
  },
});

/** The same by a sorted index list. */
export const scatterAddSorted = ownKernel({
  name: 'scatter_add_sorted',
  source: sortedSource,
  bindings: { source: 'read', keys: 'read', order: 'read', out: 'readWrite' },
  parameters: { outer: 'u32', extent: 'u32', inner: 'u32', count: 'u32', sourceOffset: 'u32' },
  constants: {
    Scalar: 'alias Scalar = f32;',
    Element: 'alias Element = f32;',
    PER_ELEMENT: 'const PER_ELEMENT = false;',
  },
});

/** Frames laid over each other along an axis. A thread an output. */
export const overlapAdd = ownKernel({
  name: 'overlap_add',
  source: overlapAddSource,
  bindings: { x: 'read', out: 'readWrite' },
  parameters: { length: 'u32', inner: 'u32', frames: 'u32', size: 'u32', step: 'u32', count: 'u32', offset: 'u32' },
  constants: { Element: 'alias Element = f32;' },
});

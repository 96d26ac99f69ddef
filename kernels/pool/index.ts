import { ownKernel, windowFields } from '../contract.ts';
import { maxPool2dBackward as backwardSource, maxPool2d as forwardSource } from '../generated/wgsl.ts';

/** Grid: outputs / 64. */
export const maxPool2d = ownKernel({
  name: 'max_pool2d',
  source: forwardSource,
  bindings: { x: 'read', out: 'readWrite', indices: 'readWrite' },
  parameters: {
    size: 'u32',
    inHeight: 'u32',
    inWidth: 'u32',
    outHeight: 'u32',
    outWidth: 'u32',
    ...windowFields,
    xOffset: 'u32',
  },
  constants: { Element: 'alias Element = f32;' },
});

/** Grid: elements of the input / 64. */
export const maxPool2dBackward = ownKernel({
  name: 'max_pool2d_backward',
  source: backwardSource,
  bindings: { grad: 'read', indices: 'read', out: 'readWrite' },
  parameters: {
    size: 'u32',
    height: 'u32',
    width: 'u32',
    gradHeight: 'u32',
    gradWidth: 'u32',
    ...windowFields,
    gradOffset: 'u32',
    indicesOffset: 'u32',
  },
  constants: { Element: 'alias Element = f32;' },
});

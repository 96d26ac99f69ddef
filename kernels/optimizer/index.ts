import { defineKernel } from '../contract.ts';
import { adamw as adamwSource, increment as incrementSource, lerp as lerpSource } from '../generated/wgsl.ts';

/** A counter on the GPU. */
export const increment = defineKernel({
  name: 'increment',
  source: incrementSource,
  bindings: { value: 'readWrite' },
  parameters: { offset: 'u32' },
  constants: { Element: 'alias Element = f32;' },
});

/** Running averages, in place. */
export const lerp = defineKernel({
  name: 'lerp',
  source: lerpSource,
  bindings: { value: 'read', weight: 'read', average: 'readWrite' },
  parameters: { size: 'u32', averageOffset: 'u32', valueOffset: 'u32', weightOffset: 'u32' },
  constants: {},
});

/** AdamW over an arena, in place. */
export const adamw = defineKernel({
  name: 'adamw',
  source: adamwSource,
  bindings: {
    gradients: 'read',
    squaredNorm: 'read',
    rate: 'read',
    steps: 'read',
    parameters: 'readWrite',
    firstMoment: 'readWrite',
    secondMoment: 'readWrite',
  },
  parameters: {
    size: 'u32',
    beta1: 'f32',
    beta2: 'f32',
    eps: 'f32',
    weightDecay: 'f32',
    logBeta1: 'f32',
    logBeta2: 'f32',
    clipNorm: 'f32',
    rateOffset: 'u32',
    stepsOffset: 'u32',
  },
  constants: {},
});

import { defineKernel } from '../contract.ts';
import { adamw as adamwSource } from '../generated/wgsl.ts';

/** AdamW over an arena, in place. */
export const adamw = defineKernel({
  name: 'adamw',
  source: adamwSource,
  bindings: {
    gradients: 'read',
    squaredNorm: 'read',
    parameters: 'readWrite',
    firstMoment: 'readWrite',
    secondMoment: 'readWrite',
  },
  parameters: {
    size: 'u32',
    learningRate: 'f32',
    beta1: 'f32',
    beta2: 'f32',
    eps: 'f32',
    weightDecay: 'f32',
    correction1: 'f32',
    correction2: 'f32',
    clipNorm: 'f32',
  },
  constants: {},
});

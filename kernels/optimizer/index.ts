import { ownKernel } from '../contract.ts';
import {
  adamw as adamwSource,
  increment as incrementSource,
  lerp as lerpSource,
  gradientNorm as normSource,
  numbers,
} from '../generated/wgsl.ts';
import { rowConstants, rowSum } from '../lib/index.ts';

/** A counter on the GPU. */
export const increment = ownKernel({
  name: 'increment',
  source: incrementSource,
  bindings: { value: 'readWrite' },
  parameters: { offset: 'u32' },
  constants: { Element: 'alias Element = f32;' },
});

/** Running averages, in place. */
export const lerp = ownKernel({
  name: 'lerp',
  source: lerpSource,
  bindings: { value: 'read', weight: 'read', average: 'readWrite' },
  parameters: { size: 'u32', averageOffset: 'u32', valueOffset: 'u32', weightOffset: 'u32' },
  constants: {},
});

/** What a thread takes at once, for kernels of parameter arenas. */
const vectorConstants = {
  Vector: 'alias Vector = vec4<f32>;',
  WIDTH: 'const WIDTH = 4u;',
  inside: `fn inside(i: u32) -> vec4<bool> { return WIDTH * i + vec4<u32>(0u, 1u, 2u, 3u) < vec4<u32>(params.size); }
fn total(v: Vector) -> f32 { return (v.x + v.y) + (v.z + v.w); }`,
};

/** The same with single numbers. */
const scalarConstants = {
  Vector: 'alias Vector = f32;',
  WIDTH: 'const WIDTH = 1u;',
  inside: `fn inside(i: u32) -> bool { return i < params.size; }
fn total(v: Vector) -> f32 { return v; }`,
};

/** Four neighbours a thread, or one where neighbouring threads share a SIMD register: on CPU drivers. */
export const arenaConstants = { vectors: vectorConstants, scalars: scalarConstants };

/** Sums of squares of an arena's gradients by chunks, [chunks]. Grid: chunks. */
export const gradientNorm = ownKernel({
  name: 'gradient_norm',
  source: normSource,
  bindings: { gradients: 'read', state: 'readWrite', sums: 'readWrite' },
  parameters: { size: 'u32', chunk: 'u32', begins: 'u32' },
  constants: { ...rowConstants, ...vectorConstants },
  rows: rowSum(),
});

/** AdamW over an arena, in place. Grid: vectors / chunk. */
export const adamw = ownKernel({
  name: 'adamw',
  source: `${numbers}\n${adamwSource}`,
  bindings: {
    gradients: 'read',
    sums: 'read',
    rate: 'read',
    state: 'readWrite',
    parameters: 'readWrite',
    firstMoment: 'readWrite',
    secondMoment: 'readWrite',
    squaredNorm: 'readWrite',
  },
  parameters: {
    size: 'u32',
    chunk: 'u32',
    sums: 'u32',
    beta1: 'f32',
    beta2: 'f32',
    eps: 'f32',
    weightDecay: 'f32',
    logBeta1: 'f32',
    logBeta2: 'f32',
    clipNorm: 'f32',
    interval: 'f32',
    ends: 'u32',
    rate: 'f32',
    rateOffset: 'u32',
  },
  constants: { THREADS: 'const THREADS = 256u;', ...vectorConstants, RATE_IN_MEMORY: 'const RATE_IN_MEMORY = true;' },
});

import { differentiableAttention } from './attention.ts';
import { complexMul } from './complex.ts';
import { differentiableConvolutions } from './conv.ts';
import { differentiableConvNorms } from './conv-norm-gelu.ts';
import { differentiableConvolutions2d } from './conv2d.ts';
import { differentiableLosses } from './cross-entropy.ts';
import { differentiableElementwise, otherElementwise } from './elementwise.ts';
import { differentiableFourier } from './fft.ts';
import { arange, full } from './fill.ts';
import { differentiableGathers } from './gather.ts';
import { matmul } from './matmul.ts';
import { differentiableNorms } from './norm.ts';
import type { Op } from './op.ts';
import { differentiablePools } from './pool.ts';
import { differentiableRandom, otherRandom } from './random.ts';
import { differentiableReductions, otherReductions } from './reduce.ts';
import { differentiableScans } from './scan.ts';
import { differentiableSoftmax } from './softmax.ts';
import { otherSorts } from './sort.ts';
import { otherTraining } from './training.ts';
import { differentiableFrames } from './unfold.ts';
import { detach, expand, permute, reshape, slice } from './views.ts';
import { differentiableWeightNorms } from './weight-norm.ts';

/** Operations with a gradient: the autograd package does not compile until each of them has a rule. */
export const differentiableOps = {
  ...differentiableElementwise,
  ...differentiableReductions,
  ...differentiableScans,
  ...differentiableSoftmax,
  ...differentiableLosses,
  ...differentiableNorms,
  ...differentiableAttention,
  ...differentiableWeightNorms,
  ...differentiableConvolutions,
  ...differentiableConvolutions2d,
  ...differentiableConvNorms,
  ...differentiablePools,
  ...differentiableGathers,
  ...differentiableRandom,
  ...differentiableFourier,
  ...differentiableFrames,
  complexMul,
  matmul,
  reshape,
  permute,
  slice,
  expand,
};

/** Operations without one: integers and booleans come out, nothing differentiable goes in, or they work in place. */
const otherOps = {
  ...otherElementwise,
  ...otherReductions,
  ...otherRandom,
  ...otherSorts,
  ...otherTraining,
  full,
  arange,
  detach,
};

/** Every operation there is. */
export const opTable = { ...differentiableOps, ...otherOps };

/** Names of the op table. */
export type OpName = keyof typeof opTable;
/** Names of the operations that have a gradient rule. */
export type DifferentiableOpName = keyof typeof differentiableOps;
/** The attributes that an operation takes beside its tensors. */
export type AttributesOf<N extends OpName> = (typeof opTable)[N] extends Op<infer A> ? A : never;

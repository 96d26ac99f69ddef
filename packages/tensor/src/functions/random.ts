import { apply } from '../apply.ts';
import { type Device, getDefaultDevice } from '../device/device.ts';
import { checkAlive, checkCreation, checkOptions, checkProbability } from '../ops/arguments.ts';
import type { RandomKey } from '../ops/random.ts';
import { checkShape, type Shape } from '../shape.ts';
import type { Literal, ShapeOf } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';

/** How random numbers are drawn, and of what dtype. */
export interface DrawOptions extends RandomKey {
  /** f32 by default; f16 gives the same draws, rounded. */
  dtype?: 'f32' | 'f16';
  device?: Device;
}

const keyOptions = ['seed', 'stream', 'step'];
const uniformOptions = ['low', 'high', ...keyOptions, 'dtype', 'device'];
const normalOptions = ['mean', 'std', ...keyOptions, 'dtype', 'device'];
/** What names a stream of draws, which nothing else does: there is no generator with a state. */
const keyNeeded = ['seed', 'stream'];

/** Uniform draws in [low, high) by Philox; `seed` and `stream` name them. */
export function uniform<const S extends Shape>(
  shape: S,
  options: DrawOptions & { low?: number; high?: number },
): Tensor<Literal<S>> {
  checkCreation('uniform', options, uniformOptions, keyNeeded);
  checkShape(shape, 'uniform');
  const { low = 0, high = 1, ...key } = options;
  const { step, device = step?.device ?? getDefaultDevice(), ...stream } = key;
  return apply('uniform', step ? [step] : [], { shape: [...shape], low, high, ...stream, device })[0];
}

/** Normal draws by Philox; `seed` and `stream` name them. */
export function normal<const S extends Shape>(
  shape: S,
  options: DrawOptions & { mean?: number; std?: number },
): Tensor<Literal<S>> {
  checkCreation('normal', options, normalOptions, keyNeeded);
  checkShape(shape, 'normal');
  const { mean: centre = 0, std = 1, ...key } = options;
  const { step, device = step?.device ?? getDefaultDevice(), ...stream } = key;
  return apply('normal', step ? [step] : [], { shape: [...shape], mean: centre, std, ...stream, device })[0];
}

/** Zeroes elements with probability p and scales the rest by 1 / (1 - p); p = 0 returns x itself. */
export function dropout<T extends Tensor>(x: T, options: RandomKey & { p: number }): Tensor<ShapeOf<T>> {
  checkAlive('dropout', x);
  checkOptions('dropout', options, ['p', ...keyOptions], ['p', ...keyNeeded]);
  const { p, step, ...key } = options;
  checkProbability('dropout', 'p', p);
  return p === 0 ? x : apply('dropout', step ? [x, step] : [x], { p, ...key })[0];
}

import type { Pass, Work } from '../work.ts';

/** `dense`: ours too, but by plain products of matrices, as a yardstick. */
export const engineNames = ['dawnchorus', 'dense', 'tfjs-webgpu', 'jax-js-webgpu', 'torch'] as const;
export type EngineName = (typeof engineNames)[number];

/** `gpu`: timestamps around the kernels; `wall`: the host's clock, with the call and the wait. */
export type Timing = 'gpu' | 'wall';

/** A piece of work with its inputs on the device. */
export interface Prepared {
  /** Does it once, with its wait: milliseconds. */
  run(): Promise<number>;
  /** Does it once more: the output, then the gradients of the inputs, in our layouts. */
  read(): Promise<ArrayLike<number>[]>;
  dispose(): void;
}

/** Something that does the work. */
export interface Engine {
  readonly name: EngineName;
  /** What it runs on. */
  readonly adapter: string;
  /** Undefined where it has no such operation. */
  prepare(work: Work, pass: Pass): Promise<Prepared | undefined>;
  /** Why it prepares nothing for this, where that is not for want of the operation. */
  whyNot?(work: Work): string | undefined;
  close(): void;
}

export async function wallTime(body: () => Promise<unknown>): Promise<number> {
  const start = performance.now();
  await body();
  return performance.now() - start;
}

export { AdamW, type AdamWOptions, type LossScaleOptions, type Moments } from './adamw.ts';
export { createArena, type Shard } from './arena.ts';
export { cosineDecay, polynomialDecay } from './schedule.ts';

export { AdamW, type AdamWOptions, type LossScaleOptions, type Moments } from './adamw.ts';
export { createArena, type Shard } from './arena.ts';
export { polynomialDecay } from './schedule.ts';

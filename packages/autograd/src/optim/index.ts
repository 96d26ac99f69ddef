export { AdamW, type AdamWOptions } from './adamw.ts';
export { createArena, type Shard } from './arena.ts';
export { polynomialDecay } from './schedule.ts';

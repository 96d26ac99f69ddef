export * from './classification.ts';
export type { LossOptions } from './reduction.ts';
export * from './regression.ts';
export * from './similarity.ts';

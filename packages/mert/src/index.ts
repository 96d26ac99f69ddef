/**
 * MERT: self-supervised pretraining of a music-audio transformer, its teachers, data and checkpoints.
 *
 * @module @dawnchorus/mert
 */
export * from './browser.ts';
export * from './codec/index.ts';
export { listAudio } from './data/collection.ts';
export * from './data/dataset.ts';
export { createFeed, type Feed } from './data/feed.ts';
export { type ManifestOptions, type ManifestResult, writeManifest } from './data/manifest.ts';
export type { AudioItem, Place } from './data/places.ts';
export * from './embed/index.ts';
export * from './evaluation/index.ts';
export * from './huggingface/index.ts';
export * from './kmeans/index.ts';
export * from './labels/index.ts';
export * from './pictures/index.ts';
export * from './proxies/index.ts';
export * from './seeing/index.ts';
export type { Rollback } from './training/divergence.ts';
export { type PretrainOptions, type PretrainResult, pretrain } from './training/pretrain.ts';
export { saveTensors, type TrainerState } from './training/state.ts';
export * from './yardsticks/index.ts';

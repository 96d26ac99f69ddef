/**
 * Files that tensors travel in.
 *
 * @module @dawnchorus/formats
 */
export * from './atomic.ts';
export * from './npy.ts';
export * from './safetensors.ts';

/**
 * Files that tensors travel in.
 *
 * @module @dawnchorus/formats
 */
export {
  type AtomicOptions,
  type Chunks,
  type MetricsLog,
  type MetricsRecord,
  openMetricsLog,
  truncateMetricsLog,
  writeAtomically,
  writeJson,
} from '#atomic';
export { openReplacement, type Replacement } from '#replacement';
export type { FileSource } from './bytes.ts';
export type {
  Conversion,
  ConvertedArrays,
  ElementArray,
  ElementArrays,
  ElementType,
} from './elements.ts';
export type { Writable } from './encode.ts';
export { FormatError } from './error.ts';
export type { ReadOptions } from './layout.ts';
export * from './npy.ts';
export { npyTypes } from './npyHeader.ts';
export * from './npz.ts';
export * from './onnx/index.ts';
export * from './parts.ts';
export * from './safetensors.ts';
export type { ConvertedTensor, TensorFile } from './tensorFile.ts';
export * from './torch/index.ts';

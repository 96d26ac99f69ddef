export * from './audio/index.ts';
export { type Cqt, type CqtOptions, type CqtOutput, createCqt } from './cqt.ts';
export {
  type CqtKernel,
  type CqtNormalization,
  type CqtSettings,
  cqtFrequencies,
  cqtKernel,
  cqtLengths,
} from './cqt-kernels.ts';
export * from './resample.ts';

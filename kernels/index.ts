/**
 * Kernels in WGSL by family, each with its host's contract, and `defineKernel` for kernels of your own.
 *
 * @module @dawnchorus/kernels
 */
export * as attention from './attention/index.ts';
export * from './contract.ts';
export * as conv from './conv/index.ts';
export * as cqt from './cqt/index.ts';
export * as elementwise from './elementwise/index.ts';
export * as fft from './fft/index.ts';
export * as gather from './gather/index.ts';
export * as rows from './lib/index.ts';
export * as lstm from './lstm/index.ts';
export * as matmul from './matmul/index.ts';
export * as norm from './norm/index.ts';
export * as optimizer from './optimizer/index.ts';
export * as peak from './peak/index.ts';
export * as pool from './pool/index.ts';
export * as random from './random/index.ts';
export * as reduce from './reduce/index.ts';
export * as resample from './resample/index.ts';
export * as rvq from './rvq/index.ts';
export * as scan from './scan/index.ts';
export * as softmax from './softmax/index.ts';
export * as sort from './sort/index.ts';

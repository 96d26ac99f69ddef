export type { Lowering, OnnxBuilder, OnnxTensor, OnnxValue } from './builder.ts';
export { exportOnnx, type OnnxOptions, writeOnnx } from './export.ts';
export type { OnnxAttribute, OnnxDType, OnnxInitializer, OnnxNode, OnnxPort } from './model.ts';

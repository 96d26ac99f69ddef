export { cropSamples, frameCount, frameLength } from './checks.ts';
export {
  CQT_BINS,
  classesOf,
  countParameters,
  cqtSettingsAt,
  type ParameterCounts,
} from './count.ts';
export { fromHuggingFace, type HuggingFaceFiles, toHuggingFace } from './huggingface.ts';
export { type ConfigSources, loadConfig, presets, renamePretraining } from './load.ts';
export { configSchema, type ModelConfig, type PretrainConfig } from './schema.ts';
export { type Named, projectedChannels, studentShapes } from './shapes.ts';

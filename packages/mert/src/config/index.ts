export { cropSamples, frameCount } from './checks.ts';
export { fromHuggingFace, type HuggingFaceFiles, toHuggingFace } from './huggingface.ts';
export { type ConfigSources, loadConfig, presets } from './load.ts';
export { configSchema, type ModelConfig, type PretrainConfig } from './schema.ts';

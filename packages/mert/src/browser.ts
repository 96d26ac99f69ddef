/**
 * MERT in browsers: the student, its losses, training step and RVQ-VAE teacher, and models that embed sounds. What needs files,
 * processes or threads is in index.ts alone: folders of music, runs, labels, tasks and the command line.
 *
 * @module
 */
export * from './config/index.ts';
export * from './data/batch.ts';
export { createEmbedder, type Embedder, type EmbedSettings } from './embed/embedder.ts';
export { type HiddenStateChoice, parseLayers } from './embed/layers.ts';
export { type AudioInput, type Embedding, type EmbedOptions, loadMert, type Mert } from './embed/load.ts';
export type { Pool, Sink } from './embed/sinks.ts';
export { planWindows, type Window } from './embed/windows.ts';
export { type ModelFiles, type ModelPlace, readModelFiles } from './huggingface/read.ts';
export { type LoadOptions, loadParameters, namedForHuggingFace } from './model/checkpoint.ts';
export type {
  Encoder,
  EncoderLayer,
  EncoderOptions,
  FeedForward,
  LayerOptions,
  PositionalConvolution,
} from './model/encoder.ts';
export type { ConvLayer, FeatureExtractor } from './model/extractor.ts';
export { Heads, type HeadsConfig, type HeadsOutput, type HeadsTargets, type SpectrumHead } from './model/heads.ts';
export {
  drawReplacements,
  type MaskedInput,
  type MaskingOptions,
  type MaskingPlan,
  maskBatch,
  maskingAt,
  mostMasked,
} from './model/masking.ts';
export {
  drawMixture,
  type MixtureDraw,
  type MixtureOptions,
  mix,
  mixOnDevice,
  type UploadedMixture,
  uploadMixture,
} from './model/mixture.ts';
export { normaliseWaveform } from './model/normalise.ts';
export {
  type Batch,
  type LossWeights,
  type ObjectiveOptions,
  type ObjectiveOutput,
  objective,
} from './model/objective.ts';
export { type StudentOnnxOptions, studentToOnnx } from './model/onnx.ts';
export type { Padding } from './model/padding.ts';
export { loadPretrained, type PretrainedModel } from './model/pretrained.ts';
export { type FeatureProjection, Student, type StudentOptions, type StudentOutput } from './model/student.ts';
export type { Watch } from './model/watch.ts';
export type { HostRandom } from './random.ts';
export { Autoencoder, type Upsample } from './rvq/autoencoder.ts';
export {
  type Codebook,
  emptyQuantizer,
  kMeans,
  ResidualQuantizer,
  startQuantizer,
  type UpdateOptions,
} from './rvq/quantizer.ts';
export { RvqTeacher, type TeacherStep, type TeacherTraining, trainTeacher } from './rvq/teacher.ts';
export { type Measured, readMetrics, type StepMetrics } from './training/metrics.ts';
export type { Precision } from './training/precision.ts';
export {
  cqtSettings,
  createTrainer,
  disposeTrainer,
  type Evaluation,
  evaluateStep,
  learn,
  type StepOutput,
  type Trainer,
  trainStep,
  wholeStep,
} from './training/step.ts';
export {
  askTeachers,
  type TargetStatistics,
  type Teachers,
  type UploadedBatch,
  uploadBatch,
} from './training/targets.ts';

/**
 * MERT: self-supervised pretraining of a music-audio transformer, its teachers, data and checkpoints.
 *
 * @module @dawnchorus/mert
 */
export * from './codec/index.ts';
export * from './config/index.ts';
export * from './data/batch.ts';
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
export * from './pictures/index.ts';
export * from './proxies/index.ts';
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
export * from './seeing/index.ts';
export type { Rollback } from './training/divergence.ts';
export { type Measured, readMetrics, type StepMetrics } from './training/metrics.ts';
export type { Precision } from './training/precision.ts';
export { type PretrainOptions, type PretrainResult, pretrain } from './training/pretrain.ts';
export { saveTensors, type TrainerState } from './training/state.ts';
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
export * from './yardsticks/index.ts';

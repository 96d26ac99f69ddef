/**
 * MERT: self-supervised pretraining of a music-audio transformer, its teachers, data and checkpoints.
 *
 * @module @dawnchorus/mert
 */
export * from './codec/index.ts';
export * from './config/index.ts';
export * from './data/batch.ts';
export * from './data/dataset.ts';
export * from './evaluation/index.ts';
export * from './kmeans/index.ts';
export * from './labels/index.ts';
export { type LoadOptions, loadParameters, namedForHuggingFace } from './model/checkpoint.ts';
export type { Encoder, EncoderLayer, FeedForward, PositionalConvolution } from './model/encoder.ts';
export type { ConvLayer, FeatureExtractor } from './model/extractor.ts';
export { type CqtModel, Heads, type HeadsConfig, type HeadsOutput } from './model/heads.ts';
export { type MaskingOptions, maskBatch } from './model/masking.ts';
export { drawMixture, type MixtureDraw, type MixtureOptions, mix } from './model/mixture.ts';
export { type Batch, type LossWeights, type ObjectiveOutput, objective } from './model/objective.ts';
export { loadPretrained, type PretrainedModel } from './model/pretrained.ts';
export { type FeatureProjection, Student, type StudentOutput } from './model/student.ts';
export * from './pictures/index.ts';
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
export { type PretrainOptions, type PretrainResult, pretrain } from './training/pretrain.ts';
export { saveTensors } from './training/state.ts';
export {
  askTeachers,
  cqtSettings,
  createTrainer,
  disposeTrainer,
  type Evaluation,
  evaluateStep,
  learn,
  readMetrics,
  type StepMetrics,
  type TargetStatistics,
  type Teachers,
  type Trainer,
  trainStep,
  type UploadedBatch,
  uploadBatch,
} from './training/step.ts';

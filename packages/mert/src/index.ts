/**
 * MERT: self-supervised pretraining of a music-audio transformer, its teachers, data and checkpoints.
 *
 * @module @dawnchorus/mert
 */
export * from './config/index.ts';
export * from './data/batch.ts';
export * from './data/dataset.ts';
export { loadParameters, namedForHuggingFace } from './model/checkpoint.ts';
export { Heads, type HeadsConfig, type HeadsOutput } from './model/heads.ts';
export { type MaskingOptions, maskBatch } from './model/masking.ts';
export { drawMixture, type MixtureDraw, type MixtureOptions, mix } from './model/mixture.ts';
export { type Batch, type ObjectiveOutput, objective } from './model/objective.ts';
export { loadPretrained, type PretrainedModel } from './model/pretrained.ts';
export { Student, type StudentOutput } from './model/student.ts';
export { Autoencoder } from './rvq/autoencoder.ts';
export { emptyQuantizer, kMeans, ResidualQuantizer, startQuantizer } from './rvq/quantizer.ts';
export { RvqTeacher, trainTeacher } from './rvq/teacher.ts';
export { type PretrainOptions, type PretrainResult, pretrain } from './training/pretrain.ts';
export { saveTensors } from './training/state.ts';
export {
  askTeachers,
  cqtSettings,
  createTrainer,
  disposeTrainer,
  evaluateStep,
  learn,
  readMetrics,
  type Teachers,
  type Trainer,
  trainStep,
  type UploadedBatch,
  uploadBatch,
} from './training/step.ts';

/** K-means on the device. */

export { type Assignment, assign, squaredDistances } from './assign.ts';
export { type Feature, type FeatureName, featureNames, features as kMeansFeatures } from './features.ts';
export { type LloydOptions, type LloydResult, lloyd } from './lloyd.ts';
export {
  type MiniBatchOptions,
  type MiniBatchResult,
  type MiniBatchState,
  type MiniBatchStep,
  miniBatchKMeans,
  miniBatchStep,
} from './minibatch.ts';
export { kMeansPlusPlus } from './plus-plus.ts';
export { createKMeansTeacher, type KMeansStream, loadKMeansTeacher, saveKMeans } from './teacher.ts';
export { type KMeansTrained, type KMeansTraining, type StreamReport, trainKMeans } from './train.ts';

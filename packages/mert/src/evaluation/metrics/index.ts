/** The metrics of the 14 tasks, in f64, as mir_eval and scikit-learn define them. */
export { type BeatScores, beat, eventFMeasure, TRIM_SECONDS } from './beat.ts';
export { type ClassificationScores, classification } from './classification.ts';
export { key_matrix, keyIndex, keyNames, keyScore, weightedKeyScore } from './key.ts';
export { averagePrecision, type MultilabelScores, multilabel, rocAuc } from './multilabel.ts';
export { type R2Scores, r2 } from './r2.ts';
export { globalSdr, type SdrScores, sdr } from './sdr.ts';

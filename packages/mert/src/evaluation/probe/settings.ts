/** How heads learn. */

/** Settings of a probe; the defaults are the paper's. */
export interface ProbeSettings {
  /** One layer, or `weighted`: a learned sum of all; `sweep`: each, and the sum, and the best on validation is taken. */
  layer: number | 'weighted' | 'sweep';
  /** Learning rates, of which validation chooses. */
  rates: readonly number[];
  /** Each learns anew at the chosen layer and rate; the first also chooses. */
  seeds: readonly number[];
  hidden: number;
  dropout: number;
  /** Windows in a step; of frame-wise tasks crops. */
  batchSize: number;
  /** Passes over the training data at most; the task's unless given. */
  epochs?: number;
  /** Passes without a better validation score before the end; the task's unless given. */
  patience?: number;
  /** Whether features are brought to zero mean and unit variance over the training clips; as the source has it unless given. */
  standardise?: boolean;
  /** Whether labels of training and validation are dealt out anew among their clips: scores must fall to chance. */
  shuffleLabels: boolean;
  beats: BeatSettings;
  separation: SeparationSettings;
}

/** Settings of the beat head. */
export interface BeatSettings {
  hidden: number;
  /** Of the crops of the training clips. */
  cropSeconds: number;
  /** Clips that are decoded after each pass; the choice among layers and rates is by these, too. */
  validClips: number;
}

/** Settings of the separation head. */
export interface SeparationSettings {
  /** Width, of both directions of the LSTM together, too. */
  hidden: number;
  lstmLayers: number;
  /** Windows in a step. */
  batchSize: number;
  rate: number;
  /** Frames that the LSTM reads at once while it learns: parts of the windows of 6 s. */
  frames: number;
  /** Samples of a transform; the spectrogram has half as many bins, and one. */
  nFft: number;
  /** Whether layers are swept; else a sweep is the learned sum alone. */
  sweepLayers: boolean;
  /** Whether steps are compiled, which takes seconds and pays after some hundred steps. */
  compiled: boolean;
}

/** MARBLE's grid of learning rates; the MERT paper's is the same without the first. */
export const paperRates = [5e-5, 1e-4, 5e-4, 1e-3, 5e-3, 1e-2];

/** The paper's protocol. */
export const paperSettings: ProbeSettings = {
  layer: 'weighted',
  rates: paperRates,
  seeds: [1234, 1235, 1236],
  hidden: 512,
  dropout: 0.2,
  batchSize: 64,
  shuffleLabels: false,
  beats: { hidden: 512, cropSeconds: 10, validClips: 1000 },
  separation: {
    hidden: 512,
    lstmLayers: 3,
    batchSize: 16,
    rate: 1e-3,
    frames: 451,
    nFft: 2048,
    sweepLayers: true,
    compiled: true,
  },
};

/** A smaller protocol for small data on slow machines: fewer rates and passes, and small heads for beats and separation. */
export const quickSettings: ProbeSettings = {
  ...paperSettings,
  rates: [1e-4, 5e-4, 1e-3, 5e-3],
  epochs: 40,
  patience: 8,
  beats: { hidden: 128, cropSeconds: 5, validClips: 8 },
  separation: {
    ...paperSettings.separation,
    ...{ hidden: 64, lstmLayers: 1, batchSize: 8, rate: 5e-3, frames: 64, sweepLayers: false },
  },
};

/**
 * Published results: of MARBLE's first version (Yuan et al., 2023, arXiv 2306.10548, tables 3 and 4, constrained track),
 * which probes frozen features as is done here, in the units of `metrics`: shares of one, and dB.
 */
import type { TaskName } from './names.ts';

/** Models whose published scores stand beside ours. */
export const publishedModels = ['MERT-95M', 'MERT-330M', 'MusiCNN', 'CLMR', 'Jukebox', 'MULE'] as const;
/** One of `publishedModels`. */
export type PublishedModel = (typeof publishedModels)[number];

/** Where the published scores are from. */
export const publishedSource =
  'Yuan et al., MARBLE, 2023, arXiv 2306.10548, tables 3 and 4 (constrained track); separation only of MERT. The MERT paper (Li et al., 2024, arXiv 2306.00107) has the same models up to 4 points higher, after wider tuning';

/** Percentages of the tables, in the order of `publishedModels`; null where a table has none. */
const percentages: Partial<Record<TaskName, Record<string, readonly (number | null)[]>>> = {
  tagging: { roc_auc_macro: [91.0, 91.1, 90.3, 89.5, 91.4, 91.2], ap_macro: [39.3, 39.5, 37.8, 36.0, 40.6, 40.1] },
  key: { weighted_score: [63.5, 61.7, 14.4, 14.8, 63.8, 64.9] },
  genre: { accuracy: [74.8, 77.6, 73.5, 65.2, 77.9, 75.5] },
  beats: { f70ms: [88.3, 87.9, null, null, null, null] },
  emotion: { r2_arousal: [76.3, 75.8, 68.8, 70.3, 73.0, 73.1], r2_valence: [55.5, 59.0, 44.4, 44.4, 57.0, 60.7] },
  instrument: { accuracy: [70.7, 72.6, 72.6, 67.9, 70.4, 74.6] },
  pitch: { accuracy: [92.6, 94.4, 64.1, 47.0, 91.6, 88.5] },
  technique: { accuracy: [74.2, 76.9, 70.3, 58.1, 76.7, 75.5] },
  singer: { accuracy: [83.7, 87.1, 57.0, 49.9, 82.6, 87.5] },
  'instrument-tagging': {
    roc_auc_macro: [77.5, 78.1, 74.0, 73.5, 78.5, 76.6],
    ap_macro: [19.4, 19.8, 17.2, 17.0, 22.0, 19.2],
  },
  'mood-tagging': {
    roc_auc_macro: [76.4, 76.5, 74.0, 73.5, 77.6, 78.0],
    ap_macro: [13.4, 14.0, 12.6, 12.6, 15.3, 15.4],
  },
  'genre-tagging': {
    roc_auc_macro: [87.1, 86.7, 86.0, 84.6, 88.0, 88.0],
    ap_macro: [18.8, 18.6, 17.5, 16.2, 20.5, 20.4],
  },
  'top50-tagging': {
    roc_auc_macro: [83.0, 83.4, 82.0, 81.3, 83.7, 83.7],
    ap_macro: [29.0, 29.9, 27.5, 26.4, 30.6, 30.6],
  },
};

const decibels: Record<string, readonly (number | null)[]> = {
  sdr_vocals: [5.5, 5.3, null, null, null, null],
  sdr_drums: [5.5, 5.6, null, null, null, null],
  sdr_bass: [3.8, 3.6, null, null, null, null],
  sdr_other: [3.1, 3.0, null, null, null, null],
};

/** What a model scored, in the units of `metrics`; undefined where nothing was published. */
export function published(task: TaskName, metric: string, model: PublishedModel): number | undefined {
  const at = publishedModels.indexOf(model);
  if (task === 'separation') return decibels[metric]?.[at] ?? undefined;
  const own = percentages[task]?.[metric]?.[at];
  return own == null ? undefined : own / 100;
}

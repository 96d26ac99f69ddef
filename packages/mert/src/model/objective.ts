import type { nn } from '@dawnchorus/autograd';
import { cast, indexSelect, type Tensor } from '@dawnchorus/tensor';
import type { Heads } from './heads.ts';
import type { Student } from './student.ts';

/** What one step trains on. */
export interface Batch {
  /** f32 [batch, samples], mixed and normalised: what the student hears. */
  waveform: Tensor;
  /** bool [batch, frames] */
  mask: Tensor;
  /** i32 [rows]: the masked frames' places in [batch * frames]. */
  rows: Tensor;
  /** i32 [numCodebooks, rows]: the acoustic teacher's codes of the clean clips at the masked frames. */
  labels: Tensor;
  /** f32 [rows, bins]: the musical teacher's spectrum of the clean clips at the masked frames. */
  cqt: Tensor;
}

/** Weights in the whole loss, in which that of the codes has 1. */
export interface LossWeights {
  cqtWeight: number;
  featurePenaltyWeight: number;
}

/** The loss of a batch and its parts: scalars, but one element a codebook in `lossCodes` and `accuracy`. */
export interface ObjectiveOutput {
  loss: Tensor;
  lossCodes: Tensor;
  lossCqt: Tensor;
  featurePenalty: Tensor;
  accuracy: Tensor;
}

/**
 * The pretraining loss of a batch: the cross-entropies of all codebooks summed, plus the weighted constant-Q error and
 * penalty on the convolutions' output (the mean of its squares).
 */
export function objective(
  student: Student,
  heads: Heads,
  batch: Batch,
  weights: LossWeights,
  keys?: nn.KeySequence,
): ObjectiveOutput {
  const { features, hiddenStates } = student.forward(batch.waveform, { mask: batch.mask, keys });
  const last = hiddenStates[hiddenStates.length - 1];
  // Heads and losses are f32 whatever the student computes in: they are few rows.
  const frames = cast(indexSelect(last.reshape([-1, last.shape[2]]), 0, batch.rows), 'f32');
  const { lossCodes, lossCqt, accuracy } = heads.forward(frames, batch.labels, batch.cqt);
  const featurePenalty = cast(features, 'f32').square().mean();
  const loss = lossCodes
    .sum()
    .add(lossCqt.mul(weights.cqtWeight))
    .add(featurePenalty.mul(weights.featurePenaltyWeight));
  return { loss, lossCodes, lossCqt, featurePenalty, accuracy };
}

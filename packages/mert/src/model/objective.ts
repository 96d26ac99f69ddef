import type { nn } from '@dawnchorus/autograd';
import { cast, indexSelect, type Tensor } from '@dawnchorus/tensor';
import type { Heads, HeadsTargets } from './heads.ts';
import type { Student } from './student.ts';
import type { Watch } from './watch.ts';

/** What one step trains on. */
export interface Batch extends HeadsTargets {
  /** f32 [batch, samples], mixed and normalised: what the student hears. */
  waveform: Tensor;
  /** bool [batch, frames]: the frames that the learnt mask stands in for. */
  mask: Tensor;
  /** i32 [batch * frames]: the frame that stands in the place of each, where some are replaced. */
  replacements?: Tensor;
  /** i32 [rows]: the predicted frames' places in [batch * frames]. */
  rows: Tensor;
  /** f32 [batch, bins]: the mean spectrum of each clean clip, for a guess to be compared with. */
  cqtMeans?: Tensor;
}

/** Weights in the whole loss, in which that of the codes has 1. */
export interface LossWeights {
  cqtWeight: number;
  melWeight?: number;
  featurePenaltyWeight: number;
}

/** How a loss is computed. */
export interface ObjectiveOptions {
  /** The draws of dropout and layer drop, while training. */
  keys?: nn.KeySequence;
  watch?: Watch;
  /** Whether transformer layers are computed again in the backward pass, not kept. */
  recompute?: boolean;
}

/** The loss of a batch and its parts: f32 scalars, but one element a codebook in `lossCodes` and `accuracy`. */
export interface ObjectiveOutput {
  loss: Tensor;
  lossCodes: Tensor;
  lossCqt: Tensor;
  lossMel?: Tensor;
  featurePenalty: Tensor;
  accuracy: Tensor;
}

/**
 * The pretraining loss of a batch: the cross-entropies of all codebooks summed, plus the weighted errors of the spectra and
 * the weighted penalty on the convolutions' output (the mean of its squares).
 */
export function objective(
  student: Student,
  heads: Heads,
  batch: Batch,
  weights: LossWeights,
  options: ObjectiveOptions = {},
): ObjectiveOutput {
  const { mask, replacements } = batch;
  const { features, hiddenStates } = student.forward(batch.waveform, { mask, replacements, ...options });
  const last = hiddenStates[hiddenStates.length - 1];
  // Heads and losses are f32 whatever the student computes in: they are few rows.
  const frames = cast(indexSelect(last.reshape([-1, last.shape[2]]), 0, batch.rows), 'f32');
  const { lossCodes, lossCqt, lossMel, accuracy } = heads.forward(frames, batch);
  const featurePenalty = cast(features, 'f32').square().mean();
  let loss = lossCodes.sum().add(lossCqt.mul(weights.cqtWeight)).add(featurePenalty.mul(weights.featurePenaltyWeight));
  if (lossMel) loss = loss.add(lossMel.mul(weights.melWeight ?? 0));
  return { loss, lossCodes, lossCqt, ...(lossMel && { lossMel }), featurePenalty, accuracy };
}

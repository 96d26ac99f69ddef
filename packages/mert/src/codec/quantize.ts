import { stopGradient } from '@dawnchorus/autograd';
import { add, mul, residualCodes, type Tensor, where } from '@dawnchorus/tensor';
import { type Codebook, movedCodebook, type UpdateOptions } from '../rvq/quantizer.ts';

/** What a training step's quantisation gave. */
export interface QuantizedRows {
  /** The sum of the chosen entries, through which the gradient goes as if it were the identity: [rows, dimension]. */
  quantized: Tensor;
  /** Mean squared distance between what each stage saw and its entry, averaged over the stages in use. */
  commitment: Tensor;
  /** i32 [rows] a stage. */
  codes: Tensor[];
  /** What each stage saw, [rows, dimension]; no gradient flows through it. */
  inputs: Tensor[];
}

/**
 * Quantises rows [rows, dimension] in training, all stages in one search. `used` is one scalar a stage, first ones and then
 * zeros: those that are in use, so that a compiled step serves every number of stages (quantiser dropout). The residual of
 * each stage is detached from its entries, and one straight-through estimator stands at the end, as in audiocraft: through
 * the published code's per-stage estimators no commitment reaches the encoder from the second stage on.
 */
export function quantizeRows(rows: Tensor, codebooks: readonly Codebook[], used?: readonly Tensor[]): QuantizedRows {
  const fixed = stopGradient(rows);
  const entries = codebooks.map(({ embed }) => embed);
  const found = residualCodes(fixed, entries, { keep: true });
  const codes = codebooks.map((_, i) => found.codes.select(0, i));
  const left = codebooks.map((_, i) => found.residual.select(0, i));
  const inputs = [fixed, ...left.slice(0, -1)];
  const kept = (value: Tensor, i: number) => (used ? mul(value, used[i]) : value);
  // The distance moves the rows alone: what the stages took off is constant.
  const distances = left.map((own, i) =>
    kept(
      rows
        .sub(stopGradient(fixed.sub(own)))
        .square()
        .mean(),
      i,
    ),
  );
  const taken = left.map((own, i) => kept(inputs[i].sub(own), i));
  const total = (parts: readonly Tensor[]) => parts.reduce((sum, part) => add(sum, part));
  return {
    // The value is the sum of the entries; the gradient goes to the rows.
    quantized: rows.add(stopGradient(total(taken).sub(fixed))),
    commitment: total(distances).div(used ? total(used) : codebooks.length),
    codes,
    inputs,
  };
}

/**
 * The codebooks after a step, see `movedCodebook`; those of stages that were not used stay as they are.
 *
 * @param step what `quantizeRows` gave.
 * @param picks i32 [stages, codes]: rows that take the places of dead codes.
 */
export function movedCodebooks(
  codebooks: readonly Codebook[],
  step: Pick<QuantizedRows, 'codes' | 'inputs'>,
  picks: Tensor,
  options: UpdateOptions,
  used?: readonly Tensor[],
): Codebook[] {
  return codebooks.map((codebook, i) => {
    const moved = movedCodebook(codebook, step.inputs[i], step.codes[i], picks.select(0, i), options);
    if (!used) return moved;
    const keep = used[i].ne(0);
    return {
      embed: where(keep, moved.embed, codebook.embed),
      embedAvg: where(keep, moved.embedAvg, codebook.embedAvg),
      clusterSize: where(keep, moved.clusterSize, codebook.clusterSize),
    };
  });
}

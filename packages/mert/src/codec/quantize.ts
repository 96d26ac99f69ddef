import { stopGradient } from '@dawnchorus/autograd';
import { add, indexSelect, mul, nearestCode, sub, type Tensor, where } from '@dawnchorus/tensor';
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
 * Quantises rows [rows, dimension] in training, the first `used` stages of them: one scalar a stage, 1 or 0, so that a
 * compiled step serves every number of stages (quantiser dropout). The residual of each stage is detached from its entries,
 * and one straight-through estimator stands at the end, as in audiocraft: through the published code's per-stage estimators
 * no commitment reaches the encoder from the second stage on.
 */
export function quantizeRows(rows: Tensor, codebooks: readonly Codebook[], used?: readonly Tensor[]): QuantizedRows {
  const fixed = stopGradient(rows);
  const codes: Tensor[] = [];
  const inputs: Tensor[] = [];
  let [residual, sum, commitment, count]: (Tensor | undefined)[] = [fixed, undefined, undefined, undefined];
  for (const [i, { embed }] of codebooks.entries()) {
    inputs.push(residual!);
    const found = nearestCode(residual!, embed);
    codes.push(found.codes);
    const entry = indexSelect(embed, 0, found.codes);
    const kept = used ? mul(entry, used[i]) : entry;
    // The distance moves the rows alone: what the stages before took off is constant.
    const before = sum ? sub(rows, sum) : rows;
    const distance = before.sub(entry).square().mean();
    const own = used ? mul(distance, used[i]) : distance;
    commitment = commitment ? add(commitment, own) : own;
    if (used) count = count ? add(count, used[i]) : used[i];
    sum = sum ? add(sum, kept) : kept;
    residual = sub(residual!, kept);
  }
  return {
    // The value is the sum of the entries; the gradient goes to the rows.
    quantized: rows.add(stopGradient(sum!.sub(fixed))),
    commitment: count ? commitment!.div(count) : commitment!.div(codebooks.length),
    codes,
    inputs,
  };
}

/**
 * The codebooks after a step, see `movedCodebook`; those of stages that were not used stay as they are.
 *
 * @param picks i32 [stages, codes]: rows that take the places of dead codes.
 */
export function movedCodebooks(
  codebooks: readonly Codebook[],
  { codes, inputs }: Pick<QuantizedRows, 'codes' | 'inputs'>,
  picks: Tensor,
  options: UpdateOptions,
  used?: readonly Tensor[],
): Codebook[] {
  return codebooks.map((codebook, i) => {
    const moved = movedCodebook(codebook, inputs[i], codes[i], picks.select(0, i), options);
    if (!used) return moved;
    const keep = used[i].ne(0);
    return {
      embed: where(keep, moved.embed, codebook.embed),
      embedAvg: where(keep, moved.embedAvg, codebook.embedAvg),
      clusterSize: where(keep, moved.clusterSize, codebook.clusterSize),
    };
  });
}

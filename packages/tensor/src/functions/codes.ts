import { apply } from '../apply.ts';
import { checkBoolean, checkOptions, checkTensors } from '../ops/arguments.ts';
import type { Tensor } from '../tensor.ts';
import { reshape } from './views.ts';

/**
 * Nearest row of codebook [codes, dimension] for each row of x, the first one on ties, and x less that row. The distance
 * is found by a product, |e|^2 / 2 - x e, so that rows which are equally near but for rounding may take either. A row with
 * a NaN takes code 0. f32; no gradient.
 */
export function nearestCode(x: Tensor, codebook: Tensor): { codes: Tensor; residual: Tensor } {
  const [codes, residual] = apply('nearestCode', [x, codebook], {});
  return { codes, residual };
}

/**
 * Residual codes of x [rows, dimension]: each of the codebooks [codes, dimension], of one shape, codes what the ones before
 * it left over, all in one kernel. codes: i32 [codebooks, rows]. residual: what the last one leaves, [rows, dimension]; with
 * `keep` what each of them leaves, [codebooks, rows, dimension]. f32; no gradient.
 *
 * Sources: Zeghidour et al., "SoundStream" (2021); EnCodec's core_vq.py.
 *
 * @throws TypeError or RangeError when something is not f32 or the shapes do not fit.
 */
export function residualCodes(
  x: Tensor,
  codebooks: readonly Tensor[],
  options: { keep?: boolean } = {},
): { codes: Tensor; residual: Tensor } {
  checkTensors('residualCodes', codebooks, 'write [a, b]');
  checkOptions('residualCodes', options, ['keep']);
  const { keep = false } = options;
  checkBoolean('residualCodes', 'keep', keep);
  const [codes, residual] = apply('residualCodes', [x, ...codebooks], { keep });
  return { codes, residual: keep ? residual : reshape(residual, x.shape) };
}

const runningTensors = ['averages', 'sizes', 'picks'];

/**
 * One step of a codebook that follows what it quantises by exponential averages: x [rows, dimension] chose `codes` [rows]
 * (i32); `averages` [codes, dimension] and `sizes` [codes] are the running sums and numbers of what chose each entry. Entries
 * become the smoothed means; those whose running size is under `threshold` become the rows of x that `picks` [codes] (i32)
 * names, with averages and sizes to match, after the averages were moved, so that they last. Sums are in the order of the
 * rows, the same bits each time. f32; no gradient.
 *
 * Source: EnCodec's core_vq.py, with its revival of dead codes made to work.
 *
 * @param running - the running sums and numbers, and the rows that dead entries become.
 * @param options - the averages' decay, the running size under which an entry is dead, and the epsilon of smoothing, 1e-5.
 *
 * @throws TypeError or RangeError when dtypes or shapes do not fit.
 */
export function codebookUpdate(
  x: Tensor,
  codes: Tensor,
  running: { averages: Tensor; sizes: Tensor; picks: Tensor },
  options: { decay: number; threshold: number; epsilon?: number },
): { entries: Tensor; averages: Tensor; sizes: Tensor } {
  checkOptions('codebookUpdate: running', running, runningTensors, runningTensors);
  checkOptions('codebookUpdate', options, ['decay', 'threshold', 'epsilon'], ['decay', 'threshold']);
  const { averages, sizes, picks } = running;
  const { decay, threshold, epsilon = 1e-5 } = options;
  const made = apply('codebookUpdate', [x, codes, averages, sizes, picks], { decay, epsilon, threshold });
  return { entries: made[0], averages: made[1], sizes: made[2] };
}

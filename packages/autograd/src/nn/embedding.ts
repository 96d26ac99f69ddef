import {
  apply,
  arange,
  checkOptions,
  eq,
  formatShape,
  indexSelect,
  ne,
  normal,
  type Tensor,
  where,
} from '@dawnchorus/tensor';
import { customVjp } from '../custom.ts';
import { keep } from '../keep.ts';
import { checkKeys, type KeySequence } from './keys.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** The row that is padding, from 0; negative ones count from the end. */
function paddingRow(name: string, paddingIdx: number, rows: number): number {
  if (!Number.isInteger(paddingIdx) || paddingIdx < -rows || paddingIdx >= rows) {
    throw new RangeError(`${name}: paddingIdx is ${paddingIdx}, but there are ${rows} rows; use ${-rows}..${rows - 1}`);
  }
  return paddingIdx < 0 ? paddingIdx + rows : paddingIdx;
}

/**
 * The rows of `weight` [rows, features] that `index` names, i32 or u32 of any shape: [...index, features]. An index outside reads
 * NaN.
 *
 * @param options `paddingIdx`: a row that gets no gradient; negative ones count from the end.
 * @throws RangeError when the weight is no matrix or `paddingIdx` is none of its rows, TypeError for an index of floats.
 */
export function embedding(index: Tensor, weight: Tensor, options: { paddingIdx?: number } = {}): Tensor {
  checkOptions('embedding', options, ['paddingIdx']);
  const { paddingIdx } = options;
  if (weight.rank !== 2) {
    throw new RangeError(`embedding: the weight is ${formatShape(weight.shape)}; expected [rows, features]`);
  }
  const [rows, features] = weight.shape;
  if (index.dtype !== 'i32' && index.dtype !== 'u32') {
    throw new TypeError(
      `embedding: the index is ${index.dtype}${formatShape(index.shape)}; expected i32 or u32; use .cast('i32')`,
    );
  }
  const flat = index.cast('i32').reshape([-1]);
  const chosen =
    paddingIdx === undefined
      ? indexSelect(weight, 0, flat)
      : selectWithPadding(paddingRow('embedding', paddingIdx, rows))(weight, flat);
  return chosen.reshape([...index.shape, features]);
}

/** indexSelect of rows, one of which gets no gradient. */
const selectWithPadding = (padding: number) =>
  customVjp({
    name: 'embedding',
    forward: (weight, index) => ({ output: indexSelect(weight, 0, index), saved: [index] }),
    backward: (gradient, [index], { inputs: [{ shape }] }) => {
      // An index outside is left out of the sum.
      const counted = where(eq(index, padding), -1, index);
      return [apply('indexAdd', [gradient, counted], { axis: 0, extent: shape[0] })[0], undefined];
    },
  });

/** A table of vectors: i32 or u32 indices of any shape -> [..., features]. */
export class Embedding extends Module {
  /** Normal draws [rows, features], with zeros for padding. */
  weight: Tensor;
  readonly paddingIdx: number | undefined;

  /** @param options `paddingIdx`: a row that starts as zeros and gets no gradient; negative ones count from the end. */
  constructor(rows: number, features: number, keys: KeySequence, options: { paddingIdx?: number; std?: number } = {}) {
    super();
    checkKeys('Embedding', keys);
    checkSizes('Embedding', { rows, features });
    checkOptions('Embedding', options, ['paddingIdx', 'std']);
    const { paddingIdx, std = 1 } = options;
    this.paddingIdx = paddingIdx === undefined ? undefined : paddingRow('Embedding', paddingIdx, rows);
    this.weight = keep(() => {
      const drawn = normal([rows, features], { std, ...keys.next() });
      return this.paddingIdx === undefined ? drawn : drawn.mul(ne(arange(rows), this.paddingIdx).unsqueeze(1));
    });
  }

  /** i32 or u32 [...] -> [..., features]. */
  forward(index: Tensor): Tensor {
    return embedding(index, this.weight, { paddingIdx: this.paddingIdx });
  }
}

import {
  checkOptions,
  checkProbability,
  dropout,
  formatShape,
  matmul,
  type Tensor,
  transpose,
} from '@dawnchorus/tensor';
import { initDefault, initNormal, initZeros } from './init.ts';
import { checkKeys, type KeySequence } from './keys.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** x [..., inFeatures] -> [..., outFeatures]: x weight^T + bias. */
export class Linear extends Module {
  /** [outFeatures, inFeatures] */
  weight: Tensor;
  bias: Tensor | undefined;

  constructor(
    inFeatures: number,
    outFeatures: number,
    keys: KeySequence,
    options: { bias?: boolean; std?: number } = {},
  ) {
    super();
    checkKeys('Linear', keys);
    checkSizes('Linear', { inFeatures, outFeatures });
    checkOptions('Linear', options, ['bias', 'std']);
    const { bias = true, std } = options;
    const shape = [outFeatures, inFeatures];
    this.weight = std === undefined ? initDefault(shape, inFeatures, keys) : initNormal(shape, std, keys);
    if (bias) this.bias = std === undefined ? initDefault([outFeatures], inFeatures, keys) : initZeros([outFeatures]);
  }

  /** x [..., inFeatures] -> [..., outFeatures]. */
  forward(x: Tensor): Tensor {
    const [outFeatures, inFeatures] = this.weight.shape;
    if (x.rank === 0 || x.shape[x.rank - 1] !== inFeatures) {
      throw new RangeError(
        `Linear: x is ${formatShape(x.shape)}; expected [..., ${inFeatures}] for ${outFeatures} outputs`,
      );
    }
    // Rows side by side: one product, and a weight gradient without a sum over the batch.
    const rows = x.reshape([-1, x.shape[x.rank - 1]]);
    let out = matmul(rows, transpose(this.weight));
    if (this.bias) out = out.add(this.bias);
    return out.reshape([...x.shape.slice(0, -1), outFeatures]);
  }
}

/** Zeroes elements while training, which is when keys are given. */
export class Dropout extends Module {
  readonly p: number;

  constructor(p: number) {
    super();
    checkProbability('Dropout', 'p', p);
    this.p = p;
  }

  /** x, or with `keys`, which are given while training, x with elements dropped. */
  forward(x: Tensor, keys?: KeySequence): Tensor {
    if (keys !== undefined) checkKeys('Dropout', keys, 'for its draws');
    return keys && this.p > 0 ? dropout(x, { p: this.p, ...keys.next() }) : x;
  }
}

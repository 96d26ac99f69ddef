import { scaledDotProductAttention, type Tensor } from '@dawnchorus/tensor';
import { checkKeys, type KeySequence } from './keys.ts';
import { Dropout, Linear } from './layers.ts';
import { Module } from './module.ts';

/** Settings of `MultiHeadAttention`. */
export interface AttentionOptions {
  dropout?: number;
  /** Standard deviation of the projections' normal initialisation; PyTorch's default otherwise. */
  std?: number;
}

/** Multi-head self-attention (Vaswani et al., 2017): x [batch, time, features] -> the same shape. */
export class MultiHeadAttention extends Module {
  kProj: Linear;
  vProj: Linear;
  qProj: Linear;
  outProj: Linear;
  readonly heads: number;
  readonly dropout: Dropout;

  constructor(features: number, heads: number, keys: KeySequence, { dropout = 0, std }: AttentionOptions = {}) {
    super();
    checkKeys('MultiHeadAttention', keys);
    if (features % heads !== 0)
      throw new RangeError(`MultiHeadAttention: ${features} features do not divide into ${heads} heads`);
    this.kProj = new Linear(features, features, keys, { std });
    this.vProj = new Linear(features, features, keys, { std });
    this.qProj = new Linear(features, features, keys, { std });
    this.outProj = new Linear(features, features, keys, { std });
    this.heads = heads;
    this.dropout = new Dropout(dropout);
  }

  /**
   * x [batch, time, features] -> the same shape. `visible`, bool [batch, time], names the keys that may be attended to; all
   * of them without it, and a clip of which none is visible attends to all alike. `keys`, the draws of dropout, are given while training, and only then.
   */
  forward(x: Tensor, { keys, visible }: { keys?: KeySequence; visible?: Tensor } = {}): Tensor {
    const [batch, time, features] = x.shape;
    const size = features / this.heads;
    const split = (y: Tensor) => y.reshape([batch, time, this.heads, size]).permute([0, 2, 1, 3]);
    const [query, key, value] = [this.qProj, this.kProj, this.vProj].map((project) => split(project.forward(x)));
    const dropping = keys && this.dropout.p > 0 ? { dropout: this.dropout.p, key: keys.next() } : {};
    const mixed = scaledDotProductAttention(query, key, value, { visible, ...dropping });
    return this.outProj.forward(mixed.permute([0, 2, 1, 3]).reshape([batch, time, features]));
  }
}

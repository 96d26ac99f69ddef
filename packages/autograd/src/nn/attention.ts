import { checkOptions, matmul, scaledDotProductAttention, stack, type Tensor, transpose } from '@dawnchorus/tensor';
import { customVjp } from '../custom.ts';
import { checkKeys, type KeySequence } from './keys.ts';
import { Dropout, Linear } from './layers.ts';
import { Module } from './module.ts';
import { checkSizes } from './sizes.ts';

/** Settings of `MultiHeadAttention`. */
export interface AttentionOptions {
  dropout?: number;
  /** Standard deviation of the projections' normal initialisation; PyTorch's default otherwise. */
  std?: number;
  /**
   * The c of softmax((q / (c sqrt(d)) k - max) c) (Chen et al., "WavLM", 2022): the same weights, by scores that are c times
   * smaller before their largest is taken off, so that products of halves stay halves. None by default.
   */
  relax?: number;
}

/** Told of what attention is about to compare. */
export type WatchScores = (query: Tensor, key: Tensor, scale: number) => void;

/** The parts of a tensor along its first axis. Their gradients are stacked at once, where those of slices would be added up. */
const unstack = customVjp<Tensor[]>({
  name: 'unstack',
  forward: (all) => ({ output: Array.from({ length: all.shape[0] }, (_, i) => all.select(0, i)) }),
  backward: (gradients) => [stack(gradients)],
});

/** Multi-head self-attention (Vaswani et al., 2017): x [batch, time, features] -> the same shape. */
export class MultiHeadAttention extends Module {
  kProj: Linear;
  vProj: Linear;
  qProj: Linear;
  outProj: Linear;
  readonly heads: number;
  readonly dropout: Dropout;
  readonly relax: number | undefined;

  constructor(features: number, heads: number, keys: KeySequence, options: AttentionOptions = {}) {
    super();
    checkOptions('MultiHeadAttention', options, ['dropout', 'std', 'relax']);
    const { dropout = 0, std, relax } = options;
    checkKeys('MultiHeadAttention', keys);
    checkSizes('MultiHeadAttention', { features, heads });
    if (relax !== undefined && !(relax > 0)) {
      throw new RangeError(`MultiHeadAttention: relax is ${relax}; expected a number above 0`);
    }
    this.relax = relax;
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
   * of them without it, and a clip of which none is visible attends to all alike. `keys`, the draws of dropout, are given while
   * training, and only then. `watch` is told queries and keys, [batch, heads, time, size], and the factor on their products.
   */
  forward(x: Tensor, options: { keys?: KeySequence; visible?: Tensor; watch?: WatchScores } = {}): Tensor {
    checkOptions('MultiHeadAttention.forward', options, ['keys', 'visible', 'watch']);
    const { keys, visible, watch } = options;
    if (keys !== undefined) checkKeys('MultiHeadAttention', keys, 'for its draws');
    const [batch, time, features] = x.shape;
    const size = features / this.heads;
    const split = (y: Tensor) => y.reshape([batch, time, this.heads, size]).permute([0, 2, 1, 3]);
    let [query, key, value] = this.#project(x).map(split);
    let scale = 1 / Math.sqrt(size);
    if (this.relax !== undefined) {
      // The kernels take the largest score off before they take exponentials, and multiply by the scale in f32.
      query = query.mul(scale / this.relax);
      scale = this.relax;
    }
    watch?.(query, key, scale);
    const dropping = keys && this.dropout.p > 0 ? { dropout: this.dropout.p, key: keys.next() } : {};
    const mixed = scaledDotProductAttention(query, key, value, { visible, scale, ...dropping });
    return this.outProj.forward(mixed.permute([0, 2, 1, 3]).reshape([batch, time, features]));
  }

  /**
   * Queries, keys and values, [batch * time, features] each, by one product of three: alone each is too small for the cores of a
   * large GPU, and so are its gradients.
   */
  #project(x: Tensor): Tensor[] {
    const projections = [this.qProj, this.kProj, this.vProj];
    const features = x.shape[x.rank - 1];
    const biases = projections.flatMap(({ bias }) => bias ?? []);
    // Whoever put others in their place gets what these do.
    const areUsual = projections.every((each) => each.constructor === Linear && each.weight.shape[1] === features);
    if (!areUsual || biases.length < projections.length) return projections.map((each) => each.forward(x));
    const rows = x.reshape([1, -1, features]);
    const projected = matmul(rows, transpose(stack(projections.map(({ weight }) => weight))));
    return unstack(projected.add(stack(biases).reshape([projections.length, 1, features])));
  }
}

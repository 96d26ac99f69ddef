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

/** What `MultiHeadAttention` attends to, and how. */
export interface AttentionCall {
  /** The draws of dropout: given while training, and only then. */
  keys?: KeySequence;
  /** What keys and values are made of, [batch, keys, features]: x itself by default. */
  source?: Tensor;
  /** bool [batch, keys]: which keys may be attended to; all without it. A clip of which none is visible attends to all alike. */
  visible?: Tensor;
  /** Whether step i attends to the keys 0 to i alone. Default: false. */
  causal?: boolean;
  /** Told queries and keys, [batch, heads, time, size], and the factor on their products. */
  watch?: WatchScores;
}

/** Multi-head attention (Vaswani et al., 2017), of a sequence to itself or to another: x [batch, time, features] -> the same shape. */
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
   * x [batch, time, features] -> the same shape.
   *
   * @throws RangeError for shapes that do not fit, TypeError for options that there are none of.
   */
  forward(x: Tensor, options: AttentionCall = {}): Tensor {
    checkOptions('MultiHeadAttention.forward', options, ['keys', 'source', 'visible', 'causal', 'watch']);
    const { keys, source, visible, causal, watch } = options;
    if (keys !== undefined) checkKeys('MultiHeadAttention', keys, 'for its draws');
    const [batch, time, features] = x.shape;
    const size = features / this.heads;
    const split = (y: Tensor) => y.reshape([batch, -1, this.heads, size]).permute([0, 2, 1, 3]);
    let [query, key, value] = (source ? this.#projectBoth(x, source) : this.#project(x)).map(split);
    let scale = 1 / Math.sqrt(size);
    if (this.relax !== undefined) {
      // The kernels take the largest score off before they take exponentials, and multiply by the scale in f32.
      query = query.mul(scale / this.relax);
      scale = this.relax;
    }
    watch?.(query, key, scale);
    const dropping = keys && this.dropout.p > 0 ? { dropout: this.dropout.p, key: keys.next() } : {};
    const mixed = scaledDotProductAttention(query, key, value, { visible, causal, scale, ...dropping });
    return this.outProj.forward(mixed.permute([0, 2, 1, 3]).reshape([batch, time, features]));
  }

  /** Queries of x, keys and values of the source. @throws RangeError for a source that is no [batch, keys, features]. */
  #projectBoth(x: Tensor, source: Tensor): Tensor[] {
    if (source.rank !== 3 || source.shape[0] !== x.shape[0]) {
      throw new RangeError(
        `MultiHeadAttention: source is ${source}; expected [${x.shape[0]}, keys, features], of as many clips as x`,
      );
    }
    return [this.qProj.forward(x), this.kProj.forward(source), this.vProj.forward(source)];
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

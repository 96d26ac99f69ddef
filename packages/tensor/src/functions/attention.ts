import { apply } from '../apply.ts';
import { promote } from '../dtype.ts';
import {
  checkBoolean,
  checkNumber,
  checkOptions,
  checkProbability,
  checkStream,
  expectFloat,
} from '../ops/arguments.ts';
import type { RandomKey } from '../ops/random.ts';
import { formatShape, valueText } from '../shape.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import { cast } from './elementwise.ts';
import { expand, permute, reshape } from './views.ts';

/** Options of `scaledDotProductAttention`. */
export interface AttentionOptions {
  /** bool [batch, keys], or [keys]: the keys that may be attended to; all of them without it. */
  visible?: Tensor;
  /** The probability with which a weight is dropped, the others growing by 1 / (1 - p). Needs `key`. Default: 0. */
  dropout?: number;
  /** Names the draws of dropout; with a `step` a compiled function draws anew in each call. */
  key?: RandomKey;
  /** What scores are multiplied by. Default: 1 / sqrt(headSize). */
  scale?: number;
  /** Whether query i attends to the keys 0 to i alone: PyTorch's `is_causal`. Default: false. */
  causal?: boolean;
}

/**
 * Attention, fused: softmax(scale q k^T) v over the last two axes, as PyTorch's `scaled_dot_product_attention`, without the
 * matrix of weights in memory. q [batch, heads, queries, headSize], k and v [batch, heads, keys, headSize] -> [batch, heads,
 * queries, headSize]; all may lack the heads, or the batch too, and extents of 1 stretch. f16 where all are f16, else f32;
 * scores and sums are f32, so that scores of halves cannot overflow.
 *
 * Any strides are read in place, and features of the output lie side by side: of q as a view of a projection, `x.reshape([b,
 * t, heads, size]).permute([0, 2, 1, 3])`, and of the output back, `.permute([0, 2, 1, 3]).reshape([b, t, features])`,
 * nothing is copied. The same holds for gradients.
 *
 * A query that sees no key attends to all of them alike (up to its own, if causal). Dropout drops the weights that `dropout`
 * of the matrix [batch, heads, queries, keys] would, with rows as long as the next multiple of four.
 *
 * @throws RangeError for shapes that do not fit, heads of more than 128 elements and probabilities outside [0, 1); TypeError
 *   for whole numbers and masks that are not bool.
 */
export function scaledDotProductAttention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  const name = 'scaledDotProductAttention';
  checkOptions(name, options, ['visible', 'dropout', 'key', 'scale', 'causal']);
  const { visible, dropout = 0, key, scale, causal = false } = options;
  checkProbability(name, 'dropout', dropout);
  checkBoolean(name, 'causal', causal);
  if (scale !== undefined) checkNumber(name, 'scale', scale);
  if (visible !== undefined && !isTensor(visible)) {
    throw new TypeError(`${name}: visible is ${valueText(visible)}; expected a bool tensor [batch, keys]`);
  }
  for (const [i, x] of [q, k, v].entries()) {
    if (!isTensor(x)) throw new TypeError(`${name}: operand ${i} is ${typeof x}; expected a tensor`);
    expectFloat(name, ['q', 'k', 'v'][i], x);
    if (x.rank < 2 || x.rank > 4) {
      throw new RangeError(
        `${name}: ${['q', 'k', 'v'][i]} is ${formatShape(x.shape)}; expected [batch, heads, time, headSize]`,
      );
    }
  }
  if (dropout > 0 && !key) {
    throw new TypeError(`${name}: dropout ${dropout} needs a key, { seed, stream }, that names its draws`);
  }
  if (dropout > 0 && key) checkStream(name, key);
  const rank = Math.max(q.rank, k.rank, v.rank);
  const dtype = [q, k, v].map((x) => x.dtype).reduce(promote);
  const whole = [q, k, v].map((x) => {
    const shape =
      rank === 3 ? [x.rank === 3 ? x.shape[0] : 1, 1, ...x.shape.slice(-2)] : [1, 1, 1, 1, ...x.shape].slice(-4);
    return reshape(cast(x, dtype) as Tensor, shape) as Tensor;
  });
  const [batch, heads] = [0, 1].map((axis) =>
    whole.reduce((extent, { shape }) => (extent === 1 ? shape[axis] : extent), 1),
  );
  const operands = whole.map((x) => {
    const shape = [batch, heads, x.shape[2], x.shape[3]];
    const fits = [0, 1].every((axis) => x.shape[axis] === 1 || x.shape[axis] === shape[axis]);
    return fits && formatShape(x.shape) !== formatShape(shape) ? (expand(x, shape) as Tensor) : x;
  });
  const keys = operands[1].shape[2];
  const inputs = [...operands];
  if (visible) {
    const stretches = visible.shape.at(-1) === keys && (visible.rank === 1 || visible.shape[0] === 1);
    inputs.push(stretches ? (expand(visible, [batch, keys]) as Tensor) : visible);
  }
  if (dropout > 0 && key?.step) inputs.push(key.step);
  const attributes = {
    scale: scale ?? 1 / Math.sqrt(q.shape[q.rank - 1]),
    causal,
    dropout,
    seed: dropout > 0 ? (key as RandomKey).seed : 0,
    stream: dropout > 0 ? (key as RandomKey).stream : 0,
  };
  const [out] = apply('attention', inputs, attributes);
  const mixed = permute(out, [0, 2, 1, 3]) as Tensor;
  const shape = [...Array.from({ length: rank - 2 }, (_, i) => (i === 0 ? batch : heads)), ...mixed.shape.slice(2)];
  return rank === 4 ? mixed : (reshape(mixed, shape) as Tensor);
}

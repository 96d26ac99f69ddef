import { build, type Expected, type NDArray, sizeOf } from './array.ts';
import { unitDraws } from './random.ts';

/** As the operation's attributes. */
export interface Settings {
  scale: number;
  causal: boolean;
  dropout: number;
  seed: number;
  stream: number;
}

const HIDDEN = -3e38;

/** One number after the mask and the step are found among what follows the floats. */
export function extras(others: readonly NDArray[]): { visible?: NDArray; step?: NDArray } {
  return { visible: others.find(({ dtype }) => dtype === 'bool'), step: others.find(({ dtype }) => dtype === 'u32') };
}

/** 0 where a weight of [rows, keys] is dropped, else 1 / (1 - p). Every row begins with the next four draws. */
function factors(
  rows: number,
  keys: number,
  { dropout, seed, stream }: Settings,
  step: NDArray | undefined,
): Float64Array {
  if (dropout === 0) return new Float64Array(rows * keys).fill(1);
  const width = 4 * Math.ceil(keys / 4);
  const draws = unitDraws(rows * width, { seed, stream: stream + (step ? step.data[0] * 2 ** 20 : 0) });
  return Float64Array.from({ length: rows * keys }, (_, i) =>
    draws[Math.floor(i / keys) * width + (i % keys)] >= Math.fround(dropout) ? 1 / (1 - dropout) : 0,
  );
}

interface Row {
  /** Its number among [batch, heads, queries], and the first element of the query in q. */
  at: number;
  query: number;
  /** The first element of key and value j. */
  key: (j: number) => number;
  seen: (j: number) => boolean;
  /** Keys up to here have a score. */
  end: number;
  /** Scores before hiding, and the sum of the magnitudes of their terms. */
  scores: Float64Array;
  sizes: Float64Array;
}

/** Calls `body` for every query. */
function eachRow(
  q: NDArray,
  k: NDArray,
  visible: NDArray | undefined,
  { scale, causal }: Settings,
  body: (row: Row) => void,
) {
  const [batch, heads, queries, size] = q.shape;
  const keys = k.shape[2];
  for (let at = 0; at < batch * heads * queries; at++) {
    const pair = Math.floor(at / queries);
    const own = at % queries;
    const key = (j: number) => (pair * keys + j) * size;
    const end = causal ? Math.min(keys, own + 1) : keys;
    const scores = new Float64Array(keys);
    const sizes = new Float64Array(keys);
    for (let j = 0; j < keys; j++) {
      for (let d = 0; d < size; d++) {
        const term = q.data[at * size + d] * k.data[key(j) + d] * scale;
        scores[j] += term;
        sizes[j] += Math.abs(term);
      }
    }
    const seen = (j: number) => j < end && visible?.data[Math.floor(pair / heads) * keys + j] !== 0;
    body({ at, query: at * size, key, seen, end, scores, sizes });
  }
}

/** Where [batch, heads, time, size] stands in [batch, time, heads, size]. */
function placeOf([, heads, time, size]: readonly number[]): (at: number) => number {
  return (at) => {
    const [pair, row] = [Math.floor(at / time), at % time];
    return ((Math.floor(pair / heads) * time + row) * heads + (pair % heads)) * size;
  };
}

function output({ dtype, shape: [batch, heads, time, size] }: NDArray): Expected & { scale: Float64Array } {
  const shape = [batch, time, heads, size];
  return { dtype, shape, data: new Float64Array(sizeOf(shape)), scale: new Float64Array(sizeOf(shape)) };
}

/** The mixed values [batch, queries, heads, size] and the logarithms of the sums [batch, heads, queries]. */
export function attention([q, k, v, ...others]: readonly NDArray[], settings: Settings): Expected[] {
  const { visible, step } = extras(others);
  const [keys, size] = k.shape.slice(2);
  const out = output(q);
  const place = placeOf(q.shape);
  const logSums = build(q.shape.slice(0, 3), 'f32', () => 0);
  const logScale = new Float64Array(logSums.data.length);
  const keep = factors(logSums.data.length, keys, settings, step);
  eachRow(q, k, visible, settings, ({ at, key, seen, end, scores, sizes }) => {
    const hidden = scores.map((score, j) => (seen(j) ? score : HIDDEN)).subarray(0, end);
    const largest = hidden.reduce((a, b) => Math.max(a, b), -Infinity);
    const weights = hidden.map((score) => Math.exp(score - largest));
    const total = weights.reduce((a, b) => a + b, 0);
    const most = sizes.reduce((a, b) => Math.max(a, b), 0);
    logSums.data[at] = largest < -1e38 ? HIDDEN : largest + Math.log(total);
    logScale[at] = 1 + most;
    for (let j = 0; j < end; j++) {
      const weight = (weights[j] / total) * keep[at * keys + j];
      for (let d = 0; d < size; d++) {
        out.data[place(at) + d] += weight * v.data[key(j) + d];
        out.scale[place(at) + d] += Math.abs(weight * v.data[key(j) + d]) * (1 + most);
      }
    }
  });
  return [out, keys === 0 ? { ...logSums, unchecked: true } : { ...logSums, scale: logScale }];
}

/** Gradients of q, k and v, [batch, time, heads, size], from the outputs and the gradient of the first one. */
export function attentionBackward(inputs: readonly NDArray[], settings: Settings): Expected[] {
  const [q, k, v, out, logSums, grad, ...others] = inputs;
  const { visible, step } = extras(others);
  const [keys, size] = k.shape.slice(2);
  const gradients = [q, k, v].map(output);
  const [dq, dk, dv] = gradients;
  const [ofQuery, ofKey] = [placeOf(q.shape), placeOf(k.shape)];
  const keep = factors(logSums.data.length, keys, settings, step);
  const add = (to: typeof dq, at: number, value: number, size: number) => {
    to.data[at] += value;
    to.scale[at] += size;
  };
  eachRow(q, k, visible, settings, ({ at, query, key, seen, end, scores, sizes }) => {
    const own = ofQuery(at);
    let delta = 0;
    let deltaSize = 0;
    for (let d = 0; d < size; d++) {
      delta += out.data[own + d] * grad.data[own + d];
      deltaSize += Math.abs(out.data[own + d] * grad.data[own + d]);
    }
    const logSum = logSums.data[at];
    for (let j = 0; j < end; j++) {
      const alone = logSum < -1e38;
      const weight = alone ? 1 / end : seen(j) ? Math.exp(scores[j] - logSum) : 0;
      const factor = keep[at * keys + j];
      let slope = 0;
      let slopeSize = 0;
      for (let d = 0; d < size; d++) {
        slope += grad.data[own + d] * v.data[key(j) + d] * factor;
        slopeSize += Math.abs(grad.data[own + d] * v.data[key(j) + d] * factor);
      }
      const ofScore = seen(j) ? weight * (slope - delta) * settings.scale : 0;
      const rounding = 1 + sizes[j] + (alone ? 0 : Math.abs(logSum));
      const scoreSize = seen(j) ? weight * (slopeSize + deltaSize) * settings.scale * rounding : 0;
      const place = ofKey(key(j) / size);
      for (let d = 0; d < size; d++) {
        const value = weight * factor * grad.data[own + d];
        add(dv, place + d, value, Math.abs(value) * rounding);
        add(dq, own + d, ofScore * k.data[key(j) + d], scoreSize * Math.abs(k.data[key(j) + d]));
        add(dk, place + d, ofScore * q.data[query + d], scoreSize * Math.abs(q.data[query + d]));
      }
    }
  });
  return gradients;
}

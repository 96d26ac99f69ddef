import type { CrossEntropyAttributes } from '../../src/index.ts';
import type { Expected, NDArray } from './array.ts';

/** What one class counts in a row's loss: its probability in the smoothed target, times its weight. */
function shares(target: number, weight: ArrayLike<number>, length: number, smoothing: number): Float64Array {
  return Float64Array.from({ length }, (_, c) => ((c === target ? 1 - smoothing : 0) + smoothing / length) * weight[c]);
}

const weightsOf = (weight: NDArray | undefined, length: number) => weight?.data ?? new Float64Array(length).fill(1);

/** Losses, and the largest logit of each row with log(sum(exp(x - largest))). */
export function crossEntropy(
  [x, target, weight]: readonly NDArray[],
  { ignoreIndex, labelSmoothing }: CrossEntropyAttributes,
): Expected[] {
  const length = x.shape.at(-1) as number;
  const rows = target.data.length;
  const [losses, scale] = [new Float64Array(rows), new Float64Array(rows)];
  const statistics = new Float64Array(2 * rows);
  for (let r = 0; r < rows; r++) {
    const row = x.data.subarray(r * length, (r + 1) * length);
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const logSum = Math.log(row.reduce((sum, value) => sum + Math.exp(value - largest), 0));
    statistics.set([largest, logSum], 2 * r);
    const t = target.data[r];
    if (t === ignoreIndex) continue;
    const isClass = t >= 0 && t < length;
    losses[r] = isClass ? 0 : Number.NaN;
    shares(t, weightsOf(weight, length), length, labelSmoothing).forEach((share, c) => {
      losses[r] += share * (logSum - (row[c] - largest));
      scale[r] += share * (Math.max(1, logSum) + Math.abs(row[c] - largest));
    });
  }
  return [
    { dtype: 'f32', shape: target.shape, data: losses, scale },
    { dtype: 'f32', shape: [rows, 2], data: statistics, scale: statistics.map(() => 1) },
  ];
}

/** The gradient of the logits, from the statistics of the forward pass. */
export function crossEntropyBackward(
  [x, target, statistics, grad, weight]: readonly NDArray[],
  { ignoreIndex, labelSmoothing }: CrossEntropyAttributes,
): Expected[] {
  const length = x.shape.at(-1) as number;
  const data = new Float64Array(x.data.length);
  const scale = new Float64Array(x.data.length);
  target.data.forEach((t, r) => {
    if (t === ignoreIndex) return;
    const own = shares(t, weightsOf(weight, length), length, labelSmoothing);
    const total = own.reduce((sum, share) => sum + share, 0);
    own.forEach((share, c) => {
      const at = r * length + c;
      const exponent = x.data[at] - statistics.data[2 * r] - statistics.data[2 * r + 1];
      const p = Math.exp(exponent);
      data[at] = t >= 0 && t < length ? grad.data[r] * (total * p - share) : Number.NaN;
      scale[at] = Math.abs(grad.data[r]) * (total * p * (1 + Math.abs(exponent)) + share);
    });
  });
  return [{ ...x, data, scale }];
}

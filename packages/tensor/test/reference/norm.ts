import { type Expected, type NDArray, sizeOf } from './array.ts';

const mean = (values: Float64Array) => values.reduce((a, b) => a + b, 0) / values.length;
const rowsOf = (x: NDArray) => {
  const length = x.shape.at(-1)!;
  return { length, rows: x.data.length === 0 ? 0 : x.data.length / length };
};

function eachRow(x: NDArray, body: (row: Float64Array, start: number, r: number) => void): void {
  const { length, rows } = rowsOf(x);
  for (let r = 0; r < rows; r++) body(x.data.subarray(r * length, (r + 1) * length), r * length, r);
}

export function softmax(x: NDArray): Expected {
  const data = new Float64Array(x.data.length);
  eachRow(x, (row, start) => {
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const total = row.reduce((sum, v) => sum + Math.exp(v - largest), 0);
    row.forEach((v, i) => {
      data[start + i] = Math.exp(v - largest) / total;
    });
  });
  return { ...x, data };
}

/** The error of log(sum) is absolute, so small results are judged against 1. */
export function logSoftmax(x: NDArray): Expected {
  const data = new Float64Array(x.data.length);
  eachRow(x, (row, start) => {
    const largest = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    const logTotal = Math.log(row.reduce((sum, v) => sum + Math.exp(v - largest), 0));
    row.forEach((v, i) => {
      data[start + i] = v - largest - logTotal;
    });
  });
  return { ...x, data, scale: data.map(() => 1) };
}

export function softmaxBackward(y: NDArray, grad: NDArray): Expected {
  const data = new Float64Array(y.data.length);
  const scale = new Float64Array(y.data.length);
  eachRow(y, (row, start) => {
    const terms = row.map((v, i) => v * grad.data[start + i]);
    const total = terms.reduce((a, b) => a + b, 0);
    const magnitude = terms.reduce((a, b) => a + Math.abs(b), 0);
    row.forEach((v, i) => {
      data[start + i] = v * (grad.data[start + i] - total);
      scale[start + i] = Math.abs(v) * (Math.abs(grad.data[start + i]) + magnitude);
    });
  });
  return { ...y, data, scale };
}

export function logSoftmaxBackward(y: NDArray, grad: NDArray): Expected {
  const data = new Float64Array(y.data.length);
  const scale = new Float64Array(y.data.length);
  eachRow(y, (row, start) => {
    const gradients = grad.data.subarray(start, start + row.length);
    const total = gradients.reduce((a, b) => a + b, 0);
    const magnitude = gradients.reduce((a, b) => a + Math.abs(b), 0);
    row.forEach((v, i) => {
      data[start + i] = gradients[i] - Math.exp(v) * total;
      scale[start + i] = Math.abs(gradients[i]) + Math.exp(v) * magnitude;
    });
  });
  return { ...y, data, scale };
}

/** Where the rows of a norm lie and which channel each element belongs to. */
export interface NormLayout {
  rows: number;
  length: number;
  channels: number;
  channel: (row: number, i: number) => number;
}

export function layerNormLayout(x: NDArray): NormLayout {
  const { rows, length } = rowsOf(x);
  return { rows, length, channels: length, channel: (_, i) => i };
}

export function groupNormLayout(x: NDArray, groups: number): NormLayout {
  const [batch, channels] = x.shape;
  const spatial = sizeOf(x.shape.slice(2));
  const perGroup = channels / groups;
  const channel = (row: number, i: number) => (row % groups) * perGroup + Math.floor(i / spatial);
  return { rows: batch * groups, length: perGroup * spatial, channels, channel };
}

/**
 * The mean is held in f32, so (x - mean) carries half a unit in the last place of the mean; a variance of nearly nothing
 * magnifies it by up to 1 / sqrt(eps). At a mean of 1000 that is 3e-5 of one standard deviation, and no algorithm with
 * f32 statistics has less. In units of the tolerance, 1e-5.
 */
const MEAN_ROUNDING = 2 ** -23 / 1e-5;

/** y and the statistics [rows, 2]: mean and 1 / sqrt(variance + eps). */
export function norm(x: NDArray, weight: NDArray, bias: NDArray, layout: NormLayout, eps: number): Expected[] {
  const { rows, length, channel } = layout;
  const data = new Float64Array(x.data.length);
  const scale = new Float64Array(x.data.length);
  const statistics = new Float64Array(rows * 2);
  const statisticsScale = new Float64Array(rows * 2);
  for (let r = 0; r < rows; r++) {
    const row = x.data.subarray(r * length, (r + 1) * length);
    const centre = mean(row);
    const inverse = 1 / Math.sqrt(mean(row.map((v) => (v - centre) ** 2)) + eps);
    statistics.set([centre, inverse], 2 * r);
    statisticsScale.set([mean(row.map(Math.abs)), 0], 2 * r);
    row.forEach((v, i) => {
      const w = weight.data[channel(r, i)];
      const b = bias.data[channel(r, i)];
      const hat = (v - centre) * inverse;
      data[r * length + i] = hat * w + b;
      const rounding = MEAN_ROUNDING * Math.abs(centre) * inverse;
      scale[r * length + i] = Math.abs(w) * (Math.abs(hat) + 1 + rounding) + Math.abs(b);
    });
  }
  return [
    { ...x, data, scale },
    { dtype: 'f32', shape: [rows, 2], data: statistics, scale: statisticsScale },
  ];
}

/** Gradients of x, and of [weight, bias], from the statistics of the forward pass. */
export function normBackward(
  x: NDArray,
  weight: NDArray,
  statistics: NDArray,
  grad: NDArray,
  { rows, length, channels, channel }: NormLayout,
): Expected[] {
  const data = new Float64Array(x.data.length);
  const scale = new Float64Array(x.data.length);
  const affine = new Float64Array(2 * channels);
  const affineScale = new Float64Array(2 * channels);
  for (let r = 0; r < rows; r++) {
    const [centre, inverse] = statistics.data.subarray(2 * r, 2 * r + 2);
    const hat = x.data.subarray(r * length, (r + 1) * length).map((v) => (v - centre) * inverse);
    const dy = grad.data.subarray(r * length, (r + 1) * length);
    const g = dy.map((v, i) => v * weight.data[channel(r, i)]);
    const meanG = mean(g);
    const meanGHat = mean(g.map((v, i) => v * hat[i]));
    const absolute = [mean(g.map(Math.abs)), mean(g.map((v, i) => Math.abs(v * hat[i])))];
    for (let i = 0; i < length; i++) {
      data[r * length + i] = inverse * (g[i] - meanG - hat[i] * meanGHat);
      scale[r * length + i] = Math.abs(inverse) * (Math.abs(g[i]) + absolute[0] + Math.abs(hat[i]) * absolute[1]);
      const c = channel(r, i);
      affine[c] += dy[i] * hat[i];
      affine[channels + c] += dy[i];
      affineScale[c] += Math.abs(dy[i] * hat[i]);
      affineScale[channels + c] += Math.abs(dy[i]);
    }
  }
  return [
    { ...x, data, scale },
    { dtype: 'f32', shape: [2, channels], data: affine, scale: affineScale },
  ];
}

/** For each element of the last axis, the sum over all others of `terms`. */
function overColumns({ data, shape }: NDArray, terms: (at: number) => number): Float64Array {
  const columns = shape.at(-1)!;
  const sums = new Float64Array(columns);
  for (let at = 0; at < data.length; at++) sums[at % columns] += terms(at);
  return sums;
}

const meeting = (a: NDArray, b: NDArray) => (a.dtype === 'f16' && b.dtype === 'f16' ? 'f16' : 'f32');

/** g v / |v|, the length over all axes but the last. */
export function weightNorm(v: NDArray, g: NDArray): Expected {
  const squares = overColumns(v, (at) => v.data[at] ** 2);
  const data = v.data.map(
    (value, at) => (g.data[at % squares.length] * value) / Math.sqrt(squares[at % squares.length]),
  );
  return { dtype: meeting(v, g), shape: v.shape, data };
}

/** Gradients of v and g. */
export function weightNormBackward(v: NDArray, g: NDArray, grad: NDArray): Expected[] {
  const squares = overColumns(v, (at) => v.data[at] ** 2);
  const along = overColumns(v, (at) => v.data[at] * grad.data[at]);
  const magnitudes = overColumns(v, (at) => Math.abs(v.data[at] * grad.data[at]));
  const scale = new Float64Array(v.data.length);
  const data = v.data.map((value, at) => {
    const column = at % squares.length;
    const factor = g.data[column] / Math.sqrt(squares[column]);
    scale[at] = Math.abs(factor) * (Math.abs(grad.data[at]) + (Math.abs(value) * magnitudes[column]) / squares[column]);
    return factor * (grad.data[at] - (value * along[column]) / squares[column]);
  });
  const inverse = squares.map((sum) => (sum === 0 ? 0 : 1 / Math.sqrt(sum)));
  return [
    { ...v, data, scale },
    { ...g, data: along.map((sum, c) => sum * inverse[c]), scale: magnitudes.map((sum, c) => sum * inverse[c]) },
  ];
}

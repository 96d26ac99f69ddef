import {
  cachedTable,
  checkOptions,
  concat,
  conv1d,
  formatShape,
  matmul,
  type PadMode,
  pad,
  reshape,
  sliceAxis,
  type Tensor,
} from '@dawnchorus/tensor';

/** Settings of `deltas`; libraries disagree, so the convention is said. */
export type DeltaOptions =
  | {
      /** torchaudio's `compute_deltas`: sum of n (x[t + n] - x[t - n]) over 2 sum of n^2, edges repeated. */
      readonly convention: 'torchaudio';
      /** Odd, from 3; default 5. */
      readonly width?: number;
      /** Default `replicate`. */
      readonly padMode?: PadMode;
    }
  | {
      /** librosa's `feature.delta`: the derivative of a polynomial fitted to `width` frames (Savitzky and Golay, 1964). */
      readonly convention: 'librosa';
      /** Odd, from 3; default 9. */
      readonly width?: number;
      /** The derivative, and the degree of the polynomial; default 1. Order 2 is librosa's `order=2`, not two deltas. */
      readonly order?: number;
      /** Beyond the ends: `interp` (default) takes the first and last polynomials, the others pad. */
      readonly padMode?: 'interp' | PadMode;
    };

/**
 * Weights of the `order`-th derivative at `position` of the polynomial of degree `order` fitted to x[0 .. width - 1]:
 * [width]. They solve the normal equations in powers of t = i - (width - 1) / 2, which are small.
 */
function savitzkyGolay(width: number, order: number, position: number): Float64Array {
  const half = (width - 1) / 2;
  const size = order + 1;
  // (V^T V) c = d, with V[i, p] = (i - half)^p and d the derivative of the powers at the position; weights = V c.
  const matrix = Array.from({ length: size }, (_, p) =>
    Array.from({ length: size }, (_, q) => {
      let total = 0;
      for (let i = -half; i <= half; i++) total += i ** (p + q);
      return total;
    }),
  );
  const right = Array.from({ length: size }, (_, p) => {
    let factor = 1;
    for (let d = 0; d < order; d++) factor *= p - d;
    return factor === 0 ? 0 : factor * (position - half) ** (p - order);
  });
  const solution = solve(matrix, right);
  return Float64Array.from({ length: width }, (_, i) =>
    solution.reduce((sum, value, p) => sum + value * (i - half) ** p, 0),
  );
}

/** Gauss's elimination with pivots. */
function solve(matrix: number[][], right: number[]): number[] {
  const rows = matrix.map((row, i) => [...row, right[i]]);
  const n = rows.length;
  for (let k = 0; k < n; k++) {
    let pivot = k;
    for (let i = k + 1; i < n; i++) if (Math.abs(rows[i][k]) > Math.abs(rows[pivot][k])) pivot = i;
    [rows[k], rows[pivot]] = [rows[pivot], rows[k]];
    for (let i = 0; i < n; i++) {
      if (i === k) continue;
      const factor = rows[i][k] / rows[k][k];
      for (let j = k; j <= n; j++) rows[i][j] -= factor * rows[k][j];
    }
  }
  return rows.map((row, k) => row[n] / row[k]);
}

/** Weights as a convolution over the last axis of x [..., frames], which loses width - 1 frames. */
function slide(x: Tensor, key: string, weights: () => Float64Array): Tensor {
  const frames = x.shape[x.rank - 1];
  const table = cachedTable(x.device, key, () => Float32Array.from(weights()));
  const y = conv1d(reshape(x, [-1, 1, frames]), reshape(table, [1, 1, -1]));
  return reshape(y, [...x.shape.slice(0, -1), y.shape[2]]);
}

/**
 * Changes over time, along the last axis: x f32 [..., frames] -> the same shape. Applied twice, torchaudio's convention
 * gives the acceleration as HuBERT's features have it. Gradients flow.
 *
 * @throws RangeError when the width is no odd number from 3, or there are too few frames for it: librosa's `interp`
 * needs `width` of them, `reflect` more than half as many.
 */
export function deltas(x: Tensor, options: DeltaOptions): Tensor {
  const { convention } = options;
  if (convention !== 'torchaudio' && convention !== 'librosa') {
    throw new RangeError(`deltas: convention is '${convention}'; expected 'torchaudio' or 'librosa'`);
  }
  const own = convention === 'librosa' ? ['order'] : [];
  checkOptions(`deltas: convention '${convention}'`, options, ['convention', 'width', 'padMode', ...own]);
  const { width = convention === 'librosa' ? 9 : 5 } = options;
  if (!Number.isInteger(width) || width < 3 || width % 2 === 0) {
    throw new RangeError(`deltas: width is ${width}; expected an odd number from 3`);
  }
  if (x.dtype !== 'f32' || x.rank < 1 || x.size === 0) {
    throw new RangeError(`deltas: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [..., frames], not empty`);
  }
  const half = (width - 1) / 2;
  if (convention === 'torchaudio') {
    const scale = (half * (half + 1) * (2 * half + 1)) / 3;
    const weights = () => Float64Array.from({ length: width }, (_, i) => (i - half) / scale);
    return slide(padLast(x, half, options.padMode ?? 'replicate'), `deltas ${width}`, weights);
  }
  const { order = 1, padMode = 'interp' } = options;
  if (!Number.isInteger(order) || order < 1 || order >= width) {
    throw new RangeError(`deltas: order is ${order}; expected a whole number from 1 and under the width, ${width}`);
  }
  const key = `savgol ${width} ${order}`;
  const weights = () => savitzkyGolay(width, order, half);
  if (padMode !== 'interp') return slide(padLast(x, half, padMode), key, weights);
  const frames = x.shape[x.rank - 1];
  if (frames < width) {
    throw new RangeError(
      `deltas: ${frames} frames are fewer than the width ${width}; use a smaller width or padMode 'replicate'`,
    );
  }
  // The polynomials of the first and of the last frames, at the places that have no whole window of their own.
  const end = (name: string, places: number[]): Tensor =>
    reshape(
      cachedTable(x.device, `${key} ${name}`, () => {
        const rows = places.map((position) => savitzkyGolay(width, order, position));
        return Float32Array.from({ length: width * half }, (_, i) => rows[i % half][Math.floor(i / half)]);
      }),
      [width, half],
    );
  const places = Array.from({ length: half }, (_, i) => i);
  const first = matmul(sliceAxis(x, -1, 0, width), end('first', places));
  const last = matmul(
    sliceAxis(x, -1, frames - width),
    end(
      'last',
      places.map((i) => i + half + 1),
    ),
  );
  return concat([first, slide(x, key, weights), last], -1);
}

function padLast(x: Tensor, half: number, mode: PadMode): Tensor {
  return pad(x, [half, half], { mode });
}

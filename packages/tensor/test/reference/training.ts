import type { AdamWAttributes } from '../../src/index.ts';
import type { NDArray } from './array.ts';

/** The new parameters, first and second moments. Nothing moves when the norm is not finite. */
export function adamw(inputs: readonly NDArray[], a: AdamWAttributes): Float64Array[] {
  const [gradients, squaredNorm, [learningRate], [step], ...state] = inputs.map((input) => input.data);
  const [parameters, first, second] = state.map((data) => data.slice());
  if (!Number.isFinite(squaredNorm[0])) return [parameters, first, second];
  const clip = a.clipNorm > 0 ? Math.min(1, a.clipNorm / (Math.sqrt(squaredNorm[0]) + 1e-6)) : 1;
  gradients.forEach((raw, i) => {
    const g = raw * clip;
    first[i] = a.beta1 * first[i] + (1 - a.beta1) * g;
    second[i] = a.beta2 * second[i] + (1 - a.beta2) * g * g;
    const m = first[i] / (1 - a.beta1 ** step);
    const v = second[i] / (1 - a.beta2 ** step);
    parameters[i] -= learningRate * a.weightDecay * parameters[i] + (learningRate * m) / (Math.sqrt(v) + a.eps);
  });
  return [parameters, first, second];
}

/** Index of the nearest code, the first on ties, and what is left over. */
export function nearestCode(x: NDArray, codebook: NDArray): NDArray[] {
  const [rows, dimension] = x.shape;
  const indices = new Float64Array(rows);
  const residual = new Float64Array(x.data.length);
  for (let r = 0; r < rows; r++) {
    let best = Number.POSITIVE_INFINITY;
    for (let code = 0; code < codebook.shape[0]; code++) {
      let distance = 0;
      for (let d = 0; d < dimension; d++) {
        distance += (x.data[r * dimension + d] - codebook.data[code * dimension + d]) ** 2;
      }
      if (distance < best) {
        best = distance;
        indices[r] = code;
      }
    }
    for (let d = 0; d < dimension; d++) {
      residual[r * dimension + d] = x.data[r * dimension + d] - codebook.data[indices[r] * dimension + d];
    }
  }
  return [
    { dtype: 'i32', shape: [rows], data: indices },
    { ...x, data: residual },
  ];
}

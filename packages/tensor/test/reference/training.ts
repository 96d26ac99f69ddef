import type { AdamWAttributes } from '../../src/index.ts';
import type { NDArray } from './array.ts';

/** Sums of squares of chunks, summed; and the state when a step has begun. */
export function gradientNorm([gradients, state]: readonly NDArray[], begins: boolean): [number, Float64Array] {
  const [steps, scale, good, inverse] = state.data;
  const sum = gradients.data.reduce((total, g) => total + (g / scale) ** 2, 0);
  return [
    sum,
    begins ? Float64Array.of(steps + 1, scale, good, 1 / scale) : Float64Array.of(steps, scale, good, inverse),
  ];
}

/** The squared norm, the new state, parameters, first and second moments. Nothing moves when the norm is not finite. */
export function adamw(inputs: readonly NDArray[], a: AdamWAttributes): Float64Array[] {
  const [gradients, sums, state, ...rest] = inputs.map((input) => input.data);
  const [parameters, first, second] = rest.slice(0, 3).map((data) => data.slice());
  const learningRate = rest[3]?.[0] ?? a.learningRate;
  const squaredNorm = sums.reduce((total, sum) => total + sum, 0);
  const [step, , , inverse] = state;
  const next = Float64Array.from(state);
  const skipped = !Number.isFinite(Math.fround(squaredNorm));
  if (a.ends) {
    if (skipped) next[0] = step - 1;
    if (a.growthInterval > 0) {
      next[2] = skipped ? 0 : next[2] + 1;
      if (skipped) next[1] = Math.max(next[1] / 2, 2 ** -24);
      if (next[2] >= a.growthInterval) [next[1], next[2]] = [Math.min(next[1] * 2, 2 ** 24), 0];
    }
  }
  const result = [Float64Array.of(squaredNorm), next, parameters, first, second];
  if (skipped) return result;
  const clip = a.clipNorm > 0 ? Math.min(1, a.clipNorm / (Math.sqrt(squaredNorm) + 1e-6)) : 1;
  gradients.forEach((raw, i) => {
    const g = raw * inverse * clip;
    first[i] = a.beta1 * first[i] + (1 - a.beta1) * g;
    second[i] = a.beta2 * second[i] + (1 - a.beta2) * g * g;
    const m = first[i] / (1 - a.beta1 ** step);
    const v = second[i] / (1 - a.beta2 ** step);
    parameters[i] -= learningRate * a.weightDecay * parameters[i] + (learningRate * m) / (Math.sqrt(v) + a.eps);
  });
  return result;
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

/** Codes stage by stage, and what the last stage, or each of them, leaves over. */
export function residualCodes(x: NDArray, books: NDArray[], keep: boolean): NDArray[] {
  const codes: number[] = [];
  const left: NDArray[] = [];
  for (const book of books) {
    const [found, residual] = nearestCode(left[left.length - 1] ?? x, book);
    codes.push(...found.data);
    left.push(residual);
  }
  const kept = keep ? left : left.slice(-1);
  return [
    { dtype: 'i32', shape: [books.length, x.shape[0]], data: Float64Array.from(codes) },
    { ...x, shape: [kept.length, ...x.shape], data: Float64Array.from(kept.flatMap(({ data }) => [...data])) },
  ];
}

/** Entries, running averages and sizes after a step; entries that fall under the threshold are rows of x. */
export function codebookUpdate(
  [x, codes, averages, sizes, picks]: NDArray[],
  { decay, epsilon, threshold }: { decay: number; epsilon: number; threshold: number },
): NDArray[] {
  const [rows, dimension] = x.shape;
  const count = sizes.data.length;
  const newSizes = Float64Array.from(sizes.data, (size) => decay * size);
  const newAverages = Float64Array.from(averages.data, (average) => decay * average);
  for (let r = 0; r < rows; r++) {
    const code = codes.data[r];
    if (code < 0 || code >= count) continue;
    newSizes[code] += 1 - decay;
    for (let d = 0; d < dimension; d++) newAverages[code * dimension + d] += (1 - decay) * x.data[r * dimension + d];
  }
  const total = newSizes.reduce((sum, size) => sum + size, 0);
  const entries = newAverages.map((average, i) => {
    const size = newSizes[Math.floor(i / dimension)];
    return average / (((size + epsilon) / (total + count * epsilon)) * total);
  });
  for (let code = 0; code < count; code++) {
    if (newSizes[code] >= threshold || rows === 0) continue;
    newSizes[code] = threshold;
    for (let d = 0; d < dimension; d++) {
      const at = code * dimension + d;
      entries[at] = x.data[picks.data[code] * dimension + d];
      newAverages[at] = threshold * entries[at];
    }
  }
  return [
    { ...averages, data: entries },
    { ...averages, data: newAverages },
    { ...sizes, data: newSizes },
  ];
}

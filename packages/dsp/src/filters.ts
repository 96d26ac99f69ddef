import {
  add,
  cachedTable,
  checkOptions,
  concat,
  conv1d,
  formatShape,
  linearRecurrence,
  mul,
  pad,
  reshape,
  sliceAxis,
  sub,
  type Tensor,
  zerosLike,
} from '@dawnchorus/tensor';
import { recursive } from './recursive.ts';

function checkSignal(name: string, x: Tensor): void {
  if (x.dtype !== 'f32' || x.rank < 1 || x.size === 0) {
    throw new RangeError(`${name}: x is ${x.dtype}${formatShape(x.shape)}; expected f32 [..., samples], not empty`);
  }
}

/**
 * A rational filter from rest: y[n] = (sum of b[k] x[n - k] - sum from 1 of a[k] y[n - k]) / a[0], along the last axis of x
 * f32 [..., samples]: scipy.signal.lfilter, and torchaudio.functional.lfilter with clamp=False (its coefficients from
 * powers 0 up, too). The whole clip is filtered in parallel, by products of matrices that are computed in f64 or finer, so that
 * high orders with poles near 1 need not be cut into sections; gradients flow.
 *
 * @throws RangeError when there are no coefficients, one is not finite, a[0] is 0, or the filter grows beyond f32 within the
 *   clip.
 */
export function lfilter(x: Tensor, coefficients: { b: readonly number[]; a: readonly number[] }): Tensor {
  checkOptions('lfilter', coefficients, ['b', 'a'], ['b', 'a']);
  const { b, a } = coefficients;
  checkSignal('lfilter', x);
  if (b.length === 0 || a.length === 0 || ![...b, ...a].every(Number.isFinite) || a[0] === 0) {
    throw new RangeError(`lfilter: b [${b}] and a [${a}]; expected finite numbers, one each at least, and a[0] not 0`);
  }
  const samples = x.shape[x.rank - 1];
  const rows = reshape(x, [-1, samples]);
  const [forward, back] = [b, a].map((values) => values.map((value) => value / a[0]));
  if (back.some((value, k) => k > 0 && value !== 0)) return reshape(recursive(rows, forward, back), x.shape);
  // Backwards, as the convolution is a correlation.
  const weights = cachedTable(x.device, `fir ${forward}`, () => Float32Array.from([...forward].reverse()));
  const padded = reshape(pad(rows, [b.length - 1, 0]), [-1, 1, samples + b.length - 1]);
  return reshape(conv1d(padded, reshape(weights, [1, 1, -1])), x.shape);
}

/** Settings of `preemphasis` and `deemphasis`. */
export interface EmphasisOptions {
  /** Default 0.97. */
  readonly coefficient?: number;
  /**
   * What stands before the first sample: nothing (`torchaudio`), or what librosa takes for it, which goes on along the
   * line through the first two samples and leaves 3 x[0] - x[1] in front.
   */
  readonly convention: 'librosa' | 'torchaudio';
}

function checkEmphasis(name: string, x: Tensor, options: EmphasisOptions): number {
  checkOptions(name, options, ['coefficient', 'convention']);
  const { coefficient = 0.97, convention } = options;
  checkSignal(name, x);
  if (convention !== 'librosa' && convention !== 'torchaudio') {
    throw new RangeError(`${name}: convention is '${convention}'; expected 'librosa' or 'torchaudio'`);
  }
  if (!(Math.abs(coefficient) <= 1)) {
    throw new RangeError(`${name}: coefficient is ${coefficient}; expected a number from -1 to 1`);
  }
  if (convention === 'librosa' && x.shape[x.rank - 1] < 2) {
    throw new RangeError(`${name}: librosa's convention needs two samples; use convention 'torchaudio'`);
  }
  return coefficient;
}

/**
 * y[n] = x[n] - coefficient x[n - 1] along the last axis of x f32 [..., samples]: librosa.effects.preemphasis and
 * torchaudio.functional.preemphasis. Gradients flow.
 *
 * @throws RangeError when the coefficient is out of range, or librosa's convention has one sample only.
 */
export function preemphasis(x: Tensor, options: EmphasisOptions): Tensor {
  const coefficient = checkEmphasis('preemphasis', x, options);
  const [last, samples] = [x.rank - 1, x.shape[x.rank - 1]];
  const y = sub(x, mul(pad(sliceAxis(x, last, 0, samples - 1), [1, 0]), coefficient));
  if (options.convention === 'torchaudio') return y;
  const first = sub(mul(sliceAxis(x, last, 0, 1), 3), sliceAxis(x, last, 1, 2));
  return concat([first, sliceAxis(y, last, 1)], last);
}

/**
 * y[n] = x[n] + coefficient y[n - 1], which undoes `preemphasis` of the same convention: librosa.effects.deemphasis and
 * torchaudio.functional.deemphasis. Gradients flow.
 *
 * @throws RangeError as `preemphasis` does.
 */
export function deemphasis(x: Tensor, options: EmphasisOptions): Tensor {
  const coefficient = checkEmphasis('deemphasis', x, options);
  const last = x.rank - 1;
  const y = linearRecurrence(add(zerosLike(x), coefficient), x, { dim: last });
  if (options.convention === 'torchaudio') return y;
  const samples = x.shape[last];
  const decay = cachedTable(x.device, `decay ${coefficient} ${samples}`, () =>
    Float32Array.from({ length: samples }, (_, n) => coefficient ** n / (3 - coefficient)),
  );
  const start = sub(mul(sliceAxis(x, last, 0, 1), 2 - coefficient), sliceAxis(x, last, 1, 2));
  return sub(y, mul(start, decay));
}

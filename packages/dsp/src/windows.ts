/** Windows in f64, as scipy.signal.get_window makes them. */
import { checkOptions } from '@dawnchorus/tensor';

/**
 * A window's shape. `{ kaiser: beta }` is the Kaiser window, wider main lobe and lower side lobes with larger beta.
 * `povey` is Kaldi's: a Hann window to the power of 0.85, there always symmetric.
 */
export type Window =
  | 'hann'
  | 'hamming'
  | 'blackman'
  | 'blackmanharris'
  | 'flattop'
  | 'bartlett'
  | 'povey'
  | 'rectangular'
  | { readonly kaiser: number };

/** Coefficients a_m of sum over m of (-1)^m a_m cos(2 pi m i / period). */
const cosines = {
  hann: [0.5, 0.5],
  hamming: [0.54, 0.46],
  blackman: [0.42, 0.5, 0.08],
  blackmanharris: [0.35875, 0.48829, 0.14128, 0.01168],
  flattop: [0.21557895, 0.41663158, 0.277263158, 0.083578947, 0.006947368],
  rectangular: [1],
};

/** The modified Bessel function of the first kind and order zero, by its power series. */
function besselI0(x: number): number {
  let sum = 1;
  for (let term = 1, k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}

/**
 * A window of `length` samples. `periodic` (default) is one period of a window that repeats, for spectra; otherwise it
 * is symmetric and ends as it begins, for filter design. A window of one sample is 1.
 *
 * @throws RangeError when the length is no whole number from 1, or there is no such window; TypeError for options that there
 *   are none of.
 */
export function makeWindow(window: Window, length: number, options: { periodic?: boolean } = {}): Float64Array {
  checkOptions('makeWindow', options, ['periodic']);
  const { periodic = true } = options;
  if (!Number.isInteger(length) || length < 1) {
    throw new RangeError(`makeWindow: length is ${length}; expected a whole number from 1`);
  }
  if (length === 1) return Float64Array.of(1);
  const period = periodic ? length : length - 1;
  const at = weightOf(window, period);
  return Float64Array.from({ length }, (_, i) => at(i));
}

/** The weight of sample i of a window with a period. */
function weightOf(window: Window, period: number): (i: number) => number {
  if (typeof window === 'object' && window !== null && 'kaiser' in window) {
    const { kaiser } = window;
    if (!(kaiser >= 0 && kaiser < 700)) {
      throw new RangeError(`makeWindow: a Kaiser window's beta is ${kaiser}; expected a number from 0 up to 700`);
    }
    const peak = besselI0(kaiser);
    return (i) => besselI0(kaiser * Math.sqrt(Math.max(0, 1 - ((2 * i) / period - 1) ** 2))) / peak;
  }
  if (window === 'bartlett') return (i) => 1 - Math.abs((2 * i) / period - 1);
  if (window === 'povey') return (i) => (0.5 - 0.5 * Math.cos((2 * Math.PI * i) / period)) ** 0.85;
  const coefficients: readonly number[] | undefined = cosines[window];
  if (!coefficients) {
    const names = [...Object.keys(cosines), 'bartlett', 'povey'].join(', ');
    const asked = typeof window === 'string' ? window : JSON.stringify(window);
    throw new RangeError(`makeWindow: there is no window '${asked}'; use ${names} or { kaiser: beta }`);
  }
  return (i) => coefficients.reduce((sum, a, m) => sum + (-1) ** m * a * Math.cos((2 * Math.PI * m * i) / period), 0);
}

/** Windows in f64, as scipy.signal.get_window makes them. */

/** A window's shape; `{ kaiser: beta }` is the Kaiser window, wider main lobe and lower side lobes with larger beta. */
export type Window = 'hann' | 'hamming' | 'blackman' | 'rectangular' | { readonly kaiser: number };

/** Coefficients a_m of sum over m of (-1)^m a_m cos(2 pi m i / period). */
const cosines = { hann: [0.5, 0.5], hamming: [0.54, 0.46], blackman: [0.42, 0.5, 0.08], rectangular: [1] };

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
 * @throws RangeError when the length is no whole number from 1.
 */
export function makeWindow(window: Window, length: number, { periodic = true } = {}): Float64Array {
  if (!Number.isInteger(length) || length < 1) {
    throw new RangeError(`makeWindow: length is ${length}; expected a whole number from 1`);
  }
  if (length === 1) return Float64Array.of(1);
  const period = periodic ? length : length - 1;
  if (typeof window === 'object') {
    const peak = besselI0(window.kaiser);
    return Float64Array.from({ length }, (_, i) => {
      const u = (2 * i) / period - 1;
      return besselI0(window.kaiser * Math.sqrt(Math.max(0, 1 - u * u))) / peak;
    });
  }
  return Float64Array.from({ length }, (_, i) =>
    cosines[window].reduce((sum, a, m) => sum + (-1) ** m * a * Math.cos((2 * Math.PI * m * i) / period), 0),
  );
}

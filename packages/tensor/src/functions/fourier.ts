import { apply } from '../apply.ts';
import { isFloat } from '../dtype.ts';
import { checkOptions } from '../ops/arguments.ts';
import { fftTables, rfftTables } from '../ops/fft.ts';
import { cachedTable } from '../ops/tables.ts';
import { formatShape, normaliseAxis } from '../shape.ts';
import type { BroadcastableTo, BroadcastShape, ReducedShape, ShapeOf } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';
import { flip, pad } from './arranging.ts';
import { cast, mul } from './elementwise.ts';
import { concat } from './indexing.ts';
import { norm as normOf } from './reductions.ts';
import { select } from './slicing.ts';
import { movedim, sliceAxis, unsqueeze } from './views.ts';

// Complex numbers are pairs, a last axis of 2 that holds the real and the imaginary part: PyTorch's view_as_real.

/** How a transform and its inverse share the factor 1 / n: the inverse has it, each has its root, or the transform has it. */
export type FftNorm = 'backward' | 'ortho' | 'forward';

/** The options of `fft`, `ifft`, `rfft` and `irfft`, as in `torch.fft`. */
export interface FftOptions {
  /** The length to transform: x is cut to it, or filled up with zeros at the end. By default what x has. */
  n?: number;
  /** The axis to transform; for complex numbers counted without the axis of the pairs. Default -1, the last one. */
  dim?: number;
  /** Default 'backward'. */
  norm?: FftNorm;
}

const plainly = (name: string, x: Tensor, layout: string): Tensor => {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`${name}: x is ${x.dtype}${formatShape(x.shape)}; expected f32 ${layout}; use .cast('f32')`);
  }
  return cast(x, 'f32');
};

function checkComplex(name: string, x: Tensor, least: number): void {
  if (x.rank < least || x.shape[x.rank - 1] !== 2) {
    const layout = least > 1 ? '[..., length, 2]' : '[..., 2]';
    throw new RangeError(
      `${name}: x is ${formatShape(x.shape)}; expected complex numbers ${layout}, (re, im) along the last axis; ` +
        'of real numbers make them by stack([re, im], -1)',
    );
  }
}

function checkLength(name: string, n: number, x: Tensor): void {
  if (Number.isInteger(n) && n >= 1) return;
  throw new RangeError(`${name}: n is ${n} for x ${formatShape(x.shape)}; expected a whole number from 1`);
}

function scaleOf(name: string, norm: FftNorm, n: number, inverse: boolean): number {
  if (norm === 'ortho') return 1 / Math.sqrt(n);
  if (norm !== 'backward' && norm !== 'forward') {
    throw new RangeError(`${name}: norm is ${JSON.stringify(norm)}; expected 'backward', 'ortho' or 'forward'`);
  }
  return (norm === 'backward') === inverse ? 1 / n : 1;
}

/** An axis cut, or filled up with zeros at its end. */
function fit(x: Tensor, axis: number, extent: number): Tensor {
  const missing = extent - x.shape[axis];
  if (missing === 0) return x;
  if (missing < 0) return sliceAxis(x, axis, 0, extent);
  return pad(x, [...new Array(2 * (x.rank - 1 - axis)).fill(0), 0, missing]);
}

const fftOptions = ['n', 'dim', 'norm'];

function transform(name: 'fft' | 'ifft', given: Tensor, options: FftOptions): Tensor {
  checkOptions(name, options, fftOptions);
  const { n, dim = -1, norm = 'backward' } = options;
  const x = plainly(name, given, '[..., length, 2]');
  checkComplex(name, x, 2);
  const axis = normaliseAxis(dim, x.rank - 1, name);
  const length = n ?? x.shape[axis];
  checkLength(name, length, x);
  const inverse = name === 'ifft';
  const scale = scaleOf(name, norm, length, inverse);
  const rows = movedim(fit(x, axis, length), axis, -2);
  return movedim(apply('fft', [rows, ...fftTables(x.device, length)], { inverse, scale })[0], -2, axis);
}

/**
 * The Fourier transform of complex numbers along one axis: X_k = sum over t of x_t exp(-2 pi i k t / n). x [..., length, 2]
 * -> [..., n, 2] in f32; f16 is computed, and comes out, in f32. Any length, primes included, in n log n steps.
 *
 * Errors are 1e-7 to 3e-7 of the largest value, also where a prime factor over 64 makes it Bluestein's transform. Gradients
 * are those of `torch.fft.fft`.
 *
 * @throws RangeError when the last axis is not 2, the axis does not exist or n is no whole number from 1; TypeError for
 * whole numbers and booleans.
 */
export function fft<T extends Tensor>(x: T, options?: FftOptions & { n?: undefined }): Tensor<ShapeOf<T>>;
export function fft(x: Tensor, options?: FftOptions): Tensor;
export function fft(x: Tensor, options: FftOptions = {}): Tensor {
  return transform('fft', x, options);
}

/** The inverse of `fft`: x_t = 1/n sum over k of X_k exp(2 pi i k t / n). X [..., length, 2] -> [..., n, 2]. */
export function ifft<T extends Tensor>(x: T, options?: FftOptions & { n?: undefined }): Tensor<ShapeOf<T>>;
export function ifft(x: Tensor, options?: FftOptions): Tensor;
export function ifft(x: Tensor, options: FftOptions = {}): Tensor {
  return transform('ifft', x, options);
}

/**
 * The Fourier transform of real numbers along one axis, at frequencies 0 .. floor(n / 2); the others are their conjugates.
 * x [..., length] -> [..., floor(n / 2) + 1, 2]: the axis `dim` becomes the frequencies, and pairs come last.
 *
 * @throws as `fft`.
 */
export function rfft(x: Tensor, options: FftOptions = {}): Tensor {
  checkOptions('rfft', options, fftOptions);
  const { n, dim = -1, norm = 'backward' } = options;
  const real = plainly('rfft', x, '[..., length]');
  const axis = normaliseAxis(dim, x.rank, 'rfft');
  const length = n ?? x.shape[axis];
  checkLength('rfft', length, x);
  const scale = scaleOf('rfft', norm, length, false);
  const rows = movedim(fit(real, axis, length), axis, -1);
  if (length % 2 === 0) {
    const tables = rfftTables(x.device, length);
    return movedim(apply('rfft', [rows, ...tables], { scale, interior: 1 })[0], -2, axis);
  }
  const complex = pad(unsqueeze(rows, -1), [0, 1]);
  const whole = apply('fft', [complex, ...fftTables(x.device, length)], { inverse: false, scale })[0];
  return movedim(sliceAxis(whole, -2, 0, (length + 1) / 2), -2, axis);
}

/**
 * The inverse of `rfft`: real numbers from their half spectrum. X [..., bins, 2] -> [..., n], n = 2 (bins - 1) by default:
 * say n where it was odd. The imaginary part at frequency 0, and at n / 2 where n is even, counts for nothing.
 *
 * @throws as `fft`.
 */
export function irfft(x: Tensor, options: FftOptions = {}): Tensor {
  checkOptions('irfft', options, fftOptions);
  const { n, dim = -1, norm = 'backward' } = options;
  const spectrum = plainly('irfft', x, '[..., bins, 2]');
  checkComplex('irfft', x, 2);
  const axis = normaliseAxis(dim, x.rank - 1, 'irfft');
  const length = n ?? 2 * (x.shape[axis] - 1);
  checkLength('irfft', length, x);
  const scale = scaleOf('irfft', norm, length, true);
  const bins = movedim(fit(spectrum, axis, Math.floor(length / 2) + 1), axis, -2);
  if (length % 2 === 0) {
    const tables = rfftTables(x.device, length);
    return movedim(apply('irfft', [bins, ...tables], { length, scale, interior: 2 })[0], -1, axis);
  }
  const others = complexConj(flip(sliceAxis(bins, -2, 1), -2));
  const whole = concat([bins, others], -2);
  const made = apply('fft', [whole, ...fftTables(x.device, length)], { inverse: true, scale })[0];
  return movedim(select(made, -1, 0), -1, axis);
}

/** The product of complex numbers [..., 2]; the other axes broadcast. f16 where both are, else f32. */
export function complexMul<T extends Tensor, O extends Tensor>(
  a: T,
  b: BroadcastableTo<T, O>,
): Tensor<BroadcastShape<T, O>> {
  return apply('complexMul', [a, b as Tensor], { conjugate: false })[0];
}

/** The complex conjugate of [..., 2]. */
export function complexConj<T extends Tensor>(x: T): Tensor<ShapeOf<T>> {
  checkFloatPairs('complexConj', x);
  const signs = cachedTable(x.device, 'signs of a conjugate', () => Float32Array.of(1, -1));
  return cast(mul(x as Tensor, signs), x.dtype);
}

/** The magnitude of [..., 2] -> [...]. Its gradient at zero is 0. Squares beyond the range of f32 are not saved from it. */
export function complexAbs<T extends Tensor>(x: T): Tensor<ReducedShape<T, { dim: -1 }>> {
  checkFloatPairs('complexAbs', x);
  return normOf(x, { dim: -1 });
}

function checkFloatPairs(name: string, x: Tensor): void {
  if (!isFloat(x.dtype)) {
    throw new TypeError(`${name}: x is ${x.dtype}${formatShape(x.shape)}; expected floats [..., 2]; use .cast('f32')`);
  }
  checkComplex(name, x, 1);
}

import { fft as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { gridFor } from '../kernel/grid.ts';
import { formatShape, type Shape, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { expectDtype } from './arguments.ts';
import { withDense, withScratch } from './dense.ts';
import { kernelOp } from './op.ts';
import { cachedTable } from './tables.ts';

/** A prime factor costs as many multiplications a value; Bluestein's transform costs less than larger ones. */
const LARGEST_RADIX = 64;
/** Bytes of one buffer of Bluestein's transform; more rows go in parts. */
const LARGEST_BUFFER = 64 * 2 ** 20;

/** The radices whose product is `length`: 8 as often as it goes, then 4 or 2, then odd primes. */
export function fftRadices(length: number): number[] {
  const radices: number[] = [];
  let rest = length;
  const divideOut = (radix: number) => {
    for (; rest % radix === 0; rest /= radix) radices.push(radix);
  };
  for (const radix of [8, 4, 2]) divideOut(radix);
  for (let radix = 3; radix * radix <= rest; radix += 2) divideOut(radix);
  // What is left of a number without small factors is prime.
  if (rest > 1) radices.push(rest);
  return radices;
}

/** What the sine of a multiple of pi leaves of 0. */
const exact = (value: number) => (Math.abs(value) < 1e-15 ? 0 : value);

/** The first `count` of exp(sign j 2 pi i / length) as interleaved (re, im), computed in f64: [2 count]. */
export function unitRoots(length: number, sign: 1 | -1, count = length): Float32Array<ArrayBuffer> {
  const roots = new Float32Array(2 * count);
  for (let i = 0; i < count; i++) {
    const angle = (2 * Math.PI * i) / length;
    roots[2 * i] = exact(Math.cos(angle));
    roots[2 * i + 1] = sign * exact(Math.sin(angle));
  }
  return roots;
}

/** The Fourier transform of a power of two of complex numbers, (re, im) interleaved, in place and in f64. */
function transformOnHost(x: Float64Array): void {
  const length = x.length / 2;
  const swap = (i: number, j: number) => {
    [x[i], x[j]] = [x[j], x[i]];
  };
  for (let i = 0, reversed = 0; i < length; i++) {
    if (i < reversed) for (const part of [0, 1]) swap(2 * i + part, 2 * reversed + part);
    let bit = length >> 1;
    for (; reversed & bit; bit >>= 1) reversed ^= bit;
    reversed |= bit;
  }
  for (let span = 1; span < length; span *= 2) {
    for (let k = 0; k < span; k++) {
      const [re, im] = [Math.cos((Math.PI * k) / span), -Math.sin((Math.PI * k) / span)];
      for (let i = 2 * k; i < 2 * length; i += 4 * span) {
        const j = i + 2 * span;
        const [a, b] = [x[j] * re - x[j + 1] * im, x[j] * im + x[j + 1] * re];
        [x[j], x[j + 1]] = [x[i] - a, x[i + 1] - b];
        x[i] += a;
        x[i + 1] += b;
      }
    }
  }
}

/** A power of two that holds the convolution with both sides of a chirp of `length`. */
const chirpLength = (length: number) => 2 ** Math.ceil(Math.log2(2 * length - 1));

/** exp(-j pi i i / length), which turns the transform of `length` into a convolution: [2 length]. */
function chirp(length: number): Float64Array<ArrayBuffer> {
  const values = new Float64Array(2 * length);
  for (let i = 0; i < length; i++) {
    const angle = (Math.PI * ((i * i) % (2 * length))) / length;
    values[2 * i] = Math.cos(angle);
    values[2 * i + 1] = -Math.sin(angle);
  }
  return values;
}

/** The transform of the chirp's conjugate, laid on a circle with its mirror image, divided by the length of the circle. */
function chirpSpectrum(length: number): Float32Array<ArrayBuffer> {
  const circle = chirpLength(length);
  const own = chirp(length);
  const x = new Float64Array(2 * circle);
  for (let i = 0; i < length; i++) {
    for (const at of [i, (circle - i) % circle]) {
      x[2 * at] = own[2 * i] / circle;
      x[2 * at + 1] = -own[2 * i + 1] / circle;
    }
  }
  transformOnHost(x);
  return Float32Array.from(x);
}

/** exp(-j 2 pi i / length): f32 [2 length]. */
export function fftRoots(device: Device, length: number): Tensor {
  return cachedTable(device, `roots of ${length}`, () => unitRoots(length, -1));
}

/** What a transform of `length` complex numbers reads beside them: its roots, or Bluestein's roots, chirp and its spectrum. */
export function fftTables(device: Device, length: number): Tensor[] {
  const direct = fftRadices(length).every((radix) => radix <= LARGEST_RADIX);
  if (direct) return [fftRoots(device, length)];
  return [
    fftRoots(device, chirpLength(length)),
    cachedTable(device, `chirp of ${length}`, () => Float32Array.from(chirp(length))),
    cachedTable(device, `spectrum of the chirp of ${length}`, () => chirpSpectrum(length)),
  ];
}

/** What a transform of `length` real numbers reads beside them; an even one goes by half as many complex numbers. */
export function rfftTables(device: Device, length: number): Tensor[] {
  const half = length / 2;
  const key = `first roots of ${length}`;
  return [cachedTable(device, key, () => unitRoots(length, -1, half + 1)), ...fftTables(device, half)];
}

/** What `recordFft` records. */
export interface FftRun {
  /** Complex numbers in a row. */
  length: number;
  rows: number;
  inverse?: boolean;
  /** What the result is multiplied by; default 1. */
  scale?: number;
}

const direction = (inverse: boolean) => ({ INVERSE: `const INVERSE = ${inverse};` });

/** Passes over all rows from source to target to the other target and back; returns the one that was written last. */
function runPasses(
  device: Device,
  roots: Tensor,
  source: Tensor,
  targets: readonly [Tensor, Tensor],
  { length, rows, inverse = false, scale = 1 }: FftRun,
): Tensor {
  const radices = length === 1 ? [1] : fftRadices(length);
  let from = source;
  let span = 1;
  radices.forEach((radix, pass) => {
    const out = targets[pass % 2];
    const buffers = [from, roots, out].map((tensor) => tensor.storage.buffer);
    const parameters = { length, span, offset: from.offset / 2, scale: pass === radices.length - 1 ? scale : 1 };
    const constants = direction(inverse);
    if (radix === 8) {
      const count = (rows * length) / 8;
      const grid = gridFor(count);
      device.recorder.dispatch({
        kernel: kernels.fftRadix8,
        constants,
        buffers,
        parameters: { ...parameters, count },
        grid,
      });
    } else {
      const count = rows * length;
      const grid = gridFor(count);
      const own = { ...parameters, radix, count };
      device.recorder.dispatch({ kernel: kernels.fftRadix, constants, buffers, parameters: own, grid });
    }
    span *= radix;
    from = out;
  });
  return from;
}

/** Bluestein's transform: a convolution with a chirp, by transforms of a power of two. */
function runBluestein(
  device: Device,
  [roots, factors, spectrum]: readonly Tensor[],
  source: Tensor,
  target: Tensor,
  { length, rows, inverse = false, scale = 1 }: FftRun,
): Tensor {
  const circle = chirpLength(length);
  const atOnce = Math.min(rows, Math.max(1, Math.floor(LARGEST_BUFFER / (8 * circle))));
  const multiply = (
    from: Tensor,
    by: Tensor,
    out: Tensor,
    parameters: { length: number; outLength: number; offset: number; outOffset: number; count: number; scale: number },
  ) =>
    device.recorder.dispatch({
      kernel: kernels.fftMultiply,
      constants: direction(inverse),
      buffers: [from, by, out].map((tensor) => tensor.storage.buffer),
      parameters,
      grid: gridFor(parameters.count),
    });
  const shape = [atOnce, circle, 2];
  const names = ['chirped rows', 'spectrum of chirped rows'];
  withScratch(
    device,
    names.map((name) => ({ name, shape })),
    (a, b) => {
      for (let first = 0; first < rows; first += atOnce) {
        const count = Math.min(atOnce, rows - first);
        const offset = source.offset / 2 + first * length;
        const many = count * circle;
        const plain = { offset: 0, outOffset: 0, scale: 1 };
        multiply(source, factors, a, { ...plain, length, outLength: circle, offset, count: many });
        const transformed = runPasses(device, roots, a, [b, a], { length: circle, rows: count });
        const other = transformed === a ? b : a;
        multiply(transformed, spectrum, other, { ...plain, length: circle, outLength: circle, count: many });
        const convolved = runPasses(device, roots, other, [transformed, other], {
          length: circle,
          rows: count,
          inverse: true,
        });
        multiply(convolved, factors, target, {
          length: circle,
          outLength: length,
          offset: 0,
          outOffset: target.offset / 2 + first * length,
          count: count * length,
          scale,
        });
      }
    },
  );
  return target;
}

/**
 * Records the transform of `rows` rows of complex numbers, (re, im) in f32, from `source`, which is dense from an even
 * offset on, into one of two dense targets at offset 0, of that size; returns which. The second may be the source, which
 * is overwritten then. For operations with Fourier transforms inside.
 *
 * @param tables those of `fftTables`.
 */
export function recordFft(
  device: Device,
  tables: readonly Tensor[],
  source: Tensor,
  targets: readonly [Tensor, Tensor],
  options: FftRun,
): Tensor {
  if (tables.length === 1) return runPasses(device, tables[0], source, targets, options);
  return runBluestein(device, tables, source, targets[0], options);
}

/** The same into one target, by a buffer of its own where it takes one. */
function fftInto(device: Device, tables: readonly Tensor[], source: Tensor, out: Tensor, options: FftRun): void {
  const passes = tables.length === 1 ? fftRadices(options.length).length : 1;
  if (passes <= 1) return void recordFft(device, tables, source, [out, out], options);
  withScratch(device, [{ name: 'Fourier transform', shape: out.shape }], (scratch) =>
    recordFft(device, tables, source, passes % 2 === 1 ? [out, scratch] : [scratch, out], options),
  );
}

function checkPairs(name: string, x: Tensor): void {
  expectDtype(name, 'the input', x, 'f32');
  if (x.rank < 2 || x.shape[x.rank - 1] !== 2 || x.shape[x.rank - 2] === 0) {
    throw new RangeError(`${name}: the input is ${formatShape(x.shape)}; expected [..., length, 2], length from 1`);
  }
}

const flopsOf = (length: number, size: number) => Math.round(5 * size * Math.log2(Math.max(2, length)));

/** Attributes of `fft` and `ifft`. */
export interface FftAttributes {
  /** Exponents with a plus. */
  inverse: boolean;
  scale: number;
}

/** x [..., length, 2] and the tables of `fftTables` -> [..., length, 2]: scale times the sum that defines it. */
const fft = kernelOp<FftAttributes>({
  infer([x]) {
    checkPairs('fft', x);
    return [{ dtype: 'f32', shape: x.shape }];
  },
  flops: ([x]) => flopsOf(x.shape[x.rank - 2], x.size / 2),
  run(device, [input, ...tables], [out], { inverse, scale }) {
    const length = out.shape[out.rank - 2];
    withDense(
      device,
      [input],
      ([x]) => fftInto(device, tables, x, out, { length, rows: out.size / 2 / length, inverse, scale }),
      2,
    );
  },
});

/** Attributes of `rfft` and `irfft`. */
export interface RealFftAttributes {
  scale: number;
  /** What frequencies between zero and half the sampling rate count, which stand for two. */
  interior: number;
}

const halfShape = (shape: Shape) => [...shape.slice(0, -1), shape[shape.length - 1] / 2, 2];

/** x [..., length], length even, and the tables of `rfftTables` -> [..., length / 2 + 1, 2]. */
const rfft = kernelOp<RealFftAttributes>({
  infer([x]) {
    expectDtype('rfft', 'the input', x, 'f32');
    const length = x.shape[x.rank - 1];
    if (x.rank === 0 || length === 0 || length % 2 !== 0) {
      throw new RangeError(`rfft: the input is ${formatShape(x.shape)}; expected [..., length], an even length from 2`);
    }
    return [{ dtype: 'f32', shape: [...x.shape.slice(0, -1), length / 2 + 1, 2] }];
  },
  flops: ([x]) => flopsOf(x.shape[x.rank - 1], x.size / 2),
  run(device, [input, roots, ...tables], [out], { scale, interior }) {
    const half = out.shape[out.rank - 2] - 1;
    const rows = sizeOf(out.shape.slice(0, -2));
    withDense(
      device,
      [input],
      ([x]) => {
        const count = rows * (half + 1);
        withScratch(device, [{ name: 'spectrum of pairs', shape: halfShape(x.shape) }], (z) => {
          fftInto(device, tables, x, z, { length: half, rows });
          device.recorder.dispatch({
            kernel: kernels.rfftSplit,
            buffers: [z, roots, out].map((tensor) => tensor.storage.buffer),
            parameters: { half, count, scale, interior },
            grid: gridFor(count),
          });
        });
      },
      2,
    );
  },
});

/**
 * x [..., length / 2 + 1, 2] and the tables of `rfftTables` -> [..., length], length even: rfft's transpose for the same
 * attributes, and its inverse where `interior` is 2 and `scale` is 1 / length.
 */
const irfft = kernelOp<RealFftAttributes & { length: number }>({
  infer([x], { length }) {
    checkPairs('irfft', x);
    if (x.shape[x.rank - 2] !== length / 2 + 1) {
      throw new RangeError(
        `irfft: the input is ${formatShape(x.shape)}; expected [..., length / 2 + 1, 2] for a length of ${length}`,
      );
    }
    return [{ dtype: 'f32', shape: [...x.shape.slice(0, -2), length] }];
  },
  flops: (_inputs, [out], { length }) => flopsOf(length, out.size / 2),
  run(device, [input, roots, ...tables], [out], { length, scale, interior }) {
    const half = length / 2;
    const rows = out.size / length;
    withDense(
      device,
      [input],
      ([x]) => {
        const count = rows * half;
        withScratch(device, [{ name: 'spectrum of pairs', shape: halfShape(out.shape) }], (z) => {
          device.recorder.dispatch({
            kernel: kernels.irfftJoin,
            buffers: [x, roots, z].map((tensor) => tensor.storage.buffer),
            parameters: { half, count, offset: x.offset / 2, interior },
            grid: gridFor(count),
          });
          fftInto(device, tables, z, out, { length: half, rows, inverse: true, scale });
        });
      },
      2,
    );
  },
});

export const differentiableFourier = { fft, rfft, irfft };

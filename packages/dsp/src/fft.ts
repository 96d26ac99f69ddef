import { fft as kernels } from '@dawnchorus/kernels';
import type { Device, Tensor } from '@dawnchorus/tensor';
import { upload } from './upload.ts';

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

/** exp(sign j 2 pi i / length) as interleaved (re, im), computed in f64: [2 length]. */
export function unitRoots(length: number, sign: 1 | -1): Float32Array<ArrayBuffer> {
  const roots = new Float32Array(2 * length);
  for (let i = 0; i < length; i++) {
    const angle = (2 * Math.PI * i) / length;
    roots[2 * i] = Math.cos(angle);
    roots[2 * i + 1] = sign * Math.sin(angle);
  }
  return roots;
}

/**
 * The forward Fourier transform of rows of `length` complex numbers, (re, im) interleaved in f32. Any
 * length works; factors of 2 are the fast ones, and a prime factor p costs p multiplications a value.
 */
export function createFft(device: Device, length: number) {
  const radices = fftRadices(length);
  const roots = upload(device, unitRoots(length, -1), 'FFT roots');

  return {
    /** exp(-j 2 pi i / length): f32 [2 length]. */
    roots,
    /** Transforms `rows` rows of `x`, which is overwritten and must be dense; returns `x` or `other`, whichever holds the result. */
    transform(x: Tensor, other: Tensor, rows: number): Tensor {
      let [source, out] = [x, other];
      let span = 1;
      for (const radix of radices) {
        const buffers = [source, roots, out].map((tensor) => tensor.storage.buffer);
        if (radix === 8) {
          device.recorder.dispatch({
            kernel: kernels.fftRadix8,
            buffers,
            parameters: { length, span },
            grid: [Math.ceil(length / 8 / 64), rows, 1],
          });
        } else {
          device.recorder.dispatch({
            kernel: kernels.fftRadix,
            buffers,
            parameters: { length, span, radix },
            grid: [Math.ceil(length / 64), rows, 1],
          });
        }
        span *= radix;
        [source, out] = [out, source];
      }
      return source;
    },
    dispose(): void {
      roots.dispose();
    },
  };
}

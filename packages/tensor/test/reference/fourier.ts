import { at, broadcast, build, type Expected, type NDArray, sizeOf } from './array.ts';

/** The sum that defines the transform, over rows of `length` complex numbers: (re, im) interleaved. */
export function transform(x: Float64Array, length: number, inverse: boolean, scale: number): Float64Array {
  const cosines = Float64Array.from({ length }, (_, i) => Math.cos((2 * Math.PI * i) / length));
  const sines = Float64Array.from({ length }, (_, i) => (inverse ? 1 : -1) * Math.sin((2 * Math.PI * i) / length));
  const out = new Float64Array(x.length);
  for (let row = 0; row < x.length; row += 2 * length) {
    for (let k = 0; k < length; k++) {
      for (let t = 0; t < length; t++) {
        const angle = (k * t) % length;
        const [re, im] = [x[row + 2 * t], x[row + 2 * t + 1]];
        out[row + 2 * k] += scale * (re * cosines[angle] - im * sines[angle]);
        out[row + 2 * k + 1] += scale * (re * sines[angle] + im * cosines[angle]);
      }
    }
  }
  return out;
}

/** x [..., length, 2], complex numbers. */
export function fft(x: NDArray, { inverse, scale }: { inverse: boolean; scale: number }): Expected {
  return { dtype: 'f32', shape: x.shape, data: transform(x.data, x.shape.at(-2)!, inverse, scale) };
}

interface RealAttributes {
  scale: number;
  interior: number;
}

const weight = (k: number, length: number, interior: number) => (k === 0 || 2 * k === length ? 1 : interior);

/** x [..., length], real numbers -> [..., floor(length / 2) + 1, 2]. */
export function rfft(x: NDArray, { scale, interior }: RealAttributes): Expected {
  const length = x.shape.at(-1)!;
  const complex = new Float64Array(2 * x.data.length);
  x.data.forEach((value, i) => {
    complex[2 * i] = value;
  });
  const whole = transform(complex, length, false, scale);
  const bins = Math.floor(length / 2) + 1;
  return build([...x.shape.slice(0, -1), bins, 2], 'f32', (_, flat) => {
    const [row, k] = [Math.floor(flat / (2 * bins)), Math.floor(flat / 2) % bins];
    return weight(k, length, interior) * whole[2 * (row * length + k) + (flat % 2)];
  });
}

/** x [..., floor(length / 2) + 1, 2] -> [..., length]: the real part of the sum over the frequencies that there are. */
export function irfft(x: NDArray, { length, scale, interior }: RealAttributes & { length: number }): Expected {
  const bins = x.shape.at(-2)!;
  const rows = sizeOf(x.shape.slice(0, -2));
  const whole = new Float64Array(2 * rows * length);
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < bins; k++) {
      for (const part of [0, 1]) {
        whole[2 * (row * length + k) + part] = weight(k, length, interior) * x.data[2 * (row * bins + k) + part];
      }
    }
  }
  // At frequency 0 and at half the sampling rate, imaginary parts make imaginary results.
  const made = transform(whole, length, true, scale);
  return build([...x.shape.slice(0, -2), length], 'f32', (_, flat) => made[2 * flat]);
}

export function complexMul(a: NDArray, b: NDArray, { conjugate }: { conjugate: boolean }): Expected {
  const dtype = a.dtype === 'f16' && b.dtype === 'f16' ? 'f16' : 'f32';
  const shape = broadcast(a.shape, b.shape);
  const part = (x: NDArray, index: readonly number[], k: number) => at(x, [...index.slice(0, -1), k]);
  const sign = conjugate ? -1 : 1;
  const terms = (index: readonly number[]) => {
    const [x, y] = [part(a, index, 0), part(a, index, 1)];
    const [u, v] = [part(b, index, 0), sign * part(b, index, 1)];
    return index.at(-1) === 0 ? [x * u, -y * v] : [x * v, y * u];
  };
  return {
    ...build(shape, dtype, (index) => terms(index)[0] + terms(index)[1]),
    scale: build(shape, dtype, (index) => Math.abs(terms(index)[0]) + Math.abs(terms(index)[1])).data,
  };
}

/** The discrete cosine transform of type II, as a matrix. */
import { checkChoice } from './options.ts';

/** `ortho`: rows of unit length (librosa's and torchaudio's default). null: twice the cosines, scipy's and torchaudio's `norm=None`. */
export type DctNorm = 'ortho' | null;

/**
 * Whose cosines: exact ones (`scipy`, which librosa takes) or, to 3e-6 of the largest the same, those of torchaudio's
 * create_dct, whose angles and cosines are rounded to f32.
 */
export type DctConvention = 'scipy' | 'torchaudio';

/**
 * The first `rows` rows of the DCT-II of `size` points, row-major [rows, size]:
 * cos(pi k (n + 1/2) / size), scaled.
 *
 * @throws RangeError when a size is no whole number from 1, or rows are more than the size.
 */
export function dctMatrix(
  rows: number,
  size: number,
  norm: DctNorm = 'ortho',
  convention: DctConvention = 'scipy',
): Float32Array<ArrayBuffer> {
  if (!Number.isInteger(rows) || !Number.isInteger(size) || rows < 1 || rows > size) {
    throw new RangeError(`dctMatrix: ${rows} rows of ${size}; expected whole numbers, 1 <= rows <= size`);
  }
  checkChoice('dctMatrix', 'norm', norm, ['ortho', null]);
  checkChoice('dctMatrix', 'convention', convention, ['scipy', 'torchaudio']);
  const round = convention === 'torchaudio' ? Math.fround : (value: number) => value;
  const step = round(Math.PI / size);
  const matrix = new Float32Array(rows * size);
  for (let k = 0; k < rows; k++) {
    const scale = norm === null ? 2 : Math.sqrt((k === 0 ? 1 : 2) / size);
    for (let n = 0; n < size; n++) matrix[k * size + n] = scale * round(Math.cos(round(round(step * (n + 0.5)) * k)));
  }
  return matrix;
}

import { cachedTable, checkOptions, matmul, reshape, type Tensor } from '@dawnchorus/tensor';

/** Settings of `cqToChroma`. */
export interface CqChromaOptions {
  readonly binsPerOctave: number;
  /** Frequency of the lowest bin in Hz; default C1, 32.7032. */
  readonly fMin?: number;
  /** Classes to an octave; default 12. Must divide binsPerOctave. */
  readonly chroma?: number;
  /** Whether class 0 is C (default) or A. */
  readonly baseC?: boolean;
}

const C1 = 440 * 2 ** (-45 / 12);

/** NumPy's rounding: halves to even numbers. */
function roundToEven(x: number): number {
  const below = Math.floor(x);
  const rest = x - below;
  return rest === 0.5 ? below + (below % 2) : Math.round(x);
}

/**
 * The weights that fold `bins` constant-Q bins into pitch classes, 0 or 1: [chroma, bins], row-major. A class takes the
 * bins nearest to it, of every octave. librosa's `filters.cq_to_chroma` without a window.
 *
 * @throws RangeError when a number is out of range or binsPerOctave is no multiple of chroma.
 */
export function cqChromaFilterbank(bins: number, options: CqChromaOptions): Float32Array<ArrayBuffer> {
  checkOptions('cqToChroma', options, ['binsPerOctave', 'fMin', 'chroma', 'baseC']);
  const { binsPerOctave, fMin = C1, chroma = 12, baseC = true } = options;
  for (const [name, value] of Object.entries({ bins, binsPerOctave, chroma })) {
    if (!Number.isInteger(value) || value < 1) {
      throw new RangeError(`cqToChroma: ${name} is ${value}; expected a whole number from 1`);
    }
  }
  if (!(fMin > 0 && fMin < Infinity)) {
    throw new RangeError(`cqToChroma: fMin is ${fMin} Hz; expected a positive number`);
  }
  const merge = binsPerOctave / chroma;
  if (!Number.isInteger(merge)) {
    throw new RangeError(`cqToChroma: ${binsPerOctave} bins to the octave do not divide into ${chroma} classes`);
  }
  const note = 12 * Math.log2(fMin / 440) + 69;
  const first = (((note % 12) + 12) % 12) - (baseC ? 0 : 9);
  const roll = roundToEven((first * chroma) / 12);
  const weights = new Float32Array(chroma * bins);
  for (let k = 0; k < bins; k++) {
    const within = (k + Math.floor(merge / 2)) % binsPerOctave;
    const row = (((Math.floor(within / merge) + roll) % chroma) + chroma) % chroma;
    weights[row * bins + k] = 1;
  }
  return weights;
}

/**
 * Constant-Q magnitudes or energies folded into pitch classes: f32 [batch, bins, frames] -> [batch, chroma, frames], each
 * class the sum of its bins in all octaves. What `librosa.feature.chroma_cqt` does before it normalises.
 *
 * @throws RangeError when x is no [batch, bins, frames] or a setting is out of range.
 */
export function cqToChroma(x: Tensor, options: CqChromaOptions): Tensor {
  if (x.dtype !== 'f32' || x.rank !== 3) {
    throw new RangeError(`cqToChroma: x is ${x.dtype}[${x.shape.join(', ')}]; expected f32 [batch, bins, frames]`);
  }
  const bins = x.shape[1];
  const { chroma = 12 } = options;
  const key = `cqToChroma ${bins} ${JSON.stringify(options)}`;
  const weights = cachedTable(x.device, key, () => cqChromaFilterbank(bins, options));
  return matmul(reshape(weights, [chroma, bins]), x);
}

import { type CqtSettings, cqtFrequencies, cqtLengths, cqtScale } from './cqt-kernels.ts';

/** The spectra of the filters at `length` frequencies, each cut to the band where it matters. */
export interface CqtBands {
  /** Lowest frequency index of any band, a multiple of `fold`; negative where a band reaches below zero. */
  readonly lowest: number;
  /** Frequencies from `lowest` to the end of the highest band, another multiple. */
  readonly width: number;
  /** For each bin: (first frequency - lowest, how many times `fold`, offset into values, 1 for an odd filter): [4 bins]. */
  readonly table: Uint32Array<ArrayBuffer>;
  /**
   * Real spectra of the filters, centred in time, times the bin's scale / length. Bands are filled up with zeros to whole
   * multiples of `fold`, so that folding them needs no bounds.
   */
  readonly values: Float32Array<ArrayBuffer>;
}

/** sin(length angle) cot(angle): the transform of a constant over `length` samples, but for what cancels in a Hann window. */
function term(length: number, angle: number): number {
  return angle === 0 ? length : Math.sin(length * angle) / Math.tan(angle);
}

/**
 * The transform of the periodic Hann window of `length` samples about its peak, `angle` being half the distance from its
 * centre in radians a sample. It is real because the window is symmetric about its peak.
 */
function hannSpectrum(length: number, angle: number): number {
  const bin = Math.PI / length;
  return 0.5 * term(length, angle) + 0.25 * (term(length, angle - bin) + term(length, angle + bin));
}

/** How many of the window's own bins from its centre the Hann spectrum stays under `tolerance` of its peak: 1 / (pi x (x^2 - 1)). */
function hannReach(tolerance: number): number {
  const wanted = 1 / (Math.PI * tolerance);
  let x = Math.cbrt(wanted) + 1;
  for (let i = 0; i < 8; i++) x = Math.cbrt(wanted + x);
  return x;
}

/**
 * Filter spectra in closed form, f64. A filter's transform is its window's, moved to the bin's frequency; beyond
 * hannReach(tolerance) window bins it is under `tolerance` of its peak and left out.
 */
export function cqtBands(settings: CqtSettings, length: number, fold: number, tolerance: number): CqtBands {
  const { sampleRate, bins, normalization } = settings;
  const frequencies = cqtFrequencies(settings);
  const lengths = cqtLengths(settings);
  const reach = hannReach(tolerance);
  const spans = Array.from(frequencies, (frequency, k) => {
    const centre = (frequency * length) / sampleRate;
    const half = Math.min((reach * length) / lengths[k], length / 2);
    const first = Math.ceil(centre - half);
    const end = Math.min(first + length, Math.floor(centre + half) + 1);
    return {
      first,
      end,
      start: Math.floor(first / fold) * fold,
      folds: Math.ceil(end / fold) - Math.floor(first / fold),
    };
  });
  const lowest = Math.min(...spans.map(({ start }) => start));
  const width = Math.max(...spans.map(({ start, folds }) => start + folds * fold)) - lowest;
  const table = new Uint32Array(4 * bins);
  const values = new Float32Array(spans.reduce((sum, { folds }) => sum + folds * fold, 0));
  let offset = 0;
  spans.forEach(({ first, end, start, folds }, k) => {
    table.set([start - lowest, folds, offset, lengths[k] % 2], 4 * k);
    // The taps sum up to 1, the window to length / 2.
    const scale = (cqtScale(lengths[k], normalization) * 2) / lengths[k] / length;
    for (let f = first; f < end; f++) {
      const angle = Math.PI * (f / length - frequencies[k] / sampleRate);
      values[offset + f - start] = scale * hannSpectrum(lengths[k], angle);
    }
    offset += folds * fold;
  });
  return { lowest, width, table, values };
}

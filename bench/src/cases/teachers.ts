import { type CqtMethod, cqtFrequencies, cqtKernel, cqtLengths } from '@dawnchorus/dsp';
import { cqtSettings } from '@dawnchorus/mert';
import { bytes, type Case, caseOf, noise, toleranceOf } from '../work.ts';

/** By number, since settings are numbers. */
export const cqtMethods: readonly CqtMethod[] = ['fft', 'gemm', 'multirate'];

export function cqtCase(name: string, clips: number, seconds: number, method: CqtMethod = 'fft'): Case {
  const samples = seconds * cqtSettings.sampleRate;
  const { bins, hopLength, sampleRate } = cqtSettings;
  const frames = Math.floor(samples / hopLength) + 1;
  const size = clips * bins * frames;
  const facts = {
    name,
    dtype: 'f32',
    operation: 'cqt',
    settings: { method: cqtMethods.indexOf(method) },
    about: `${clips} clips of ${seconds} s, ${bins} bins, by ${method}`,
    passes: ['forward'],
    // It depends on the method: the definition takes some 200 times what the transform by FFT does.
    flops: 0,
    bytes: bytes('f32', clips * samples, size),
    largest: bytes('f32', Math.max(clips * samples, size)),
    bound: 'memory',
    tolerance: 5e-5,
  } as const;
  return caseOf(facts, () => {
    const x = noise(1, [clips, samples], 'f32');
    const settings = { ...cqtSettings, normalization: 'librosa' as const };
    const [frequencies, lengths] = [cqtFrequencies(settings), cqtLengths(settings)];
    const at = (i: number) => {
      const [clip, k, t] = [Math.floor(i / (bins * frames)), Math.floor(i / frames) % bins, i % frames];
      const { first, re, im } = cqtKernel(frequencies[k], lengths[k], sampleRate);
      let [real, imaginary] = [0, 0];
      for (let n = 0; n < lengths[k]; n++) {
        const s = t * hopLength + first + n;
        if (s < 0 || s >= samples) continue;
        real += x.data[clip * samples + s] * re[n];
        imaginary += x.data[clip * samples + s] * im[n];
      }
      return Math.sqrt(lengths[k]) * Math.hypot(real, imaginary);
    };
    return {
      inputs: [x],
      expected: () => [
        {
          what: 'magnitudes',
          size,
          at,
          samples: Array.from({ length: 64 }, (_, i) => Math.floor((i * (size - 1)) / 63)),
        },
      ],
    };
  });
}

/** Nearest entry after nearest entry, as the acoustic teacher codes its frames; what is left over comes out. */
export function rvqCase(
  name: string,
  { rows, dimension, codes, stages }: { rows: number; dimension: number; codes: number; stages: number },
): Case {
  const facts = {
    name,
    dtype: 'f32',
    operation: 'rvq',
    settings: { stages },
    about: `${rows} vectors of ${dimension}, ${stages} codebooks of ${codes}`,
    passes: ['forward'],
    flops: 2 * rows * dimension * codes * stages,
    bytes: bytes('f32', 2 * rows * dimension, stages * codes * dimension),
    largest: bytes('f32', Math.max(rows, codes) * dimension),
    bound: 'arithmetic',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => {
    const x = noise(1, [rows, dimension], 'f32');
    const books = Array.from({ length: stages }, (_, stage) => {
      const book = noise(2 + stage, [codes, dimension], 'f32');
      return { ...book, data: book.data.map((value) => value * 0.8 ** (stage + 1)) };
    });
    /** What is left of a row, and the least margin by which an entry was the nearest. */
    function encode(row: number): { residual: Float64Array; margin: number } {
      const residual = Float64Array.from(x.data.subarray(row * dimension, (row + 1) * dimension));
      let margin = Infinity;
      for (const { data } of books) {
        let [best, nearest, second] = [0, Infinity, Infinity];
        for (let code = 0; code < codes; code++) {
          let distance = 0;
          for (let d = 0; d < dimension; d++) distance += (residual[d] - data[code * dimension + d]) ** 2;
          if (distance < nearest) [best, nearest, second] = [code, distance, nearest];
          else second = Math.min(second, distance);
        }
        margin = Math.min(margin, (second - nearest) / second);
        for (let d = 0; d < dimension; d++) residual[d] -= data[best * dimension + d];
      }
      return { residual, margin };
    }
    // Where two entries are as near as f32 can tell, either is right: such rows say nothing.
    const done = new Map<number, Float64Array>();
    const chooseRows = () => {
      for (let i = 0; done.size < Math.min(16, rows) && i < rows; i++) {
        const row = (i * 37) % rows;
        const { residual, margin } = encode(row);
        if (margin > 1e-4) done.set(row, residual);
      }
      return [...done.keys()].flatMap((row) => Array.from({ length: dimension }, (_, d) => row * dimension + d));
    };
    return {
      inputs: [x, ...books],
      expected: () => [
        {
          what: 'residual',
          size: rows * dimension,
          samples: chooseRows(),
          at: (i) => done.get(Math.floor(i / dimension))![i % dimension],
        },
      ],
    };
  });
}

/** Fourier transforms of real rows. */
export function rfftCase(name: string, rows: number, length: number): Case {
  const bins = length / 2 + 1;
  const size = rows * bins * 2;
  const facts = {
    name,
    dtype: 'f32',
    operation: 'rfft',
    settings: {},
    about: `of the rows of [${rows}, ${length}]`,
    passes: ['forward'],
    flops: 2.5 * rows * length * Math.log2(length),
    bytes: bytes('f32', rows * length, size),
    largest: bytes('f32', size),
    bound: 'memory',
    tolerance: toleranceOf('f32'),
  } as const;
  return caseOf(facts, () => {
    const x = noise(1, [rows, length], 'f32');
    const at = (i: number) => {
      const [row, k, part] = [Math.floor(i / (2 * bins)), Math.floor(i / 2) % bins, i % 2];
      let sum = 0;
      for (let n = 0; n < length; n++) {
        // Reduced before it is rounded.
        const angle = (2 * Math.PI * ((k * n) % length)) / length;
        sum += x.data[row * length + n] * (part === 0 ? Math.cos(angle) : -Math.sin(angle));
      }
      return sum;
    };
    return { inputs: [x], expected: () => [{ what: 'spectrum', size, at }] };
  });
}

import { cqtFrequencies, cqtKernel, cqtLengths } from '@dawnchorus/dsp';
import { cqtSettings } from '@dawnchorus/mert';
import { bytes, type Case, noise, type Work } from '../work.ts';

export function cqtCase(clips: number, seconds: number): Case {
  const samples = seconds * cqtSettings.sampleRate;
  const { bins, hopLength, sampleRate } = cqtSettings;
  const frames = Math.floor(samples / hopLength) + 1;
  const make = (): Work => {
    const x = noise(1, clips, samples);
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
    const size = clips * bins * frames;
    return {
      name: 'cqt',
      operation: 'cqt',
      settings: {},
      inputs: [x],
      // It depends on the method: the definition takes some 200 times what the transform by FFT does.
      flops: 0,
      bytes: bytes(clips * samples, size),
      bound: 'memory',
      tolerance: 5e-5,
      expected: () => [
        {
          what: 'magnitudes',
          size,
          at,
          samples: Array.from({ length: 64 }, (_, i) => Math.floor((i * (size - 1)) / 63)),
        },
      ],
    };
  };
  return { name: 'cqt', about: `${clips} clips of ${seconds} s, ${bins} bins`, passes: ['forward'], make };
}

/** Nearest entry after nearest entry, as the acoustic teacher codes its frames; what is left over comes out. */
export function rvqCase(rows: number, dimension: number, codes: number, stages: number): Case {
  const make = (): Work => {
    const x = noise(1, rows, dimension);
    const books = Array.from({ length: stages }, (_, stage) => {
      const { shape, data } = noise(2 + stage, codes, dimension);
      return { shape, data: data.map((value) => value * 0.8 ** (stage + 1)) };
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
      name: 'rvq',
      operation: 'rvq',
      settings: { stages },
      inputs: [x, ...books],
      flops: 2 * rows * dimension * codes * stages,
      bytes: bytes(2 * rows * dimension, stages * codes * dimension),
      bound: 'arithmetic',
      tolerance: 1e-5,
      expected: () => [
        {
          what: 'residual',
          size: rows * dimension,
          samples: chooseRows(),
          at: (i) => done.get(Math.floor(i / dimension))![i % dimension],
        },
      ],
    };
  };
  const about = `${rows} vectors of ${dimension}, ${stages} codebooks of ${codes}`;
  return { name: 'rvq', about, passes: ['forward'], make };
}

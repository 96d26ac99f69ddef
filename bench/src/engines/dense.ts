import { cqtFrequencies, cqtKernel, cqtLengths, makeWindow } from '@dawnchorus/dsp';
import { cqtSettings } from '@dawnchorus/mert';
import {
  add,
  argmin,
  compile,
  complexAbs,
  type Device,
  indexSelect,
  matmul,
  normal,
  pad,
  scope,
  type Tensor,
  tensor,
  unfold,
} from '@dawnchorus/tensor';
import type { Operation, Work } from '../work.ts';
import { type Engine, type Timing, wallTime } from './engine.ts';

/** The same result by plain products of matrices: `parts` that are alike but for their numbers, and what joins them. */
interface Dense {
  parts: ((...inputs: Tensor[]) => Tensor)[];
  /** How often the parts stand for the whole; default once. */
  times?: number;
  join(parts: Tensor[]): Tensor;
  dispose?(): void;
}

const alone = (run: (...inputs: Tensor[]) => Tensor): Dense => ({ parts: [run], join: ([only]) => only });

/** The power of two that nnAudio pads every filter to, and how many taps of it are one part. */
const CQT_TAPS = 65536;
const CQT_PART = 4096;

/** The constant-Q transform as nnAudio's CQT1992v2 has it: all filters as long as the longest, and mostly zeros. */
function denseCqt(device: Device): Dense {
  const { bins, hopLength, sampleRate } = cqtSettings;
  const settings = { ...cqtSettings, normalization: 'librosa' as const };
  const [frequencies, lengths] = [cqtFrequencies(settings), cqtLengths(settings)];
  const rows = Array.from({ length: CQT_TAPS / CQT_PART }, () => new Float32Array(2 * bins * CQT_PART));
  for (let k = 0; k < bins; k++) {
    const { first, re, im } = cqtKernel(frequencies[k], lengths[k], sampleRate);
    for (let n = 0; n < lengths[k]; n++) {
      const tap = CQT_TAPS / 2 + first + n;
      const part = rows[Math.floor(tap / CQT_PART)];
      const at = 2 * k * CQT_PART + (tap % CQT_PART);
      part[at] = Math.sqrt(lengths[k]) * re[n];
      part[at + CQT_PART] = -Math.sqrt(lengths[k]) * im[n];
    }
  }
  const filters = rows.map((data) => tensor(data, { shape: [2 * bins, CQT_PART], device }));
  return {
    parts: filters.map((own, i) => (x: Tensor) => {
      const frames = Math.floor(x.shape[1] / hopLength) + 1;
      const padded = pad(x, [CQT_TAPS / 2, CQT_TAPS / 2]);
      const heard = padded.narrow(1, i * CQT_PART, (frames - 1) * hopLength + CQT_PART);
      return matmul(own, unfold(heard, 1, CQT_PART, hopLength).transpose(1, 2));
    }),
    join(parts) {
      const sum = parts.reduce((total, part) => add(total, part));
      return complexAbs(sum.reshape([sum.shape[0], bins, 2, sum.shape[2]]).permute([0, 1, 3, 2]));
    },
    dispose() {
      for (const own of filters) own.dispose();
    },
  };
}

/** The transform of windowed frames as a product with its matrix. */
function denseStft(device: Device, { nFft, hopLength }: Readonly<Record<string, number>>): Dense {
  const bins = nFft / 2 + 1;
  const window = makeWindow('hann', nFft);
  const data = new Float32Array(2 * bins * nFft);
  for (let k = 0; k < bins; k++) {
    for (let n = 0; n < nFft; n++) {
      const angle = (2 * Math.PI * ((k * n) % nFft)) / nFft;
      data[2 * k * nFft + n] = window[n] * Math.cos(angle);
      data[(2 * k + 1) * nFft + n] = -window[n] * Math.sin(angle);
    }
  }
  const matrix = tensor(data, { shape: [2 * bins, nFft], device });
  const { parts } = alone((x) => {
    const frames = unfold(pad(x, [nFft / 2, nFft / 2]), 1, nFft, hopLength);
    const y = matmul(matrix, frames.transpose(1, 2));
    return y.reshape([y.shape[0], bins, 2, y.shape[2]]).permute([0, 1, 3, 2]);
  });
  return { parts, join: ([only]) => only, dispose: () => matrix.dispose() };
}

/** All distances of a stage by a product, then the least of them. */
function search(x: Tensor, ...books: Tensor[]): Tensor {
  return books.reduce((rest, book) => {
    const distances = book.square().sum({ dim: 1 }).sub(matmul(rest, book.transpose()).mul(2));
    return rest.sub(indexSelect(book, 0, argmin(distances, { dim: 1 })));
  }, x);
}

/** Every output from all samples that any phase reads. */
function denseResample({ width, step, length }: Readonly<Record<string, number>>): Dense {
  return alone((x, kernel) => {
    const frames = unfold(pad(x, [width, width + step]), 1, kernel.shape[1], step);
    const y = matmul(frames, kernel.transpose());
    return y.reshape([y.shape[0], -1]).sliceAxis(1, 0, length);
  });
}

/** A product of square matrices, as often as it takes for as many multiply-adds. */
function denseWork(device: Device, flops: number): Dense {
  const square = normal([1024, 1024], { seed: 1, stream: 1, device });
  const once = alone(() => matmul(square, square));
  return { ...once, times: flops / (2 * 1024 ** 3), dispose: () => square.dispose() };
}

function denseOf(device: Device, { operation, settings, flops }: Work): Dense | undefined {
  const ways: Partial<Record<Operation, () => Dense | undefined>> = {
    cqt: () => (settings.method === 0 ? denseCqt(device) : undefined),
    stft: () => denseStft(device, settings),
    resample: () => denseResample(settings),
    rvq: () => alone(search),
    encodec: () => denseWork(device, flops),
  };
  return ways[operation]?.();
}

/**
 * What the teachers' operations cost as plain dense products, by our own kernels, compiled. On a software adapter one of the
 * alike parts of a long product is timed and counts for all.
 */
export function denseEngine(device: Device, timing: Timing): Engine {
  return {
    name: 'dense',
    adapter: device.adapter.name,
    async prepare(work) {
      const dense = denseOf(device, work);
      if (!dense) return undefined;
      const inputs = work.inputs.map(({ data, shape, dtype }) => tensor(data, { shape, dtype, device }));
      const compiled = dense.parts.map((part) => compile((...all: Tensor[]) => [part(...all)], { verify: 'never' }));
      const timed = device.adapter.software ? compiled.slice(0, 1) : compiled;
      const once = async () => {
        for (const part of timed) {
          scope(() => {
            part(...inputs);
          });
        }
        await device.synchronize();
      };
      return {
        async run() {
          const own = timing === 'gpu' ? (await device.profile(once)).milliseconds : await wallTime(once);
          return ((dense.times ?? 1) * own * compiled.length) / timed.length;
        },
        async read() {
          const result = scope(() => dense.join(compiled.map((part) => part(...inputs)[0])));
          const values = (await result.data()) as Float32Array;
          result.dispose();
          return [values];
        },
        dispose() {
          for (const each of [...compiled, ...inputs]) each.dispose();
          dense.dispose?.();
        },
      };
    },
    whyNot: ({ operation, settings }) =>
      operation === 'cqt' && settings.method !== 0 ? "not timed again: that of the case 'cqt' counts" : undefined,
    close: () => {},
  };
}

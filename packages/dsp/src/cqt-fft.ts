import { cqt as kernels } from '@dawnchorus/kernels';
import { type Device, Tensor } from '@dawnchorus/tensor';
import type { CqtOutput } from './cqt.ts';
import { cqtBands } from './cqt-bands.ts';
import { type CqtSettings, cqtFrequencies, cqtLengths } from './cqt-kernels.ts';
import { createFft, unitRoots } from './fft.ts';
import { upload } from './upload.ts';

/** Filter spectra under this part of their peak are left out; it bounds the error to about 2e-5 of the transform. */
const TOLERANCE = 2e-6;
const FEWEST_POINTS = 64;
/** Two complex values a point fill the 16 KiB of workgroup memory that every adapter has. */
const MOST_POINTS = 1024;
/** Bytes of intermediate spectra in one buffer; longer batches go in parts. */
const LARGEST_BUFFER = 64 * 2 ** 20;

/** How clips of a length are laid out: in segments of `points` frames, of which `segmentFrames` are kept. */
interface Layout {
  readonly points: number;
  readonly segmentFrames: number;
  readonly segmentsPerClip: number;
}

/**
 * The constant-Q transform through one Fourier transform a clip: of the spectrum, every bin keeps its filter's band,
 * folds it to as many frequencies as there are frames, and transforms that back. It is a circular convolution, kept from
 * wrapping by padding; long clips go in segments that overlap. About 1 / 200 of the arithmetic of the direct sum.
 *
 * @throws RangeError when the filters are too long for the hop.
 */
export function createFftCqt(device: Device, settings: CqtSettings, output: CqtOutput) {
  const { sampleRate, hopLength: hop, bins } = settings;
  const frequencies = cqtFrequencies(settings);
  const longest = cqtLengths(settings)[0];
  /** Samples that the longest filter reaches before and, at most, after a frame's centre. */
  const reach = Math.ceil(longest / 2);
  if (MOST_POINTS * hop < 2 * reach) {
    throw new RangeError(
      `createCqt: the longest filter has ${longest} samples, over ${MOST_POINTS} hops of ${hop}; method 'fft' cannot hold it: ` +
        "use method 'direct', a longer hop, a higher fMin or fewer bins an octave",
    );
  }
  const phases = new Float32Array(2 * bins);
  frequencies.forEach((frequency, k) => {
    phases[2 * k] = Math.cos((Math.PI * frequency) / sampleRate);
    phases[2 * k + 1] = Math.sin((Math.PI * frequency) / sampleRate);
  });
  const phaseBuffer = upload(device, phases, 'CQT phases');
  const plans = new Map<number, ReturnType<typeof createPlan>>();

  /** Everything that depends on the number of points alone. */
  function createPlan(points: number) {
    const length = points * hop;
    const fft = createFft(device, length);
    const { lowest, width, table, values } = cqtBands(settings, length, points, TOLERANCE);
    const bands = upload(device, values, 'CQT bands');
    const binTable = upload(device, table, 'CQT bins');
    const roots = upload(device, unitRoots(points, 1), 'CQT roots');
    const tables = [bands, binTable, roots, fft];
    const dispose = () => tables.forEach((each) => void each.dispose());
    return { length, fft, lowest, width, bands, binTable, roots, dispose };
  }

  function planOf(points: number): ReturnType<typeof createPlan> {
    let plan = plans.get(points);
    if (!plan) plans.set(points, (plan = createPlan(points)));
    return plan;
  }

  function layoutOf(samples: number, frames: number): Layout {
    for (let points = FEWEST_POINTS; points <= MOST_POINTS; points *= 2) {
      if (points * hop >= samples + reach) return { points, segmentFrames: points, segmentsPerClip: 1 };
    }
    const segmentFrames = Math.floor((MOST_POINTS * hop - 2 * reach) / hop) + 1;
    return { points: MOST_POINTS, segmentFrames, segmentsPerClip: Math.ceil(frames / segmentFrames) };
  }

  return {
    /** x: dense [clips, samples]; out: [clips, bins, frames] or, complex, [clips, bins, frames, 2]. */
    run(x: Tensor, out: Tensor, frames: number): void {
      const [clips, samples] = x.shape;
      const { points, segmentFrames, segmentsPerClip } = layoutOf(samples, frames);
      const { length, fft, lowest, width, bands, binTable, roots } = planOf(points);
      const segments = clips * segmentsPerClip;
      const pairs = Math.ceil(segments / 2);
      const pairsAtOnce = Math.min(pairs, Math.max(1, Math.floor(LARGEST_BUFFER / Math.max(8 * length, 32 * width))));
      const a = Tensor.allocate(device, 'f32', [pairsAtOnce, length, 2], 'CQT pairs', false);
      const b = Tensor.allocate(device, 'f32', [pairsAtOnce, length, 2], 'CQT transform', false);
      const spectra = Tensor.allocate(device, 'f32', [pairsAtOnce, 2, width, 4], 'CQT spectra', false);
      const shared = { segments, segmentsPerClip };
      for (let firstPair = 0; firstPair < pairs; firstPair += pairsAtOnce) {
        const rows = Math.min(pairsAtOnce, pairs - firstPair);
        device.recorder.dispatch({
          kernel: kernels.cqtPack,
          buffers: [x.storage.buffer, a.storage.buffer],
          parameters: {
            ...shared,
            length,
            reach,
            samples,
            segmentSamples: segmentFrames * hop,
            firstPair,
            xOffset: x.offset,
          },
          grid: [Math.ceil(length / 64), rows, 1],
        });
        const z = fft.transform(a, b, rows);
        device.recorder.dispatch({
          kernel: kernels.cqtSpectrum,
          buffers: [z, fft.roots, spectra].map((tensor) => tensor.storage.buffer),
          parameters: {
            length,
            width,
            lowest: lowest >>> 0,
            halfRe: Math.cos(Math.PI / length),
            halfIm: -Math.sin(Math.PI / length),
          },
          grid: [Math.ceil(width / 64), rows, 1],
        });
        device.recorder.dispatch({
          kernel: kernels.cqtBands,
          constants: { POINTS: `const POINTS = ${points}u;`, COMPLEX: `const COMPLEX = ${output === 'complex'};` },
          buffers: [spectra, bands, binTable, phaseBuffer, roots, out].map((tensor) => tensor.storage.buffer),
          parameters: { ...shared, width, bins, frames, segmentFrames, firstPair },
          grid: [bins, rows, 1],
        });
      }
      for (const temporary of [a, b, spectra]) temporary.dispose();
    },
    dispose(): void {
      for (const plan of plans.values()) plan.dispose();
      phaseBuffer.dispose();
    },
  };
}

import { cqt as kernels } from '@dawnchorus/kernels';
import {
  apply,
  type Device,
  defineOp,
  fftRoots,
  fftTables,
  recordFft,
  type Tensor,
  unitRoots,
  uploadTable,
  withDense,
  withScratch,
} from '@dawnchorus/tensor';
import { cqtBands } from './cqt-bands.ts';
import { type CqtSettings, cqtFrequencies, cqtLengths } from './cqt-kernels.ts';
import { type CqtAttributes, type CqtOutput, cqtFrames, cqtSpec } from './cqt-shape.ts';

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

interface FftCqtAttributes extends CqtAttributes, Layout {
  /** Samples that the longest filter reaches before and, at most, after a frame's centre. */
  reach: number;
  /** Of the bands, see `CqtBands`. */
  lowest: number;
  width: number;
}

/** x [clips, samples], phases, bands, table of the bins, roots of the points, roots of the length, and the tables of `fftTables`. */
const cqt = defineOp<FftCqtAttributes>({
  name: 'cqt',
  infer: ([x], attributes) => [cqtSpec(x, attributes)],
  flops: ([x], [out], { points, hopLength, segmentsPerClip }) => {
    const length = points * hopLength;
    const pairs = (x.shape[0] * segmentsPerClip) / 2;
    return Math.round(5 * pairs * (length * Math.log2(length) + 2 * out.shape[1] * points * Math.log2(points)));
  },
  run(device, [input, phases, bands, binTable, pointRoots, roots, ...tables], [out], attributes) {
    const { hopLength, bins, output, points, segmentFrames, segmentsPerClip, reach, lowest, width } = attributes;
    const [clips, samples] = input.shape;
    const frames = out.shape[2];
    const length = points * hopLength;
    const segments = clips * segmentsPerClip;
    const pairs = Math.ceil(segments / 2);
    const pairsAtOnce = Math.min(pairs, Math.max(1, Math.floor(LARGEST_BUFFER / Math.max(8 * length, 32 * width))));
    const shared = { segments, segmentsPerClip };
    const scratch = [
      { name: 'CQT pairs', shape: [pairsAtOnce, length, 2] },
      { name: 'CQT transform', shape: [pairsAtOnce, length, 2] },
      { name: 'CQT spectra', shape: [pairsAtOnce, 2, width, 4] },
      { name: 'CQT scales', shape: [segments] },
    ];
    withScratch(device, scratch, (a, b, spectra, scales) => {
      withDense(device, [input], ([x]) => {
        const laid = { length, reach, samples, segmentSamples: segmentFrames * hopLength, xOffset: x.offset };
        device.recorder.dispatch({
          kernel: kernels.cqtScales,
          buffers: [x.storage.buffer, scales.storage.buffer],
          parameters: { ...laid, segmentsPerClip },
          grid: [segments, 1, 1],
        });
        for (let firstPair = 0; firstPair < pairs; firstPair += pairsAtOnce) {
          const rows = Math.min(pairsAtOnce, pairs - firstPair);
          device.recorder.dispatch({
            kernel: kernels.cqtPack,
            buffers: [x, scales, a].map((tensor) => tensor.storage.buffer),
            parameters: { ...shared, ...laid, firstPair },
            grid: [Math.ceil(length / 64), rows, 1],
          });
          const z = recordFft(device, tables, a, [b, a], { length, rows });
          device.recorder.dispatch({
            kernel: kernels.cqtSpectrum,
            buffers: [z, roots, scales, spectra].map((tensor) => tensor.storage.buffer),
            parameters: {
              length,
              width,
              lowest: lowest >>> 0,
              halfRe: Math.cos(Math.PI / length),
              halfIm: -Math.sin(Math.PI / length),
              segments,
              firstPair,
            },
            grid: [Math.ceil(width / 64), rows, 1],
          });
          device.recorder.dispatch({
            kernel: kernels.cqtBands,
            constants: { POINTS: `const POINTS = ${points}u;`, OUTPUT: `const OUTPUT = ${output.toUpperCase()};` },
            buffers: [spectra, bands, binTable, phases, pointRoots, out].map((tensor) => tensor.storage.buffer),
            parameters: { ...shared, width, bins, frames, segmentFrames, firstPair },
            grid: [bins, rows, 1],
          });
        }
      });
    });
  },
});

/** Whether the longest filter fits into the frames that a transform holds. */
export function fitsFft(settings: CqtSettings): boolean {
  return MOST_POINTS * settings.hopLength >= 2 * Math.ceil(cqtLengths(settings)[0] / 2);
}

/**
 * The constant-Q transform through one Fourier transform a clip: of the spectrum, every bin keeps its filter's band,
 * folds it to as many frequencies as there are frames, and transforms that back. It is a circular convolution, kept from
 * wrapping by padding; long clips go in segments that overlap. About 1 / 200 of the arithmetic of the product.
 *
 * @throws RangeError when the filters are too long for the hop.
 */
export function createFftCqt(device: Device, settings: CqtSettings, output: CqtOutput) {
  const { sampleRate, hopLength: hop, bins } = settings;
  const frequencies = cqtFrequencies(settings);
  const longest = cqtLengths(settings)[0];
  /** Samples that the longest filter reaches before and, at most, after a frame's centre. */
  const reach = Math.ceil(longest / 2);
  if (!fitsFft(settings)) {
    throw new RangeError(
      `createCqt: the longest filter has ${longest} samples, over ${MOST_POINTS} hops of ${hop}; method 'fft' cannot hold it: ` +
        "use method 'gemm', a longer hop, a higher fMin or fewer bins an octave",
    );
  }
  const phases = new Float32Array(2 * bins);
  frequencies.forEach((frequency, k) => {
    phases[2 * k] = Math.cos((Math.PI * frequency) / sampleRate);
    phases[2 * k + 1] = Math.sin((Math.PI * frequency) / sampleRate);
  });
  const phaseTable = uploadTable(device, phases, 'CQT phases');
  const plans = new Map<number, ReturnType<typeof createPlan>>();

  /** What depends on the number of points alone. */
  function createPlan(points: number) {
    const { lowest, width, table, values } = cqtBands(settings, points * hop, points, TOLERANCE);
    const tables = [
      uploadTable(device, values, 'CQT bands'),
      uploadTable(device, table, 'CQT bins'),
      uploadTable(device, unitRoots(points, 1), 'CQT roots'),
    ];
    return { lowest, width, tables };
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
    transform(x: Tensor): Tensor {
      const layout = layoutOf(x.shape[1], cqtFrames(x.shape[1], hop));
      const length = layout.points * hop;
      const { lowest, width, tables } = planOf(layout.points);
      const inputs = [x, phaseTable, ...tables, fftRoots(device, length), ...fftTables(device, length)];
      return apply(cqt, inputs, { hopLength: hop, bins, output, ...layout, reach, lowest, width })[0];
    },
    dispose(): void {
      for (const { tables } of plans.values()) for (const table of tables) table.dispose();
      phaseTable.dispose();
    },
  };
}

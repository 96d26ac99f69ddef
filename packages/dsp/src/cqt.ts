import { checkOptions, type Device, formatShape, pad, type Tensor } from '@dawnchorus/tensor';
import { createFftCqt, fitsFft } from './cqt-fft.ts';
import { createGemmCqt } from './cqt-gemm.ts';
import { createInverse } from './cqt-inverse.ts';
import {
  type CqtNormalization,
  type CqtSettings,
  checkCqtSettings,
  cqtFrequencies,
  cqtLengths,
} from './cqt-kernels.ts';
import { createMultirateCqt } from './cqt-multirate.ts';
import { type CqtOutput, checkClips, cqtFrames } from './cqt-shape.ts';

export type { CqtOutput };

/** The ways to compute a constant-Q transform, see `CqtOptions`. */
export type CqtMethod = 'fft' | 'gemm' | 'multirate';

/** Settings of `createCqt`. */
export interface CqtOptions {
  /** Samples a second. */
  readonly sampleRate: number;
  /** Samples between neighbouring frames. */
  readonly hopLength: number;
  /** Frequency of the lowest bin in Hz. */
  readonly fMin: number;
  readonly bins: number;
  readonly binsPerOctave: number;
  /**
   * Hz that bandwidths have more than a constant Q gives them, for shorter filters at low frequencies: the variable-Q
   * transform (nnAudio's `gamma`). Default 0: constant Q.
   */
  readonly gamma?: number;
  /** Factor of all filter lengths; default 1. */
  readonly filterScale?: number;
  /** How coefficients are scaled by their filter's length l: `librosa` (default) sqrt(l), `convolutional` 1, `wrap` 2. */
  readonly normalization?: CqtNormalization;
  /**
   * - `fft` (default where the longest filter has no more than 1024 hops, else `gemm` is): one Fourier transform a clip;
   *   within 5e-5 of the definition, relative to the largest value.
   * - `gemm`: the definition itself, as products over each filter's own support; some 200 times the arithmetic, and the
   *   measure of the others. Gradients flow through it.
   * - `multirate`: octave by octave from audio that is halved on the way down, a twentieth of the arithmetic of `gemm`, and
   *   differentiable like it. Close to the definition, but bounded by its low-pass filters, so that it is never a teacher.
   */
  readonly method?: CqtMethod;
  readonly output?: CqtOutput;
  /** What lies before and after a clip: zeros (`constant`, default, as MERT has it) or its mirror image (`reflect`). */
  readonly padMode?: 'constant' | 'reflect';
  /**
   * Whether frame t is centred on sample t hopLength (true, default), or begins there (nnAudio's `center=False`): its centre
   * then lies half a kernel width after it, the width being the least power of 2 that holds the longest filter, and frames
   * lie within the clip.
   */
  readonly center?: boolean;
}

/** A constant-Q transform with its filters on the device. */
export interface Cqt {
  /** How it is computed: what was asked for, or the default for these settings. */
  readonly method: CqtMethod;
  /** Centre frequencies in Hz: [bins]. */
  readonly frequencies: Float64Array;
  /** Filter lengths in samples: [bins]. */
  readonly lengths: Int32Array;
  /** Frames of a clip: floor(samples / hopLength) + 1, or with `center: false` floor((samples - width) / hopLength) + 1. */
  frames(samples: number): number;
  /**
   * x f32 [batch, samples] -> f32 [batch, bins, frames], or [batch, bins, frames, 2] with `output: 'complex'` (re, im) or
   * `'phase'` (cos, sin of the angle; 1, 0 where the coefficient is 0). An operation like any other: it may stand in
   * compiled functions, which then need the transform undisposed. By method `fft` it is a target, not a layer: it has no
   * gradient, and `grad` refuses an x that wants one.
   *
   * @throws RangeError when x is no [batch, samples], is empty, or is too short to be mirrored; TypeError when it is not f32.
   */
  transform(x: Tensor): Tensor;
  /**
   * A signal with these coefficients: complex [batch, bins, frames, 2] in the transform's own normalisation -> f32 [batch,
   * samples], zeros outside. It is the least-squares solution, approached by conjugate gradients, each of which
   * costs two transforms by `gemm`. What no bin hears is lost: frequencies under fMin and over the top bin, and what falls
   * between frames where hopLength is longer than the top filters.
   *
   * @param options samples: by default (frames - 1) hopLength; iterations: default 16.
   * @throws RangeError when the shape does not fit.
   */
  inverse(coefficients: Tensor, options?: { samples?: number; iterations?: number }): Tensor;
  /** Gives the tables back. */
  dispose(): void;
}

const methods = { fft: createFftCqt, gemm: createGemmCqt, multirate: createMultirateCqt };

const cqtOptions = [
  ...['sampleRate', 'hopLength', 'fMin', 'bins', 'binsPerOctave', 'gamma', 'filterScale', 'normalization', 'method'],
  ...['output', 'padMode', 'center'],
];

/** @throws RangeError that says which setting is none of those there are. */
function checkChoices({ method = 'fft', output = 'magnitude', normalization = 'librosa', padMode }: CqtOptions): void {
  const choices: [string, string, readonly string[]][] = [
    ['method', method, Object.keys(methods)],
    ['output', output, ['magnitude', 'complex', 'phase']],
    ['normalization', normalization, ['librosa', 'convolutional', 'wrap']],
    ['padMode', padMode ?? 'constant', ['constant', 'reflect']],
  ];
  for (const [name, value, known] of choices) {
    if (!known.includes(value)) throw new RangeError(`createCqt: ${name} is '${value}'; there are ${known.join(', ')}`);
  }
}

/**
 * The constant-Q transform of nnAudio's CQT1992v2 (`center=True, pad_mode='constant', norm=1, window='hann',
 * filter_scale=1`), the musical teacher of MERT at 24 kHz: hopLength 320, fMin 32.7, 336 bins, 48 to the octave.
 *
 * C_k[t] = s_k sum over n of x[t hopLength + n] conj(filter_k[n]), filters of l_k = ceil(Q sampleRate / f_k) samples under
 * a periodic Hann window, L1-normalised; s_k = sqrt(l_k) by default. A sine of amplitude 1 at f_k gives sqrt(l_k) / 2.
 * The tables are computed in f64 and held in f32. With `gamma` it is the variable-Q transform.
 *
 * Source: Cheuk et al., "nnAudio: an on-the-fly GPU audio to spectrogram conversion toolbox" (2020), features/cqt.py.
 *
 * @throws RangeError when a setting is out of range or the top bin lies above half the sample rate.
 */
export function createCqt(device: Device, options: CqtOptions): Cqt {
  const { output = 'magnitude', normalization = 'librosa', padMode = 'constant', center = true, ...rest } = options;
  checkOptions('createCqt', options, cqtOptions);
  checkChoices(options);
  const settings: CqtSettings = { ...rest, normalization };
  checkCqtSettings(settings);
  const { hopLength, bins } = settings;
  const method = options.method ?? (fitsFft(settings) ? 'fft' : 'gemm');
  const implementation = methods[method](device, settings, output);
  const lengths = cqtLengths(settings);
  let inverse: ReturnType<typeof createInverse> | undefined;
  let disposed = false;

  function check(name: string, x: Tensor): void {
    if (disposed) throw new Error(`cqt: ${name} was called after dispose; create another one`);
    if (x.device !== device) {
      throw new Error('cqt: x lives on another device than the transform; create the transform on its device');
    }
  }

  /** With mirror images at both ends, and whole frames of zeros before them. */
  function transformMirrored(x: Tensor): Tensor {
    const samples = x.shape[1];
    const reach = Math.ceil(lengths[0] / 2);
    if (samples <= reach) {
      throw new RangeError(
        `cqt: a clip of ${samples} samples is too short to mirror ${reach} of them; use padMode 'constant', a higher fMin or a longer clip`,
      );
    }
    const before = Math.ceil(reach / hopLength);
    const wide = pad(pad(x, [reach, reach], { mode: 'reflect' }), [before * hopLength - reach, 0]);
    return implementation.transform(wide).narrow(2, before, cqtFrames(samples, hopLength));
  }

  /** Frames that begin at multiples of the hop and lie within the clip. */
  function transformWithin(x: Tensor): Tensor {
    const samples = x.shape[1];
    if (samples < width) {
      throw new RangeError(
        `cqt: a clip of ${samples} samples is shorter than the width of the filters, ${width}; use center: true, a higher fMin or a longer clip`,
      );
    }
    // Zeros in front bring the first frame's centre onto the grid of centred frames.
    const before = (hopLength - ((width / 2) % hopLength)) % hopLength;
    const first = (width / 2 + before) / hopLength;
    return implementation.transform(pad(x, [before, 0])).narrow(2, first, framesOf(samples));
  }

  const width = 2 ** Math.ceil(Math.log2(lengths[0]));
  const framesOf = (samples: number) =>
    center ? cqtFrames(samples, hopLength) : Math.max(0, Math.floor((samples - width) / hopLength) + 1);

  return {
    method,
    frequencies: cqtFrequencies(settings),
    lengths,
    frames: framesOf,
    transform(x) {
      check('transform', x);
      checkClips(x);
      if (!center) return transformWithin(x);
      return padMode === 'reflect' ? transformMirrored(x) : implementation.transform(x);
    },
    inverse(coefficients, options = {}) {
      check('inverse', coefficients);
      checkOptions('cqt: inverse', options, ['samples', 'iterations']);
      const { samples, iterations = 16 } = options;
      if (!center) throw new RangeError('cqt: the inverse needs frames of center: true');
      const { shape, dtype } = coefficients;
      if (dtype !== 'f32' || shape.length !== 4 || shape[1] !== bins || shape[2] < 1 || shape[3] !== 2) {
        throw new RangeError(
          `cqt: the coefficients are ${dtype}${formatShape(shape)}; expected f32 [batch, ${bins}, frames, 2]`,
        );
      }
      const wanted = samples ?? Math.max(1, (shape[2] - 1) * hopLength);
      if (!Number.isInteger(wanted) || wanted < 1 || cqtFrames(wanted, hopLength) > shape[2]) {
        throw new RangeError(`cqt: ${wanted} samples do not have ${shape[2]} frames, one each ${hopLength} samples`);
      }
      if (!Number.isInteger(iterations) || iterations < 1) {
        throw new RangeError(`cqt: iterations is ${iterations}; expected a whole number from 1`);
      }
      inverse ??= createInverse(device, settings);
      return inverse.invert(coefficients, wanted, iterations);
    },
    dispose() {
      if (!disposed) {
        implementation.dispose();
        inverse?.dispose();
      }
      disposed = true;
    },
  };
}

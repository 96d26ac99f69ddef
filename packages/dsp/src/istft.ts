import {
  apply,
  cachedTable,
  cos,
  div,
  formatShape,
  irfft,
  maximum,
  mul,
  pad,
  permute,
  pow,
  scope,
  select,
  sin,
  sliceAxis,
  sqrt,
  square,
  stack,
  type Tensor,
  uniform,
  unsqueeze,
  zerosLike,
} from '@dawnchorus/tensor';
import { checkPower, checkSettings } from './options.ts';
import { checkStft, frameWindow, type StftOptions, stft, stftOptions } from './stft.ts';

/** Sums of squared windows under this part of a window's largest square count as none. */
const LEAST = 1e-11;

/** How an inverse is laid out. */
interface Layout {
  /** Samples that the frames reach over. */
  readonly whole: number;
  /** Samples cut off in front, and kept. */
  readonly start: number;
  readonly kept: number;
}

function layoutOf(frames: number, { nFft, hopLength, center }: StftOptions, length?: number): Layout {
  const whole = (frames - 1) * hopLength + nFft;
  const start = center ? Math.floor(nFft / 2) : 0;
  return { whole, start, kept: Math.max(0, Math.min(whole - start, length ?? whole - 2 * start)) };
}

/** One over the sum of squared windows at each kept sample, 0 where there is none. */
function inverseEnvelope(frames: number, options: StftOptions, { whole, start, kept }: Layout) {
  const window = frameWindow(options);
  const sums = new Float64Array(whole);
  for (let t = 0; t < frames; t++) {
    for (let n = 0; n < options.nFft; n++) sums[t * options.hopLength + n] += window[n] * window[n];
  }
  const least = LEAST * window.reduce((most, value) => Math.max(most, value * value), 0);
  return Float32Array.from(sums.subarray(start, start + kept), (value) => (value > least ? 1 / value : 0));
}

/**
 * The inverse of `stft` with the same options: f32 [batch, bins, frames, 2] -> [batch, samples], by weighted overlap and
 * add (Griffin and Lim, 1984), as torch.istft and librosa.istft. Without `length`, centred clips have
 * hopLength (frames - 1) samples (for an even nFft), others hopLength (frames - 1) + nFft; with it, they are cut, or end
 * in zeros. Samples that no window reaches are 0. Gradients flow.
 *
 * @throws RangeError when the bins are not those of nFft, or a setting is out of range.
 */
export function istft(spectra: Tensor, { length, ...options }: StftOptions & { length?: number }): Tensor {
  checkSettings('istft', options, [...stftOptions, 'length']);
  checkStft(options);
  const { nFft, hopLength, winLength, window, normalized } = options;
  const bins = Math.floor(nFft / 2) + 1;
  const { shape, dtype } = spectra;
  if (dtype !== 'f32' || shape.length !== 4 || shape[1] !== bins || shape[3] !== 2 || spectra.size === 0) {
    throw new RangeError(
      `istft: the spectra are ${dtype}${formatShape(shape)}; expected f32 [batch, ${bins}, frames, 2] for nFft ${nFft}, not empty`,
    );
  }
  if (length !== undefined && (!Number.isInteger(length) || length < 1)) {
    throw new RangeError(`istft: length is ${length}; expected a whole number from 1`);
  }
  const frames = shape[2];
  const layout = layoutOf(frames, options, length);
  const { whole, start, kept } = layout;
  if (kept === 0) throw new RangeError(`istft: ${frames} frames of ${nFft} leave no sample; say a length`);
  const settings = JSON.stringify([nFft, winLength, window, normalized]);
  const weights = cachedTable(spectra.device, `stft ${settings}`, () => frameWindow(options));
  const framed = mul(irfft(permute(spectra, [0, 2, 1, 3]), { n: nFft }), weights);
  const added = apply('overlapAdd', [framed], { axis: 1, step: hopLength, length: whole })[0];
  const envelope = cachedTable(spectra.device, `istft ${settings} ${hopLength} ${frames} ${start} ${kept}`, () =>
    inverseEnvelope(frames, options, layout),
  );
  const y = mul(sliceAxis(added, 1, start, start + kept), envelope);
  return length !== undefined && length > kept ? pad(y, [0, length - kept]) : y;
}

/** Spectra [batch, bins, frames, 2] with as many frames as are wanted, the missing ones zero. */
function fitFrames(spectra: Tensor, frames: number): Tensor {
  const own = spectra.shape[2];
  if (own > frames) return sliceAxis(spectra, 2, 0, frames);
  return own < frames ? pad(spectra, [0, 0, 0, frames - own]) : spectra;
}

/** Settings of `griffinLim`. */
export interface GriffinLimOptions extends StftOptions {
  /** What the spectra hold: magnitudes (1, librosa's default), energies (2, torchaudio's) or another power of magnitudes. */
  readonly power: number;
  /** Default 32. */
  readonly iterations?: number;
  /** Of the fast algorithm (Perraudin et al., 2013), from 0 (the plain one) to under 1; default 0.99. */
  readonly momentum?: number;
  /** The first phases: zeros (default), or drawn by a seed. */
  readonly init?: 'zeros' | { readonly seed: number };
  /** Samples of the result; by default what `istft` gives. */
  readonly length?: number;
}

/**
 * Signals whose spectra have about the given magnitudes (Griffin and Lim, 1984): spectra f32 [batch, bins, frames] ->
 * [batch, samples]. librosa.griffinlim and torchaudio's griffinlim, but for the draw of the first phases; `padMode` is that
 * of the transforms inside (zeros in librosa, mirrored in torchaudio).
 *
 * @throws RangeError when iterations or momentum are out of range, or as `istft` does.
 */
export function griffinLim(spectra: Tensor, options: GriffinLimOptions): Tensor {
  checkSettings('griffinLim', options, [...stftOptions, 'power', 'iterations', 'momentum', 'init', 'length']);
  const { power, iterations = 32, momentum = 0.99, init = 'zeros', ...rest } = options;
  checkPower('griffinLim', power);
  if (init !== 'zeros' && !Number.isInteger(init?.seed)) {
    throw new RangeError(
      `griffinLim: init is ${JSON.stringify(init)}; expected 'zeros' or { seed } with a whole number`,
    );
  }
  if (!Number.isInteger(iterations) || iterations < 0 || !(momentum >= 0 && momentum < 1)) {
    throw new RangeError(
      `griffinLim: iterations ${iterations}, momentum ${momentum}; expected a whole number and one from 0 to under 1`,
    );
  }
  if (!rest.center)
    throw new RangeError('griffinLim: center is false; windows must reach every sample, use center: true');
  if (spectra.dtype !== 'f32' || spectra.rank !== 3 || spectra.size === 0) {
    throw new RangeError(
      `griffinLim: the spectra are ${spectra.dtype}${formatShape(spectra.shape)}; expected f32 [batch, bins, frames], not empty`,
    );
  }
  return scope(() => {
    const magnitude = power === 1 ? spectra : power === 2 ? sqrt(spectra) : pow(spectra, 1 / power);
    const paired = unsqueeze(magnitude, -1);
    const { length, ...transform } = rest;
    /** The spectra of the signal, which has the frames that it was made from. */
    const rebuild = (y: Tensor) => fitFrames(stft(y, transform), spectra.shape[2]);
    const keep = momentum / (1 + momentum);
    let current =
      init === 'zeros'
        ? stack([magnitude, zerosLike(magnitude)], -1)
        : scope(() => {
            const key = { seed: init.seed, stream: 1, device: spectra.device };
            const angles = uniform(spectra.shape, { ...key, high: 2 * Math.PI });
            return mul(stack([cos(angles), sin(angles)], -1), paired);
          });
    let previous: Tensor | undefined;
    for (let i = 0; i < iterations; i++) {
      const [next, rebuilt] = scope(() => {
        const own = rebuild(istft(current, rest));
        const moved = previous && keep > 0 ? own.sub(mul(previous, keep)) : own;
        const size = sqrt(square(select(moved, -1, 0)).add(square(select(moved, -1, 1))));
        return [mul(div(moved, unsqueeze(maximum(size, 1e-16), -1)), paired), own];
      });
      current.dispose();
      previous?.dispose();
      [current, previous] = [next, rebuilt];
    }
    return istft(current, rest);
  });
}

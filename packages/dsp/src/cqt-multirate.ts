import { cachedTable, concat, conv1d, type Device, pad, reshape, type Tensor } from '@dawnchorus/tensor';
import { createFilterBank, type FilterBank } from './cqt-bank.ts';
import { outputOf } from './cqt-gemm.ts';
import { type CqtSettings, cqtFrequencies } from './cqt-kernels.ts';
import { type CqtOutput, cqtFrames } from './cqt-shape.ts';
import { makeWindow } from './windows.ts';

/** Of the low-pass filter; odd, so that it delays by whole samples, which are taken back. */
const TAPS = 67;
/** Of its Kaiser window: side lobes at -100 dB. */
const BETA = 10.06;
/** Up to this part of the rate after halving, the filter passes; from 0.6 of it on, it stops. */
const PASS = 0.4;

/** Half of all frequencies: the windowed sinc with its cut at a quarter of the rate, of sum 1. */
function lowPass(): Float32Array<ArrayBuffer> {
  const window = makeWindow({ kaiser: BETA }, TAPS, { periodic: false });
  const middle = (TAPS - 1) / 2;
  const taps = Float64Array.from(window, (weight, i) => {
    const x = (i - middle) / 2;
    return weight * (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
  });
  const sum = taps.reduce((total, tap) => total + tap, 0);
  return Float32Array.from(taps, (tap) => tap / sum);
}

/** Every second sample of [clips, samples], without what would fold: [clips, ceil(samples / 2)]. */
function halve(x: Tensor): Tensor {
  const filter = reshape(cachedTable(x.device, 'half-band filter', lowPass), [1, 1, TAPS]);
  const [clips, samples] = x.shape;
  const y = conv1d(reshape(x, [clips, 1, samples]), filter, { stride: 2, padding: (TAPS - 1) / 2 });
  return reshape(y, [clips, y.shape[2]]);
}

/** How often audio is halved before the bins up to one of this frequency, which must fit under the filter's pass band. */
function halvingsFor(
  frequency: number,
  { sampleRate, hopLength, binsPerOctave, filterScale = 1 }: CqtSettings,
): number {
  // Up to where the filter's spectrum has fallen under 1e-4 of its peak.
  const highest = frequency * (1 + (15 * (2 ** (1 / binsPerOctave) - 1)) / filterScale);
  let halvings = 0;
  while (hopLength % 2 ** (halvings + 1) === 0 && highest <= (PASS * sampleRate) / 2 ** (halvings + 1)) halvings++;
  return halvings;
}

interface Octave {
  readonly halvings: number;
  readonly bank: FilterBank;
}

/**
 * The constant-Q transform octave by octave, audio being halved on the way down while the hop allows it, as nnAudio's
 * CQT2010v2 and librosa go about it. Filters are thinned out, not made anew, so that their lengths are not rounded at low
 * rates. What is left is the low-pass filters' ripple.
 */
export function createMultirateCqt(device: Device, settings: CqtSettings, output: CqtOutput) {
  const { bins, binsPerOctave, hopLength } = settings;
  const frequencies = cqtFrequencies(settings);
  const octaves: Octave[] = [];
  for (let end = bins; end > 0; end -= binsPerOctave) {
    const halvings = halvingsFor(frequencies[end - 1], settings);
    const low = Math.max(0, end - binsPerOctave);
    octaves.push({ halvings, bank: createFilterBank(device, settings, low, end, 2 ** halvings) });
  }
  // The low-pass filters ring on beyond both ends of a clip.
  const most = octaves[octaves.length - 1].halvings;
  const margin = hopLength * Math.ceil((((TAPS - 1) / 2) * (2 ** most - 1)) / hopLength);
  return {
    transform(x: Tensor): Tensor {
      const frames = cqtFrames(x.shape[1], hopLength);
      let audio = pad(x, [margin, margin]);
      let done = 0;
      const parts = octaves.map(({ halvings, bank }) => {
        for (; done < halvings; done++) audio = halve(audio);
        const hop = hopLength / 2 ** halvings;
        const start = margin / 2 ** halvings;
        const after = start + (frames - 1) * hop + bank.reach - audio.shape[1];
        return bank.analyse(pad(audio, [bank.reach - start, after]), hop, frames);
      });
      return outputOf(concat(parts.reverse(), 1), output);
    },
    dispose(): void {
      for (const { bank } of octaves) bank.dispose();
    },
  };
}

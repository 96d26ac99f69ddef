import { spectrogram } from '@dawnchorus/dsp';
import { abs, log, type Tensor } from '@dawnchorus/tensor';

/** Short frames keep the convolution behind the spectrogram affordable on software adapters. */
const framing = {
  nFft: 256,
  hopLength: 128,
  window: 'hann',
  center: false,
  padMode: 'constant',
  normalized: 'window',
} as const;

/** ln of the power in each bin and frame of waveforms [batch, samples]. */
function logPower(waveform: Tensor): Tensor {
  return log(spectrogram(waveform, { ...framing, power: 2 }).add(1e-4));
}

/** The waveform's share of the loss is small, as in EnCodec: codes that spell out phases could not be predicted from context. */
const WAVEFORM_WEIGHT = 0.1;

/**
 * How far a reconstruction is from its target, [batch, samples] both: the mean absolute error of the log-power spectrum,
 * plus a tenth of the waveform's mean absolute error relative to the target's own mean absolute value (`error`).
 */
export function reconstructionLoss(output: Tensor, target: Tensor): { loss: Tensor; error: Tensor } {
  const error = abs(output.sub(target)).mean().div(abs(target).mean().add(1e-3));
  const spectral = abs(logPower(output).sub(logPower(target))).mean();
  return { loss: spectral.add(error.mul(WAVEFORM_WEIGHT)), error };
}

import { abs, conv1d, log, type Tensor, tensor } from '@dawnchorus/tensor';

const FFT_SIZE = 512;
const HOP = 256;
/** Every second bin keeps the filters affordable on software adapters; neighbours overlap under a Hann window. */
const BIN_STEP = 2;

let filters: Tensor | undefined;

/** Windowed cosines, then sines: [2 * bins, 1, FFT_SIZE]. */
function analysisFilters(): Tensor {
  if (filters && !filters.disposed && !filters.device.closed) return filters;
  const bins = FFT_SIZE / 2 / BIN_STEP;
  const data = new Float32Array(2 * bins * FFT_SIZE);
  for (let k = 0; k < bins; k++) {
    for (let n = 0; n < FFT_SIZE; n++) {
      const window = (0.5 - 0.5 * Math.cos((2 * Math.PI * n) / FFT_SIZE)) / Math.sqrt(FFT_SIZE);
      const angle = (2 * Math.PI * (k * BIN_STEP + 1) * n) / FFT_SIZE;
      data[k * FFT_SIZE + n] = window * Math.cos(angle);
      data[(bins + k) * FFT_SIZE + n] = window * Math.sin(angle);
    }
  }
  const made = tensor(data, { shape: [2 * bins, 1, FFT_SIZE] });
  filters = made.retain();
  made.dispose();
  return filters;
}

/** ln of the power in each bin and frame of waveforms [batch, samples]. */
function logPower(waveform: Tensor): Tensor {
  const parts = conv1d(waveform.unsqueeze(1), analysisFilters(), { stride: HOP });
  const [batch, channels, frames] = parts.shape;
  const power = parts
    .square()
    .reshape([batch, 2, channels / 2, frames])
    .sum({ dim: 1 });
  return log(power.add(1e-4));
}

/**
 * How far a reconstruction is from its target, [batch, samples] both: the mean absolute error of the waveform, relative
 * to the target's own mean absolute value, plus that of the log-power spectrum.
 */
export function reconstructionLoss(output: Tensor, target: Tensor): { loss: Tensor; error: Tensor } {
  const error = abs(output.sub(target)).mean().div(abs(target).mean().add(1e-3));
  const spectral = abs(logPower(output).sub(logPower(target))).mean();
  return { loss: error.add(spectral), error };
}

import { gelu, geluDerivative } from '../../../packages/tensor/test/reference/functions.ts';
import { bytes, type Case, caseOf, noise, type Precision, toleranceOf } from '../work.ts';
import { remembered } from './rows.ts';

const EPS = 1e-5;

interface Stage {
  batch: number;
  channels: number;
  length: number;
  kernel: number;
  stride: number;
}

/** The extractor's first stage: a convolution of the waveform, each channel normalised over time, and GELU. */
export function firstStageCase(name: string, settings: Stage, dtype: Precision): Case {
  const { batch, channels, length, kernel, stride } = settings;
  const steps = Math.floor((length - kernel) / stride) + 1;
  const size = batch * channels * steps;
  const facts = {
    name,
    dtype,
    operation: 'first_stage',
    settings: { stride, eps: EPS },
    about: `[${batch}, 1, ${length}] to ${channels}, kernel ${kernel}, stride ${stride}, norm over time, GELU`,
    passes: ['forward', 'gradient'],
    flops: (2 * kernel + 8) * size,
    bytes: bytes(dtype, size + batch * length, channels * (kernel + 2)),
    largest: bytes(dtype, size),
    bound: 'memory',
    tolerance: toleranceOf(dtype),
  } as const;
  return caseOf(facts, () => {
    const weight = noise(1, [channels, 1, kernel], dtype);
    const [scale, shift] = [noise(2, [channels], dtype), noise(3, [channels], dtype)];
    const x = { ...noise(4, [batch, 1, length], dtype), constant: true as const };
    const g = noise(5, [batch, channels, steps], dtype);
    /** Of a channel of a clip: its normalised convolution, and one over the deviation. */
    const row = remembered((at) => {
      const [clip, c] = [Math.floor(at / channels), at % channels];
      const z = Float64Array.from({ length: steps }, (_, step) => {
        let sum = 0;
        for (let k = 0; k < kernel; k++) sum += weight.data[c * kernel + k] * x.data[clip * length + step * stride + k];
        return sum;
      });
      const mean = z.reduce((sum, value) => sum + value, 0) / steps;
      const inverse = 1 / Math.sqrt(z.reduce((sum, value) => sum + (value - mean) ** 2, 0) / steps + EPS);
      return { hat: z.map((value) => (value - mean) * inverse), inverse };
    });
    const output = (i: number) => {
      const at = Math.floor(i / steps);
      return gelu(row(at).hat[i % steps] * scale.data[at % channels] + shift.data[at % channels]);
    };
    /** Of a channel: what flows back to its taps, its scale and its shift. */
    const gradients = remembered((c) => {
      const taps = new Float64Array(kernel);
      let [ofScale, ofShift] = [0, 0];
      for (let clip = 0; clip < batch; clip++) {
        const at = clip * channels + c;
        const { hat, inverse } = row(at);
        const slopes = hat.map(
          (h, step) => g.data[at * steps + step] * geluDerivative(h * scale.data[c] + shift.data[c]),
        );
        const plain = slopes.reduce((sum, slope) => sum + slope, 0);
        const along = slopes.reduce((sum, slope, step) => sum + slope * hat[step], 0);
        ofShift += plain;
        ofScale += along;
        for (let step = 0; step < steps; step++) {
          const dz = inverse * scale.data[c] * (slopes[step] - plain / steps - (hat[step] * along) / steps);
          for (let k = 0; k < kernel; k++) taps[k] += dz * x.data[clip * length + step * stride + k];
        }
      }
      return { taps, ofScale, ofShift };
    });
    // A channel takes a tenth of a second a clip: some of them, and a few steps of few channels.
    const some = [...new Set([0, 1, channels >> 1, channels - 1])];
    const rows = some.map((c) => (batch - 1) * channels + c);
    const places = rows.flatMap((at) =>
      [0, 1, 255, 256, steps - 1].filter((s) => s < steps).map((s) => at * steps + s),
    );
    const taps = some.flatMap((c) => Array.from({ length: kernel }, (_, k) => c * kernel + k));
    return {
      inputs: [weight, scale, shift, x],
      outputGradient: g,
      expected: (pass) => [
        { what: 'output', size, at: output, samples: places },
        ...(pass === 'forward'
          ? []
          : [
              {
                what: 'gradient of the weight',
                size: channels * kernel,
                at: (i: number) => gradients(Math.floor(i / kernel)).taps[i % kernel],
                samples: taps,
              },
              { what: 'gradient of the scale', size: channels, at: (c: number) => gradients(c).ofScale, samples: some },
              { what: 'gradient of the shift', size: channels, at: (c: number) => gradients(c).ofShift, samples: some },
            ]),
      ],
    };
  });
}

import { add, cachedTable, type Device, div, maximum, mul, pad, reshape, sub, type Tensor } from '@dawnchorus/tensor';
import { createFilterBank } from './cqt-bank.ts';
import { type CqtSettings, cqtLengths, cqtScale } from './cqt-kernels.ts';

/** Under the squares of any f32 that matters: silence divided by it stays silence. */
const TINY = 1e-30;

/**
 * The signal whose transform is nearest to given coefficients, by conjugate gradients over the squares of their
 * differences, every bin counting by its filter's plain sum: those weigh all frequencies within the bins about alike, so
 * that few steps do.
 */
export function createInverse(device: Device, settings: CqtSettings) {
  const { hopLength, bins, normalization } = settings;
  const bank = createFilterBank(device, { ...settings, normalization: 'convolutional' });
  const scales = Float32Array.from(cqtLengths(settings), (length) => 1 / cqtScale(length, normalization));
  const key = `scales of ${JSON.stringify(settings)}`;

  return {
    /** coefficients [clips, bins, frames, 2] -> [clips, samples]. */
    invert(coefficients: Tensor, samples: number, iterations: number): Tensor {
      const frames = coefficients.shape[2];
      const after = (frames - 1) * hopLength + bank.reach - samples;
      const analyse = (x: Tensor) => bank.analyse(pad(x, [bank.reach, after]), hopLength, frames);
      const synthesise = (parts: Tensor) => pad(bank.synthesise(parts, hopLength), [-bank.reach, -after]);
      const energy = (x: Tensor) => x.square().sum({ dim: x.shape.map((_, d) => d).slice(1), keepdim: true });
      const perBin = reshape(
        cachedTable(device, key, () => scales),
        [1, bins, 1, 1],
      );
      let rest = mul(coefficients.permute([0, 1, 3, 2]), perBin);
      let slope = synthesise(rest);
      let direction = slope;
      let size = energy(slope);
      let x = mul(slope, 0);
      for (let i = 0; i < iterations; i++) {
        const seen = analyse(direction);
        const step = div(size, maximum(reshape(energy(seen), size.shape), TINY));
        x = add(x, mul(direction, step));
        if (i === iterations - 1) break;
        rest = sub(rest, mul(seen, reshape(step, [-1, 1, 1, 1])));
        slope = synthesise(rest);
        const next = energy(slope);
        direction = add(slope, mul(direction, div(next, maximum(size, TINY))));
        size = next;
      }
      return x;
    },
    dispose: () => bank.dispose(),
  };
}

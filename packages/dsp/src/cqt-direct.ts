import { cqt as kernels } from '@dawnchorus/kernels';
import { apply, type Device, defineOp, type Tensor, uploadTable, withDense } from '@dawnchorus/tensor';
import { type CqtSettings, cqtFrequencies, cqtKernel, cqtLengths, cqtScale } from './cqt-kernels.ts';
import { type CqtAttributes, type CqtOutput, cqtSpec } from './cqt-shape.ts';

/** x [clips, samples], taps and table of the bins -> [clips, bins, frames] or, complex, [clips, bins, frames, 2]. */
const cqtDirect = defineOp<CqtAttributes>({
  name: 'cqtDirect',
  infer: ([x], attributes) => [cqtSpec(x, attributes)],
  flops: ([x, taps], [out]) => 2 * taps.size * out.shape[2] * x.shape[0],
  run(device, [input, taps, table], [out], { hopLength, bins, output }) {
    withDense(device, [input], ([x]) => {
      const [clips, samples] = x.shape;
      const frames = out.shape[2];
      device.recorder.dispatch({
        kernel: kernels.cqtDirect,
        constants: { COMPLEX: `const COMPLEX = ${output === 'complex'};` },
        buffers: [x, taps, table, out].map((tensor) => tensor.storage.buffer),
        parameters: { samples, frames, bins, hop: hopLength, xOffset: x.offset },
        grid: [Math.ceil(frames / 8), bins, clips],
      });
    });
  },
});

/**
 * The constant-Q transform as a sum over every filter's own support: about 1 GFLOP a second of audio at the teacher's
 * settings. It is the definition itself, and what the fast method is measured against.
 */
export function createDirectCqt(device: Device, settings: CqtSettings, output: CqtOutput) {
  const { sampleRate, hopLength, bins, normalization } = settings;
  const frequencies = cqtFrequencies(settings);
  const lengths = cqtLengths(settings);
  const total = lengths.reduce((sum, length) => sum + length, 0);
  const taps = new Float32Array(2 * total);
  const table = new Uint32Array(4 * bins);
  const floats = new Float32Array(table.buffer);
  let offset = 0;
  for (let k = 0; k < bins; k++) {
    const { first, re, im } = cqtKernel(frequencies[k], lengths[k], sampleRate);
    table.set([offset, lengths[k], first >>> 0], 4 * k);
    floats[4 * k + 3] = cqtScale(lengths[k], normalization);
    for (let i = 0; i < re.length; i++, offset++) {
      taps[2 * offset] = re[i];
      taps[2 * offset + 1] = im[i];
    }
  }
  const tapTable = uploadTable(device, taps, 'CQT filters');
  const binTable = uploadTable(device, table, 'CQT bins');

  return {
    transform: (x: Tensor): Tensor => apply(cqtDirect, [x, tapTable, binTable], { hopLength, bins, output })[0],
    dispose(): void {
      tapTable.dispose();
      binTable.dispose();
    },
  };
}

import { rvq } from '@dawnchorus/kernels';
import { linearGrid } from '../kernel/grid.ts';
import { formatShape } from '../shape.ts';
import { expectDtype } from './arguments.ts';
import { withDense, withScratch } from './dense.ts';
import { kernelOp } from './op.ts';

/** Attributes of `codebookUpdate`. */
export interface CodebookUpdateAttributes {
  /** What of the running averages stays, 0 to 1. */
  decay: number;
  /** Of the smoothing of sizes. */
  epsilon: number;
  /** Entries with a smaller running size become rows of x. */
  threshold: number;
}

const roles = ['the input', 'the codes', 'the averages', 'the sizes', 'the picks'] as const;

/**
 * x [rows, dimension], codes [rows] (i32), running averages [codes, dimension] and sizes [codes], and picks [codes] (i32),
 * rows of x for entries that hardly any row chooses -> entries [codes, dimension], averages and sizes.
 */
export const codebookUpdate = kernelOp<CodebookUpdateAttributes>({
  flops: ([x, , averages]) => x.size + 5 * averages.size,
  infer(inputs) {
    const [x, codes, averages, sizes, picks] = inputs;
    const whole = new Set([1, 4]);
    for (const [i, input] of inputs.entries()) {
      expectDtype('codebookUpdate', roles[i], input, whole.has(i) ? 'i32' : 'f32');
    }
    const isRow = (length: number) => (tensor: (typeof inputs)[number]) =>
      tensor.rank === 1 && tensor.shape[0] === length;
    const fits =
      x.rank === 2 &&
      averages.rank === 2 &&
      x.shape[1] === averages.shape[1] &&
      [codes].every(isRow(x.shape[0])) &&
      [sizes, picks].every(isRow(averages.shape[0]));
    if (!fits) {
      throw new RangeError(
        `codebookUpdate: ${inputs.map(({ shape }, i) => `${roles[i]} ${formatShape(shape)}`).join(', ')}; ` +
          'expected [rows, dimension], [rows], [codes, dimension], [codes] and [codes]',
      );
    }
    return [averages, averages, sizes].map(({ shape }) => ({ dtype: 'f32' as const, shape }));
  },
  run(device, inputs, [entries, averages, sizes], { decay, epsilon, threshold }) {
    const [count, dimension] = entries.shape;
    if (count === 0) return;
    withDense(device, inputs, ([x, codes, oldAverages, oldSizes, picks]) => {
      const rows = x.shape[0];
      withScratch(device, [{ name: 'sizes of codebook entries', shape: [count] }], (counted) => {
        const buffersOf = (tensors: (typeof x)[]) => tensors.map((tensor) => tensor.storage.buffer);
        device.recorder.dispatch({
          kernel: rvq.codebookSums,
          buffers: buffersOf([x, codes, oldAverages, oldSizes, averages, counted]),
          parameters: {
            rows,
            dimension,
            decay,
            share: 1 - decay,
            codes: count,
            xOffset: x.offset,
            codesOffset: codes.offset,
            averagesOffset: oldAverages.offset,
            sizesOffset: oldSizes.offset,
          },
          grid: linearGrid(count),
        });
        device.recorder.dispatch({
          kernel: rvq.codebookEntries,
          buffers: buffersOf([x, picks, counted, averages, entries, sizes]),
          parameters: {
            dimension,
            codes: count,
            epsilon,
            threshold,
            xOffset: x.offset,
            picksOffset: picks.offset,
            rows,
          },
          grid: linearGrid(count),
        });
      });
    });
  },
});

import type { Device } from '../device/device.ts';
import type { Variant } from '../kernel/variants.ts';
import { Tensor } from '../tensor.ts';
import { holding } from './dense.ts';
import { writePart } from './gather.ts';
import type { None } from './matmul-operands.ts';
import { LONGEST_SUM, recordSumOfParts } from './matmul-split.ts';

const partsOf = (a: Tensor): number => Math.ceil(a.shape[a.rank - 1] / LONGEST_SUM);

/** Whether sums are too long for one accumulator, and those of their parts can be bound. */
export const isLong = ({ limits }: Device, a: Tensor, out: Tensor): boolean =>
  partsOf(a) > 1 && 4 * partsOf(a) * out.size <= limits.maxStorageBufferBindingSize;

/** Parts of an operand along k, an axis of it, on a new axis in front of those of the batch. */
function cut(x: Tensor, k: number, { first, length, count }: Chunks, rank: number): Tensor {
  const missing = Array.from({ length: rank - x.rank }, () => 1);
  const shape = [count, ...missing, ...x.shape.map((extent, d) => (d === k ? length : extent))];
  const strides = [length * x.strides[k], ...missing.map(() => 0), ...x.strides];
  return new Tensor(x.storage, x.dtype, shape, strides, x.offset + first * x.strides[k], false);
}

/** Parts of k, one after another. */
interface Chunks {
  readonly first: number;
  readonly length: number;
  readonly count: number;
}

/**
 * Products of parts of k, by whichever variant suits them, then added up in their order. `multiply` is a product of any size, whose
 * output begins its memory.
 */
export const createChunked = (
  multiply: (device: Device, operands: readonly Tensor[], out: Tensor) => void,
): Variant<None> => ({
  name: 'chunked',
  legal: (device, [a], [out]) => isLong(device, a, out),
  run(device, [a, b], [out]) {
    const k = a.shape[a.rank - 1];
    const parts = partsOf(a);
    const whole = { first: 0, length: LONGEST_SUM, count: Math.floor(k / LONGEST_SUM) };
    const rest = { first: whole.count * LONGEST_SUM, length: k % LONGEST_SUM, count: parts - whole.count };
    holding((hold) => {
      const make = (count: number) =>
        hold(Tensor.allocate(device, 'f32', [count, ...out.shape], 'products of parts', false));
      const multiplyParts = (chunks: Chunks, to: Tensor) => {
        const left = hold(cut(a, a.rank - 1, chunks, out.rank));
        const right = hold(cut(b, b.rank - 2, chunks, out.rank));
        multiply(device, [left, right], to);
      };
      const partial = make(parts);
      const { storage, dtype, strides } = partial;
      multiplyParts(whole, hold(new Tensor(storage, dtype, [whole.count, ...out.shape], strides, 0, false)));
      if (rest.count > 0) {
        const last = make(rest.count);
        multiplyParts(rest, last);
        writePart(device, last, partial, whole.count * out.size, strides);
      }
      recordSumOfParts(device, partial, out, parts);
    });
  },
});

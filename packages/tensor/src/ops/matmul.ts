import { matmul as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { promote, wgslType } from '../dtype.ts';
import { runVariants, type Variant } from '../kernel/variants.ts';
import { broadcastShapes, broadcastStrides, collapse, formatShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { expectFloat } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';

/** Below this many outputs a batch, a 64 x 64 tile would leave most of a GPU idle. */
const SMALLEST_TILED = 64 * 64;

/** The batch axes as the kernels walk them: two at most. */
function batchOf(a: Tensor, b: Tensor, out: Tensor) {
  const shape = out.shape.slice(0, -2);
  const strides = (x: Tensor) => broadcastStrides(x.shape.slice(0, -2), x.strides.slice(0, -2), shape);
  return collapse(shape, strides(a), strides(b));
}

/** Calls `record` with operands whose batch axes a kernel can walk: where there are more than two, with dense copies. */
function withTwoBatchAxes(
  device: Device,
  [a, b]: readonly Tensor[],
  out: Tensor,
  record: (a: Tensor, b: Tensor, batch: ReturnType<typeof batchOf>) => void,
): void {
  const batch = batchOf(a, b, out);
  if (batch.shape.length <= 2) {
    record(a, b, batch);
    return;
  }
  const views = [a, b].map((x) => {
    const shape = [...out.shape.slice(0, -2), ...x.shape.slice(-2)];
    return new Tensor(x.storage, x.dtype, shape, broadcastStrides(x.shape, x.strides, shape), x.offset, false);
  });
  try {
    withDense(device, views, ([left, right]) => record(left, right, batchOf(left, right, out)));
  } finally {
    for (const view of views) view.dispose();
  }
}

/** A variant that makes a tile of `tile` x `tile` outputs a workgroup. */
function tileVariant(name: string, kernel: typeof kernels.matmulRegister, tile: number): Variant<Record<never, never>> {
  return {
    name,
    run(device, inputs, [out]) {
      withTwoBatchAxes(device, inputs, out, (a, b, batch) => {
        const [m, n] = out.shape.slice(-2);
        const [outerExtent, innerExtent] = batch.shape.length === 2 ? batch.shape : [1, batch.shape[0] ?? 1];
        const split = (strides: number[]) => (strides.length === 2 ? strides : [0, strides[0] ?? 0]);
        const [aBatchOuter, aBatchInner] = split(batch.strides[0]);
        const [bBatchOuter, bBatchInner] = split(batch.strides[1]);
        device.recorder.dispatch({
          kernel,
          constants: {
            AElement: `alias AElement = ${wgslType[a.dtype]};`,
            BElement: `alias BElement = ${wgslType[b.dtype]};`,
            OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
          },
          buffers: [a.storage.buffer, b.storage.buffer, out.storage.buffer],
          parameters: {
            m,
            n,
            k: a.shape[a.rank - 1],
            batchInner: innerExtent,
            aOffset: a.offset,
            bOffset: b.offset,
            aRow: a.strides[a.rank - 2],
            aColumn: a.strides[a.rank - 1],
            bRow: b.strides[b.rank - 2],
            bColumn: b.strides[b.rank - 1],
            aBatchOuter,
            aBatchInner,
            bBatchOuter,
            bBatchInner,
          },
          grid: [Math.ceil(n / tile), Math.ceil(m / tile), outerExtent * innerExtent],
        });
      });
    },
  };
}

/**
 * [..., m, k] x [..., k, n] -> [..., m, n], batch axes broadcast. Any strides: a transposed operand is read in place.
 * f32, or f16 where both operands are; sums are in f32.
 */
export const matmul = kernelOp<Record<never, never>>({
  infer([a, b]) {
    expectFloat('matmul', 'the left operand', a);
    expectFloat('matmul', 'the right operand', b);
    if (a.rank < 2 || b.rank < 2) {
      throw new RangeError(
        `matmul: ${formatShape(a.shape)} x ${formatShape(b.shape)}: both need two axes or more; use unsqueeze`,
      );
    }
    const [k, k2] = [a.shape[a.rank - 1], b.shape[b.rank - 2]];
    if (k !== k2) {
      throw new RangeError(
        `matmul: inner dimensions ${k} and ${k2} of ${formatShape(a.shape)} x ${formatShape(b.shape)} differ; transpose one operand?`,
      );
    }
    const batch = broadcastShapes('matmul (batch axes)', a.shape.slice(0, -2), b.shape.slice(0, -2));
    return [{ dtype: promote(a.dtype, b.dtype), shape: [...batch, a.shape[a.rank - 2], b.shape[b.rank - 1]] }];
  },
  emits: 'fours',
  flops: ([a], [out]) => 2 * out.size * a.shape[a.rank - 1],
  ...runVariants<Record<never, never>>({
    name: 'matmul',
    variants: [tileVariant('register', kernels.matmulRegister, 64), tileVariant('tiled', kernels.matmulTiled, 64)],
    prefer(device, _, [out]) {
      const [m, n] = out.shape.slice(-2);
      const large = m * n >= SMALLEST_TILED && out.size >= 4 * SMALLEST_TILED;
      return large && !device.adapter.software ? 'tiled' : 'register';
    },
  }),
});

import { matmul as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import { broadcastStrides, collapse } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { withDense } from './dense.ts';

/** A product has no attributes. */
export type None = Record<never, never>;

/** The batch axes as the kernels walk them: two at most. */
function batchOf(a: Tensor, b: Tensor, out: Tensor) {
  const shape = out.shape.slice(0, -2);
  const strides = (x: Tensor) => broadcastStrides(x.shape.slice(0, -2), x.strides.slice(0, -2), shape);
  return collapse(shape, strides(a), strides(b));
}

/** A product as the kernels see it. Strides in elements. */
export interface Product {
  readonly a: Tensor;
  readonly b: Tensor;
  readonly out: Tensor;
  /** Products in the batch. */
  readonly count: number;
  readonly parameters: Readonly<
    Record<Exclude<keyof typeof kernels.matmulRegister.parameters, `group${string}`>, number>
  >;
}

/** Calls `record` with a product whose batch axes a kernel can walk: where there are more than two, with dense copies. */
export function withProduct(
  device: Device,
  [a, b]: readonly Tensor[],
  out: Tensor,
  record: (product: Product) => void,
): void {
  const batch = batchOf(a, b, out);
  if (batch.shape.length > 2) {
    const views = [a, b].map((x) => {
      const shape = [...out.shape.slice(0, -2), ...x.shape.slice(-2)];
      return new Tensor(x.storage, x.dtype, shape, broadcastStrides(x.shape, x.strides, shape), x.offset, false);
    });
    try {
      withDense(device, views, (dense) => withProduct(device, dense, out, record));
    } finally {
      for (const view of views) view.dispose();
    }
    return;
  }
  const [outerExtent, batchInner] = batch.shape.length === 2 ? batch.shape : [1, batch.shape[0] ?? 1];
  const split = (strides: number[]) => (strides.length === 2 ? strides : [0, strides[0] ?? 0]);
  const [aBatchOuter, aBatchInner] = split(batch.strides[0]);
  const [bBatchOuter, bBatchInner] = split(batch.strides[1]);
  const [m, n] = out.shape.slice(-2);
  record({
    a,
    b,
    out,
    count: outerExtent * batchInner,
    parameters: {
      m,
      n,
      k: a.shape[a.rank - 1],
      batchInner,
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
  });
}

/** How an operand lies in memory, to a kernel that reads it by `wide` along one of its axes. */
export function layoutOf(
  { a, b, parameters }: Product,
  which: 'A' | 'B',
  wide: number,
): { alongK: boolean; vector: boolean } {
  const { m, n, k, aRow, aColumn, bRow, bColumn, aOffset, bOffset } = parameters;
  const [alongOther, alongK, other, offset] = which === 'A' ? [aRow, aColumn, m, aOffset] : [bColumn, bRow, n, bOffset];
  const batches =
    which === 'A' ? [parameters.aBatchOuter, parameters.aBatchInner] : [parameters.bBatchOuter, parameters.bBatchInner];
  const isAlongK = alongK === 1 || alongOther !== 1;
  const [step, extent, jump] = isAlongK ? [alongK, k, alongOther] : [alongOther, other, alongK];
  const aligned = [extent, jump, offset, ...batches].every((value) => value % wide === 0);
  // A buffer is bound whole, and is a multiple of 16 bytes long.
  const { size } = (which === 'A' ? a : b).storage.buffer;
  return { alongK: isAlongK, vector: step === 1 && aligned && size % 16 === 0 };
}

/** How a tile kernel reads its operands, four neighbours at a time, or eight halves. */
export function operandConstants(product: Product, wide: 4 | 8): Record<string, string> {
  const constants: Record<string, string> = {};
  for (const name of ['A', 'B'] as const) {
    const { dtype } = name === 'A' ? product.a : product.b;
    const { alongK, vector } = layoutOf(product, name, wide);
    const element = wgslType[dtype];
    const halves = wide === 8 && dtype === 'f16';
    constants[`${name}_ALONG_K`] = `const ${name}_ALONG_K = ${alongK};`;
    constants[`${name}Element`] =
      `alias ${name}Element = ${vector ? (halves ? 'vec4<u32>' : `vec4<${element}>`) : element};`;
    if (wide === 4) constants[`fourOf${name}`] = vector ? kernels.fourByVector(name) : kernels.fourByElements(name);
    else if (!vector) constants[`eightOf${name}`] = kernels.eightByElements(name);
    else constants[`eightOf${name}`] = halves ? kernels.eightByVector(name) : kernels.eightByFours(name);
  }
  return constants;
}

export const tiledConstants = (product: Product, tiling: kernels.Tiling, outElement: string) => ({
  ...operandConstants(product, 4),
  TILE: kernels.tileConstants(tiling),
  OutElement: `alias OutElement = ${outElement};`,
});

import type { Device } from '../device/device.ts';
import { wgslType } from '../dtype.ts';
import type { Tensor } from '../tensor.ts';
import { scalar } from './arguments.ts';
import type { AttentionAttributes } from './attention.ts';
import { streamWords } from './op.ts';

/** Where something with axes [batch, heads, time, headSize] lies. */
export interface Layout {
  readonly offset: number;
  readonly strides: readonly number[];
}

export interface AttentionOperands {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly visible?: Tensor;
  readonly step?: Tensor;
}

/** Which of the inputs is what: the mask of keys is bool, the number of the step is u32. */
export function operandsOf(inputs: readonly Tensor[]): AttentionOperands {
  const [q, k, v] = inputs;
  const visible = inputs.find(({ dtype }) => dtype === 'bool');
  return { q, k, v, visible, step: inputs.find(({ dtype }) => dtype === 'u32') };
}

/** A tensor [batch, time, heads, headSize] as kernels see it. */
export function byHeads({ offset, strides: [batch, time, head, column] }: Layout): Layout {
  return { offset, strides: [batch, head, time, column] };
}

/** Whether fours of neighbours lie together in each of these, so that kernels may read them at once. */
export function liesInFours(size: number, layouts: readonly Layout[]): boolean {
  return (
    size % 4 === 0 &&
    layouts.every(
      ({ offset, strides: [batch, head, time, column] }) =>
        column === 1 && [offset, batch, head, time].every((distance) => distance % 4 === 0),
    )
  );
}

/** How many pairs of batch and head there are. */
export const pairsOf = ({ shape: [batch, heads] }: Tensor): number => batch * heads;

/** The buffers that stand for the mask and the step where there are none. */
export function optionalBuffers(device: Device, { visible, step }: AttentionOperands) {
  return {
    visible: (visible ?? scalar(device, 0, 'u32')).storage.buffer,
    steps: (step ?? scalar(device, 0, 'u32')).storage.buffer,
  };
}

export function constantsOf({ q, visible, step }: AttentionOperands, { causal, dropout }: AttentionAttributes) {
  return {
    SIZE: `const SIZE = ${q.shape[3]}u;`,
    MASKED: `const MASKED = ${visible !== undefined};`,
    CAUSAL: `const CAUSAL = ${causal};`,
    DROPS: `const DROPS = ${dropout > 0};`,
    STEPPED: `const STEPPED = ${step !== undefined};`,
    Element: `alias Element = ${wgslType[q.dtype]};`,
  };
}

/**
 * Parameters of every kernel of attention. `g` is the gradient of the output, `others` take the place of the operands;
 * `unit` is what offsets and strides are counted in, 4 for kernels that read by fours.
 */
export function parametersOf(
  device: Device,
  { q, k, v, visible, step }: AttentionOperands,
  attributes: AttentionAttributes,
  { g = q, unit = 1, first = 0, ...others }: { g?: Layout; q?: Layout; v?: Layout; unit?: number; first?: number } = {},
) {
  const [, heads, queries] = q.shape;
  const [seedLow, seedHigh, streamLow, streamHigh] = streamWords(attributes);
  const { dropout, scale } = attributes;
  const placed = (layout: Layout) => {
    const [offset, batch, head, row, column] = [layout.offset, ...layout.strides].map((at) => at / unit);
    return { offset, batch, head, row, column };
  };
  const [ofQ, ofK, ofV, ofG] = [others.q ?? q, k, others.v ?? v, g].map(placed);
  return {
    heads,
    queries,
    keys: k.shape[2],
    pairs: pairsOf(q),
    first,
    size: q.shape[3],
    chunks: Math.ceil(q.shape[3] / 4),
    scale,
    dropped: dropout,
    kept: 1 / (1 - dropout),
    qOffset: ofQ.offset,
    qBatch: ofQ.batch,
    qHead: ofQ.head,
    qRow: ofQ.row,
    qColumn: ofQ.column,
    kOffset: ofK.offset,
    kBatch: ofK.batch,
    kHead: ofK.head,
    kRow: ofK.row,
    kColumn: ofK.column,
    vOffset: ofV.offset,
    vBatch: ofV.batch,
    vHead: ofV.head,
    vRow: ofV.row,
    vColumn: ofV.column,
    gOffset: ofG.offset,
    gBatch: ofG.batch,
    gHead: ofG.head,
    gRow: ofG.row,
    gColumn: ofG.column,
    visibleOffset: visible?.offset ?? 0,
    visibleBatch: visible?.strides[0] ?? 0,
    visibleKey: visible?.strides[1] ?? 0,
    seedLow,
    seedHigh,
    streamLow,
    streamHigh,
    stepOffset: (step ?? scalar(device, 0, 'u32')).offset,
  };
}

import { elementwise, gather as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { type DType, fromBits, wgslType, workingDtype } from '../dtype.ts';
import { gridFor, linearGrid, turnsFor } from '../kernel/grid.ts';
import { collapse, contiguousStrides, formatShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { expectDtype } from './arguments.ts';
import { withDense } from './dense.ts';
import { runMap } from './elementwise.ts';
import { fillBuffer } from './fill.ts';
import { kernelOp } from './op.ts';
import { sortThree } from './sort.ts';

/** The axis along which an operation works. */
export interface AxisAttribute {
  /** Non-negative; the caller has normalised it. */
  axis: number;
}

function around(shape: readonly number[], axis: number): { outer: number; inner: number } {
  return { outer: sizeOf(shape.slice(0, axis)), inner: sizeOf(shape.slice(axis + 1)) };
}

/** NaN for floats, the largest value for integers: what an index outside the axis reads. */
function outsideBits(dtype: DType): number {
  return { f32: 0x7fc00000, f16: 0x7e00, i32: 0x7fffffff, u32: 0xffffffff, bool: 0 }[dtype];
}

function runGather(device: Device, inputs: readonly Tensor[], out: Tensor, axis: number, perElement: boolean): void {
  withDense(device, inputs, ([x, index]) => {
    const { outer, inner } = around(out.shape, axis);
    device.recorder.dispatch({
      kernel: kernels.gather,
      constants: {
        Element: `alias Element = ${wgslType[x.dtype]};`,
        fromBits: fromBits(x.dtype),
        PER_ELEMENT: `const PER_ELEMENT = ${perElement};`,
      },
      buffers: [x.storage.buffer, index.storage.buffer, out.storage.buffer],
      parameters: {
        outer,
        inner,
        extent: x.shape[axis],
        count: out.shape[axis],
        xOffset: x.offset,
        indexOffset: index.offset,
        outsideBits: outsideBits(x.dtype),
      },
      grid: gridFor(out.size),
    });
  });
}

/** Above this many comparisons for each of the rows, outputs that scan the whole index list cost more than sorting it. */
const LARGEST_SCAN = 1 << 14;

function addSorted(
  device: Device,
  source: Tensor,
  index: Tensor,
  out: Tensor,
  axis: number,
  perElement: boolean,
): void {
  const { outer, inner } = around(out.shape, axis);
  const count = source.shape[axis];
  const order = Tensor.allocate(device, 'i32', index.shape, 'sorted index', false);
  const rows = perElement ? ([outer, count, inner] as const) : ([1, count, 1] as const);
  try {
    sortThree(device, index, rows, order, { byRow: true }, (keys) =>
      device.recorder.dispatch({
        kernel: kernels.scatterAddSorted,
        constants: {
          Scalar: `alias Scalar = ${wgslType[workingDtype(out.dtype)]};`,
          Element: `alias Element = ${wgslType[out.dtype]};`,
          PER_ELEMENT: `const PER_ELEMENT = ${perElement};`,
        },
        buffers: [source.storage.buffer, keys.storage.buffer, order.storage.buffer, out.storage.buffer],
        parameters: { outer, inner, extent: out.shape[axis], count, sourceOffset: source.offset },
        grid: gridFor(out.size),
      }),
    );
  } finally {
    order.dispose();
  }
}

function runScatterAdd(
  device: Device,
  inputs: readonly Tensor[],
  out: Tensor,
  axis: number,
  perElement: boolean,
): void {
  withDense(device, inputs, ([source, index]) => {
    const { outer, inner } = around(out.shape, axis);
    if (source.shape[axis] * out.shape[axis] > LARGEST_SCAN) {
      return addSorted(device, source, index, out, axis, perElement);
    }
    device.recorder.dispatch({
      kernel: kernels.scatterAdd,
      constants: {
        Scalar: `alias Scalar = ${wgslType[workingDtype(out.dtype)]};`,
        Element: `alias Element = ${wgslType[out.dtype]};`,
        PER_ELEMENT: `const PER_ELEMENT = ${perElement};`,
      },
      buffers: [source.storage.buffer, index.storage.buffer, out.storage.buffer],
      parameters: {
        outer,
        inner,
        extent: out.shape[axis],
        count: source.shape[axis],
        sourceOffset: source.offset,
        indexOffset: index.offset,
      },
      grid: gridFor(out.size),
    });
  });
}

function sameBut(axis: number, a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((extent, d) => d === axis || extent === b[d]);
}

/** x and index [n] -> x with `axis` replaced by the rows that index names. */
const indexSelect = kernelOp<AxisAttribute>({
  flops: () => 0,
  infer([x, index], { axis }) {
    expectDtype('indexSelect', 'the index', index, 'i32');
    if (index.rank !== 1)
      throw new RangeError(`indexSelect: the index is ${formatShape(index.shape)}; expected one axis`);
    return [{ dtype: x.dtype, shape: x.shape.map((extent, d) => (d === axis ? index.shape[0] : extent)) }];
  },
  run(device, inputs, [out], { axis }) {
    runGather(device, inputs, out, axis, false);
  },
});

/** source and index [n] -> zeros with the source's rows added at the index, `extent` long along `axis`. */
const indexAdd = kernelOp<AxisAttribute & { extent: number }>({
  flops: ([source]) => source.size,
  infer([source, index], { axis, extent }) {
    expectDtype('indexAdd', 'the index', index, 'i32');
    if (index.rank !== 1 || index.shape[0] !== source.shape[axis]) {
      throw new RangeError(
        `indexAdd: index ${formatShape(index.shape)} must name a place for each of the ${source.shape[axis]} rows of ${formatShape(source.shape)}`,
      );
    }
    return [{ dtype: source.dtype, shape: source.shape.map((own, d) => (d === axis ? extent : own)) }];
  },
  run(device, inputs, [out], { axis }) {
    runScatterAdd(device, inputs, out, axis, false);
  },
});

/** out[..., j, ...] = x[..., index[..., j, ...], ...]: one index an element. */
const gather = kernelOp<AxisAttribute>({
  flops: () => 0,
  infer([x, index], { axis }) {
    expectDtype('gather', 'the index', index, 'i32');
    if (!sameBut(axis, x.shape, index.shape)) {
      throw new RangeError(
        `gather: index ${formatShape(index.shape)} must equal ${formatShape(x.shape)} in every axis but ${axis}`,
      );
    }
    return [{ dtype: x.dtype, shape: index.shape }];
  },
  run(device, inputs, [out], { axis }) {
    runGather(device, inputs, out, axis, true);
  },
});

/** out[..., index[..., j, ...], ...] += source[..., j, ...], into zeros `extent` long along `axis`. */
const scatterAdd = kernelOp<AxisAttribute & { extent: number }>({
  flops: ([source]) => source.size,
  infer([source, index], { axis, extent }) {
    expectDtype('scatterAdd', 'the index', index, 'i32');
    if (source.rank !== index.rank || !source.shape.every((own, d) => own === index.shape[d])) {
      throw new RangeError(
        `scatterAdd: source ${formatShape(source.shape)} and index ${formatShape(index.shape)} must have one shape`,
      );
    }
    return [{ dtype: source.dtype, shape: source.shape.map((own, d) => (d === axis ? extent : own)) }];
  },
  run(device, inputs, [out], { axis }) {
    runScatterAdd(device, inputs, out, axis, true);
  },
});

/** Writes `source` into the part of contiguous `out` that starts `offset` elements in and has these strides. */
export function writePart(
  device: Device,
  source: Tensor,
  out: Tensor,
  offset: number,
  strides: readonly number[],
): void {
  if (source.size === 0) return;
  const merged = collapse(source.shape, source.strides, strides);
  const turns = turnsFor(device, source.size);
  device.recorder.dispatch({
    kernel: elementwise.copy,
    constants: {
      RANK: `const RANK = ${merged.shape.length}u;`,
      Element: `alias Element = ${wgslType[source.dtype]};`,
      TURNS: `const TURNS = ${turns}u;`,
    },
    buffers: [source.storage.buffer, out.storage.buffer],
    parameters: {
      size: source.size,
      inOffset: source.offset,
      outOffset: offset,
      shape: merged.shape,
      inStrides: merged.strides[0],
      outStrides: merged.strides[1],
    },
    grid: gridFor(Math.ceil(source.size / turns)),
  });
}

/** Writes dense tensors, one after another, into contiguous `out` from element `offset` on. */
function writeParts(device: Device, parts: readonly Tensor[], out: Tensor, offset: number): void {
  const filled = <T>(values: readonly T[], rest: T) => [
    ...values,
    ...new Array<T>(elementwise.PARTS - values.length).fill(rest),
  ];
  const sizes = parts.map(({ size }) => size);
  device.recorder.dispatch({
    kernel: elementwise.copyParts,
    constants: { ...elementwise.copyParts.constants, Element: `alias Element = ${wgslType[out.dtype]};` },
    buffers: [
      ...filled(
        parts.map(({ storage }) => storage.buffer),
        parts[0].storage.buffer,
      ),
      out.storage.buffer,
    ],
    parameters: {
      outOffset: offset,
      sizes: filled(sizes, 0),
      inOffsets: filled(
        parts.map(({ offset }) => offset),
        0,
      ),
    },
    grid: linearGrid(sizes.reduce((sum, size) => sum + Math.ceil(size / elementwise.PARTS_BLOCK), 0)),
  });
}

/** Joins tensors along one axis. */
const concat = kernelOp<AxisAttribute>({
  flops: () => 0,
  infer(inputs, { axis }) {
    const [first] = inputs;
    for (const input of inputs) {
      if (input.dtype !== first.dtype || !sameBut(axis, input.shape, first.shape)) {
        throw new RangeError(
          `concat: ${inputs.map((x) => `${x.dtype}${formatShape(x.shape)}`).join(', ')} must agree in dtype and in every axis but ${axis}`,
        );
      }
    }
    const total = inputs.reduce((sum, input) => sum + input.shape[axis], 0);
    return [{ dtype: first.dtype, shape: first.shape.map((extent, d) => (d === axis ? total : extent)) }];
  },
  run(device, inputs, [out], { axis }) {
    const strides = contiguousStrides(out.shape);
    // GPUs alone take several at once: what is saved is dispatches, and on CPU drivers these parts took three to five times as long.
    const together = !device.adapter.software && sizeOf(out.shape.slice(0, axis)) === 1;
    let waiting: Tensor[] = [];
    let waitingAt = 0;
    const write = () => {
      if (waiting.length === 1) writePart(device, waiting[0], out, waitingAt, strides);
      else if (waiting.length > 1) writeParts(device, waiting, out, waitingAt);
      waiting = [];
    };
    let at = 0;
    for (const input of inputs) {
      const offset = at * strides[axis];
      at += input.shape[axis];
      if (input.size === 0) continue;
      if (together && input.contiguous) {
        if (waiting.length === elementwise.PARTS) write();
        if (waiting.length === 0) waitingAt = offset;
        waiting.push(input);
      } else {
        write();
        writePart(device, input, out, offset, strides);
      }
    }
    write();
  },
});

/** The gradient of a slice: zeros of `shape` with the source written at start, start + step, … along `axis`. */
const unslice = kernelOp<AxisAttribute & { shape: readonly number[]; start: number; step: number }>({
  flops: () => 0,
  infer([source], { axis, shape, start, step }) {
    const end = start + Math.max(0, source.shape[axis] - 1) * step + 1;
    if (!sameBut(axis, source.shape, shape) || start < 0 || step < 1 || (source.size > 0 && end > shape[axis])) {
      throw new RangeError(
        `unslice: ${formatShape(source.shape)} does not fit into ${formatShape(shape)} along axis ${axis} from ${start} in steps of ${step}`,
      );
    }
    return [{ dtype: source.dtype, shape }];
  },
  run(device, [source], [out], { axis, start, step }) {
    fillBuffer(device, out, 0);
    const strides = contiguousStrides(out.shape);
    writePart(
      device,
      source,
      out,
      start * strides[axis],
      strides.map((stride, d) => (d === axis ? stride * step : stride)),
    );
  },
});

/** The elements of some axes in the opposite order. */
const flip = kernelOp<{ axes: readonly number[] }>({
  infer([x]) {
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  run(device, [x], [out], { axes }) {
    // Strides below zero: kernels add them up modulo 2^32. No such view leaves this function.
    const strides = x.strides.map((stride, d) => (axes.includes(d) ? -stride : stride));
    const offset = axes.reduce((sum, d) => sum + (x.shape[d] - 1) * x.strides[d], x.offset);
    const view = new Tensor(x.storage, x.dtype, x.shape, strides, offset, false);
    try {
      runMap(device, [view], out, 'return a;');
    } finally {
      view.dispose();
    }
  },
});

export const differentiableGathers = { indexSelect, indexAdd, gather, scatterAdd, concat, unslice, flip };

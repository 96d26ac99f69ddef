import { scan as kernels } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import { isFloat, wgslType, workingDtype } from '../dtype.ts';
import { gridFor } from '../kernel/grid.ts';
import { formatShape, type Shape, sameShape, sizeOf } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { commonDtype, expectFloat } from './arguments.ts';
import { withDense } from './dense.ts';
import { kernelOp } from './op.ts';

/** Attributes of scans. */
export interface ScanAttributes {
  /** Non-negative; the caller has normalised it. */
  axis: number;
  /** From the end of the axis to its start. */
  reverse: boolean;
}

type Three = readonly [outer: number, length: number, inner: number];

const around = (shape: Shape, axis: number): Three => [
  sizeOf(shape.slice(0, axis)),
  shape[axis],
  sizeOf(shape.slice(axis + 1)),
];

/** Sums of more terms one after the other would lose digits. */
const LONGEST_CHUNK = 1024;
const SHORTEST_CHUNK = 32;
const THREADS_WANTED = 8192;

/** Scans dense [outer, length, inner] along the middle: sums, or h = factor h + x where factors are given. */
function scanThree(
  device: Device,
  x: Tensor,
  factors: Tensor | undefined,
  [outer, length, inner]: Three,
  out: Tensor,
  reverse: boolean,
): void {
  const wanted = Math.ceil((length * outer * inner) / THREADS_WANTED);
  const chunk = Math.min(LONGEST_CHUNK, Math.max(SHORTEST_CHUNK, wanted));
  const chunks = Math.ceil(length / chunk);
  const working = workingDtype(out.dtype);
  const constants = {
    Scalar: `alias Scalar = ${wgslType[working]};`,
    Element: `alias Element = ${wgslType[x.dtype]};`,
    FactorElement: `alias FactorElement = ${wgslType[(factors ?? x).dtype]};`,
    RECURRENT: `const RECURRENT = ${factors !== undefined};`,
  };
  const parameters = {
    outer,
    length,
    inner,
    chunk,
    chunks,
    reverse: Number(reverse),
    xOffset: x.offset,
    factorOffset: factors?.offset ?? 0,
  };
  const grid = gridFor(outer * chunks * inner);
  const read = [x.storage.buffer, (factors ?? x).storage.buffer];
  const temporaries: Tensor[] = [];
  try {
    let carried = x;
    if (chunks > 1) {
      const count = outer * chunks * inner;
      const totals = Tensor.allocate(device, working, [factors ? 2 : 1, count], 'totals of chunks', false);
      temporaries.push(totals);
      device.recorder.dispatch({
        kernel: kernels.scanChunks,
        constants,
        buffers: [...read, totals.storage.buffer],
        parameters,
        grid,
      });
      carried = Tensor.allocate(device, working, [count], 'scan of chunks', false);
      temporaries.push(carried);
      const products = factors && new Tensor(totals.storage, working, [count], [1], count, false);
      if (products) temporaries.push(products);
      scanThree(device, totals, products, [outer, chunks, inner], carried, false);
    }
    device.recorder.dispatch({
      kernel: kernels.scanWrite,
      constants: {
        ...constants,
        CarriedElement: `alias CarriedElement = ${wgslType[carried.dtype]};`,
        OutElement: `alias OutElement = ${wgslType[out.dtype]};`,
      },
      buffers: [...read, carried.storage.buffer, out.storage.buffer],
      parameters,
      grid,
    });
  } finally {
    for (const temporary of temporaries) temporary.dispose();
  }
}

/** Sums of everything up to each element along one axis. */
const cumsum = kernelOp<ScanAttributes>({
  infer([x]) {
    if (x.dtype === 'bool') throw new TypeError("cumsum: bool has no cumsum; use .cast('i32')");
    return [{ dtype: x.dtype, shape: x.shape }];
  },
  run(device, inputs, [out], { axis, reverse }) {
    withDense(device, inputs, ([x]) => scanThree(device, x, undefined, around(x.shape, axis), out, reverse));
  },
});

/** factors and x of one shape -> h[t] = factors[t] h[t - 1] + x[t] along one axis, from h = 0. */
const linearRecurrence = kernelOp<ScanAttributes>({
  infer([factors, x]) {
    for (const [role, input] of [
      ['the factors', factors],
      ['the input', x],
    ] as const) {
      expectFloat('linearRecurrence', role, input);
    }
    if (!sameShape(factors.shape, x.shape)) {
      throw new RangeError(
        `linearRecurrence: factors ${formatShape(factors.shape)} and input ${formatShape(x.shape)} must have one shape`,
      );
    }
    const dtype = commonDtype([factors, x]);
    return [{ dtype: isFloat(dtype) ? dtype : 'f32', shape: x.shape }];
  },
  run(device, inputs, [out], { axis, reverse }) {
    withDense(device, inputs, ([factors, x]) => scanThree(device, x, factors, around(x.shape, axis), out, reverse));
  },
});

export const differentiableScans = { cumsum, linearRecurrence };

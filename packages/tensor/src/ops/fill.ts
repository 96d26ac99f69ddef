import { elementwise } from '@dawnchorus/kernels';
import type { Device } from '../device/device.ts';
import type { DType } from '../dtype.ts';
import { bitsOf, fromBits, isFloat, wgslType } from '../dtype.ts';
import { gridFor } from '../kernel/grid.ts';
import { checkShape } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { kernelOp } from './op.ts';

/** Sets every element of a contiguous tensor at offset 0. */
export function fillBuffer(device: Device, out: Tensor, value: number): void {
  device.recorder.dispatch({
    kernel: elementwise.fill,
    constants: { Element: `alias Element = ${wgslType[out.dtype]};`, fromBits: fromBits(out.dtype) },
    buffers: [out.storage.buffer],
    parameters: { size: out.size, bits: bitsOf(value, out.dtype) },
    grid: gridFor(out.size),
  });
}

export const full = kernelOp<{ shape: readonly number[]; value: number; dtype: DType; device: Device }>({
  flops: () => 0,
  infer(_inputs, { shape, dtype }) {
    checkShape(shape, 'full');
    return [{ dtype, shape }];
  },
  run(device, _inputs, [out], { value }) {
    fillBuffer(device, out, value);
  },
});

/** Attributes of `arange`. */
export interface ArangeAttributes {
  start: number;
  step: number;
  count: number;
  dtype: DType;
  device: Device;
}

/** start, start + step, …: so many numbers in equal steps. */
export const arange = kernelOp<ArangeAttributes>({
  infer(_inputs, { count, dtype }) {
    if (dtype === 'bool') throw new TypeError("arange: booleans have no steps; use 'i32'");
    checkShape([count], 'arange');
    return [{ dtype, shape: [count] }];
  },
  run(device, _inputs, [out], { start, step, count, dtype }) {
    const float = isFloat(dtype);
    const bits = (value: number) => bitsOf(value, float ? 'f32' : dtype);
    device.recorder.dispatch({
      kernel: elementwise.arange,
      constants: { Element: `alias Element = ${wgslType[dtype]};`, FLOAT: `const FLOAT = ${float};` },
      buffers: [out.storage.buffer],
      parameters: { size: count, start: bits(start), step: bits(step), last: bits(start + (count - 1) * step) },
      grid: gridFor(count),
    });
  },
});

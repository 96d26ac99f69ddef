import type { Device } from '../device/device.ts';
import { bitsOf, type DType } from '../dtype.ts';
import { outsideTrace } from '../graph/tracing.ts';
import type { Storage } from '../memory/storage.ts';
import { formatShape } from '../shape.ts';
import { Tensor } from '../tensor.ts';
import { fillBuffer } from './fill.ts';

/** A tensor, or a number that stands for a scalar tensor of the other operand's dtype. */
export type Operand = Tensor | number;

/** `dim`: one axis, several, or all of them by default; negative ones count from the end. */
export interface AxisOptions {
  dim?: number | readonly number[];
  keepdim?: boolean;
}

const CACHED_SCALARS = 512;
const scalars = new WeakMap<Device, Map<string, Tensor>>();
const scalarValues = new WeakMap<Storage, number>();

/** The number that a storage made by `scalar` holds. */
export function scalarValue(storage: Storage): number | undefined {
  return scalarValues.get(storage);
}

/** A scalar tensor, kept for the next time: constants come back every step. */
export function scalar(device: Device, value: number, dtype: DType): Tensor {
  let cache = scalars.get(device);
  if (!cache) scalars.set(device, (cache = new Map()));
  const key = `${dtype}${bitsOf(value, dtype)}`;
  let tensor = cache.get(key);
  if (tensor) {
    cache.delete(key);
  } else {
    if (cache.size >= CACHED_SCALARS) {
      // Only the one that was not asked for the longest: others may be operands of this very call.
      const [oldest, unused] = cache.entries().next().value as [string, Tensor];
      unused.dispose();
      cache.delete(oldest);
    }
    tensor = outsideTrace(() => {
      const constant = Tensor.allocate(device, dtype, [], 'scalar', false);
      fillBuffer(device, constant, value);
      return constant;
    });
    scalarValues.set(tensor.storage, value);
  }
  cache.set(key, tensor);
  return tensor;
}

/** Turns the numbers among operands into scalar tensors. At least one must be a tensor. */
export function operands(operation: string, ...values: Operand[]): Tensor[] {
  const tensors = values.filter((value): value is Tensor => value instanceof Tensor);
  if (tensors.length === 0) throw new TypeError(`${operation}: at least one operand must be a tensor`);
  const bad = values.find((value) => !(value instanceof Tensor) && typeof value !== 'number');
  if (bad !== undefined) throw new TypeError(`${operation}: operands are tensors or numbers, not ${typeof bad}`);
  const { device } = tensors[0];
  const whole = tensors.find((tensor) => tensor.dtype !== 'bool' && tensor.dtype !== 'f32');
  const someFloat = tensors.some((tensor) => tensor.dtype === 'f32');
  return values.map((value) => {
    if (value instanceof Tensor) return value;
    const integer = Number.isInteger(value) && !someFloat;
    return scalar(device, value, integer ? (whole?.dtype ?? 'i32') : 'f32');
  });
}

export function expectDtype(operation: string, role: string, tensor: Tensor, ...dtypes: DType[]): void {
  if (!dtypes.includes(tensor.dtype)) {
    throw new TypeError(
      `${operation}: ${role} is ${tensor.dtype}${formatShape(tensor.shape)}; expected ${dtypes.join(' or ')}; use .cast('${dtypes[0]}')`,
    );
  }
}

export function expectRank(operation: string, role: string, tensor: Tensor, rank: number, layout: string): void {
  if (tensor.rank !== rank) {
    throw new RangeError(`${operation}: ${role} is ${formatShape(tensor.shape)}; expected ${layout}`);
  }
}

import { apply } from '../apply.ts';
import { getDefaultDevice } from '../device/device.ts';
import { type DType, isWhole } from '../dtype.ts';
import { checkCreation, checkNumber, checkOptions, checkTensors, checkWhole, fits } from '../ops/arguments.ts';
import { checkShape, formatShape, type Shape, valueText } from '../shape.ts';
import type { ShapeOf } from '../shape-types.ts';
import { type CreationOptions, full, type Tensor } from '../tensor.ts';
import { cast, eq, ge } from './elementwise.ts';
import { expand, reshape, unsqueeze } from './views.ts';

function steps(start: number, step: number, count: number, dtype: DType, options: CreationOptions): Tensor {
  const device = options.device ?? getDefaultDevice();
  const wrong = count > 0 && [start, start + (count - 1) * step].find((value) => isWhole(dtype) && !fits(value, dtype));
  if (typeof wrong === 'number') {
    throw new RangeError(
      `arange: ${wrong} does not fit ${dtype}; use { dtype: '${wrong > 0 && dtype === 'i32' ? 'u32' : 'f32'}' }`,
    );
  }
  return apply('arange', [], { start, step, count, dtype, device })[0];
}

/**
 * start, start + step, … up to but not including end; from 0 where only an end is given. The dtype is i32 where all three
 * are whole, else f32.
 *
 * @throws RangeError when the steps never get to the end, TypeError for booleans.
 */
export function arange(end: number, options?: CreationOptions): Tensor;
export function arange(start: number, end: number, step?: number, options?: CreationOptions): Tensor;
export function arange(first: number, second?: number | CreationOptions, step = 1, last?: CreationOptions): Tensor {
  const [start, end] = typeof second === 'number' ? [first, second] : [0, first];
  const options = last ?? (typeof second === 'number' ? undefined : second) ?? {};
  checkCreation('arange', options);
  checkNumber('arange', 'start', start);
  checkNumber('arange', 'end', end, 'a number', () => true);
  checkNumber('arange', 'step', step, 'a number', () => true);
  const count = Math.max(0, Math.ceil((end - start) / step));
  if (!Number.isFinite(count)) throw new RangeError(`arange: from ${start} to ${end} in steps of ${step} never ends`);
  const whole = Number.isInteger(start) && Number.isInteger(end) && Number.isInteger(step);
  return steps(start, step, count, options.dtype ?? (whole ? 'i32' : 'f32'), options);
}

/**
 * `count` numbers from start to end, both included, in equal steps; f32 unless the options say otherwise. Whole numbers
 * are cut towards zero.
 *
 * @throws RangeError when the count is no whole number from 0.
 */
export function linspace(start: number, end: number, count: number, options: CreationOptions = {}): Tensor {
  checkCreation('linspace', options);
  checkNumber('linspace', 'start', start);
  checkNumber('linspace', 'end', end);
  if (!Number.isInteger(count) || count < 0) throw new RangeError(`linspace: a count of ${count} is no whole number`);
  const dtype = options.dtype ?? 'f32';
  const values = steps(
    start,
    count > 1 ? (end - start) / (count - 1) : 0,
    count,
    dtype === 'f16' ? dtype : 'f32',
    options,
  );
  return cast(values, dtype);
}

/** [rows, columns] with ones on the diagonal; square by default. */
export function eye(rows: number, columns = rows, options: CreationOptions = {}): Tensor {
  checkCreation('eye', options);
  checkShape([rows, columns], 'eye');
  const row = unsqueeze(arange(rows, { device: options.device }), 1);
  return cast(eq(row, arange(columns, { device: options.device })), options.dtype ?? 'f32');
}

/**
 * A mask [rows, columns]: true on and below the diagonal, which `diagonal` moves up. It is what a causal layer attends to.
 */
export function tri(
  rows: number,
  columns = rows,
  options: { diagonal?: number; device?: CreationOptions['device'] } = {},
): Tensor {
  checkCreation('tri', options, ['diagonal', 'device']);
  const { diagonal = 0, device } = options;
  checkWhole('tri', 'diagonal', diagonal);
  checkShape([rows, columns], 'tri');
  const row = unsqueeze(arange(diagonal, diagonal + rows, 1, { device }), 1);
  return ge(row, arange(columns, { device }));
}

function alike<T extends Tensor>(name: string, x: T, value: number, options?: { dtype?: DType }): Tensor<ShapeOf<T>> {
  checkOptions(name, options, ['dtype']);
  return full(x.shape, value, { dtype: options?.dtype ?? x.dtype, device: x.device });
}

/** A tensor of the shape, dtype and device of x, with every element equal to `value`. */
export function fullLike<T extends Tensor>(x: T, value: number, options?: { dtype?: DType }): Tensor<ShapeOf<T>> {
  return alike('fullLike', x, value, options);
}

/** Zeros of the shape, dtype and device of x. */
export function zerosLike<T extends Tensor>(x: T, options?: { dtype?: DType }): Tensor<ShapeOf<T>> {
  return alike('zerosLike', x, 0, options);
}

/** Ones of the shape, dtype and device of x. */
export function onesLike<T extends Tensor>(x: T, options?: { dtype?: DType }): Tensor<ShapeOf<T>> {
  return alike('onesLike', x, 1, options);
}

/**
 * x [...] of whole numbers -> [..., classes]: 1 where the class is the number, 0 elsewhere. A number outside 0..classes-1
 * gives zeros. f32 unless the options say otherwise.
 */
export function oneHot(x: Tensor, options: { classes: number; dtype?: DType }): Tensor {
  checkOptions('oneHot', options, ['classes', 'dtype'], ['classes']);
  const { classes, dtype = 'f32' } = options;
  if (x.dtype !== 'i32' && x.dtype !== 'u32') {
    throw new TypeError(`oneHot: the classes are ${x.dtype}${formatShape(x.shape)}; use .cast('i32')`);
  }
  checkShape([classes], 'oneHot');
  return cast(eq(unsqueeze(x, -1), arange(0, classes, 1, { dtype: x.dtype, device: x.device })), dtype);
}

/**
 * Vectors [n], [m], … -> as many views [n, m, …], each of which varies along its own axis. `indexing` 'xy' swaps the first
 * two axes, as NumPy does by default.
 */
export function meshgrid(vectors: readonly Tensor[], options: { indexing?: 'ij' | 'xy' } = {}): Tensor[] {
  checkTensors('meshgrid', vectors, 'write meshgrid([a, b])');
  checkOptions('meshgrid', options, ['indexing']);
  const { indexing = 'ij' } = options;
  if (indexing !== 'ij' && indexing !== 'xy') {
    throw new RangeError(`meshgrid: indexing is ${valueText(indexing)}; expected 'ij' or 'xy'`);
  }
  const wrong = vectors.find((vector) => vector.rank !== 1);
  if (wrong) throw new RangeError(`meshgrid: ${formatShape(wrong.shape)} is no vector`);
  const axes = vectors.map((_, i) => (indexing === 'xy' && i < 2 && vectors.length > 1 ? 1 - i : i));
  const shape: number[] = [];
  vectors.forEach((vector, i) => {
    shape[axes[i]] = vector.size;
  });
  return vectors.map((vector, i) => {
    const own: Shape = shape.map((extent, d) => (d === axes[i] ? extent : 1));
    return expand(reshape(vector, own), shape);
  });
}

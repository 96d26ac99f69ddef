import { Device } from '../device/device.ts';
import { bitsOf, checkDtype, type DType, isFloat, promote } from '../dtype.ts';
import { outsideTrace } from '../graph/tracing.ts';
import type { Storage } from '../memory/storage.ts';
import { checkIsArray, formatShape, valueText } from '../shape.ts';
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
  cache.delete(key);
  // The GPU had no memory for it.
  if (tensor?.storage.buffer.broken) {
    tensor.dispose();
    tensor = undefined;
  }
  if (!tensor) {
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

/** Questions, for which a number means what the other operand's dtype makes of it: half(0.1) equals 0.1. */
const comparisons = new Set(['eq', 'ne', 'lt', 'le', 'gt', 'ge']);

/** Operations that take whole numbers for real ones, or ask no more of them than whether they are 0. */
const ofReals = new Set(['div', 'pow', 'atan2', 'leakyRelu', 'logicalAnd', 'logicalOr', 'logicalXor']);

/** Whether a dtype of whole numbers holds a value, as a whole number or cut to one. */
export function fits(value: number, dtype: 'i32' | 'u32'): boolean {
  const [lowest, highest] = dtype === 'u32' ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
  return Math.trunc(value) >= lowest && Math.trunc(value) <= highest;
}

/** A whole number beside tensors of whole numbers. One too large for their dtype would be another number in it. */
function wholeScalar(operation: string, device: Device, value: number, dtype: 'i32' | 'u32'): Tensor {
  const bits = operation.startsWith('bitwise') && value >= -(2 ** 31) && value < 2 ** 32;
  if (bits || fits(value, dtype)) return scalar(device, value, dtype);
  // Larger, or smaller, than everything.
  if (comparisons.has(operation)) return scalar(device, Math.sign(value) * Number.POSITIVE_INFINITY, 'f32');
  if (ofReals.has(operation)) return scalar(device, value, 'f32');
  throw new RangeError(`${operation}: ${value} does not fit ${dtype}; use .cast('f32') on the tensor beside it`);
}

/**
 * Turns the numbers among operands into scalar tensors. At least one must be a tensor. Beside f16 a number stays f32, so
 * that 1e-5 or 1e5 loses nothing in a product that is computed in f32; see `commonDtype`.
 */
export function operands(operation: string, ...values: Operand[]): Tensor[] {
  const tensors = values.filter((value): value is Tensor => value instanceof Tensor);
  if (tensors.length === 0) throw new TypeError(`${operation}: at least one operand must be a tensor`);
  const bad = values.findIndex((value) => !(value instanceof Tensor) && typeof value !== 'number');
  if (bad >= 0) throw new TypeError(`${operation}: operands are tensors or numbers, not ${typeof values[bad]}`);
  const disposed = values.findIndex((value) => value instanceof Tensor && value.disposed);
  if (disposed >= 0) throw (values[disposed] as Tensor).disposedError(operation, disposed);
  const { device } = tensors[0];
  device.assertUsable(operation);
  const whole = tensors.find((tensor) => tensor.dtype !== 'bool' && !isFloat(tensor.dtype));
  const someFloat = tensors.some((tensor) => isFloat(tensor.dtype));
  const float = comparisons.has(operation) && someFloat ? tensors.map((tensor) => tensor.dtype).reduce(promote) : 'f32';
  return values.map((value) => {
    if (value instanceof Tensor) return value;
    if (!Number.isInteger(value) || someFloat) return scalar(device, value, float);
    return wholeScalar(operation, device, value, whole?.dtype === 'u32' ? 'u32' : 'i32');
  });
}

/**
 * The dtype that operands meet in. Numbers given as operands do not count beside tensors of f16: they adapt, where a
 * tensor of f32 would make the result f32.
 */
export function commonDtype(inputs: readonly Tensor[]): DType {
  const given = inputs.filter((input) => scalarValue(input.storage) === undefined).map((input) => input.dtype);
  if (given.includes('f16') && !given.includes('f32')) return 'f16';
  return inputs.map((input) => input.dtype).reduce(promote);
}

/** For functions that may return x itself, and would pass on a disposed handle. */
export function checkAlive(operation: string, x: Tensor): void {
  if (x.disposed) throw x.disposedError(operation, 0);
}

const noNames: readonly string[] = [];
const creationOptions = ['dtype', 'device'];

/**
 * Checks an options object against the names there are: others, NumPy's `axis` or a number in its place, would be passed
 * over unheard.
 */
export function checkOptions(
  operation: string,
  options: object | undefined,
  known: readonly string[],
  required: readonly string[] = noNames,
): void {
  if (options === undefined) {
    if (required.length > 0)
      throw new TypeError(`${operation}: ${expectedOptions(known)}; '${required[0]}' must be given`);
    return;
  }
  if (typeof options !== 'object' || options === null || Array.isArray(options) || options instanceof Tensor) {
    const names = options instanceof Tensor && known.includes('bias') ? 'bias' : known[0];
    const remedy = names ? `: write { ${names}: ${options} }` : '';
    throw new TypeError(`${operation}: ${expectedOptions(known)}, not ${options}${remedy}`);
  }
  for (const key of Object.keys(options)) {
    if (!known.includes(key)) throw new TypeError(`${operation}: ${expectedOptions(known)}; there is no '${key}'`);
  }
  for (const key of required) {
    if ((options as Record<string, unknown>)[key] !== undefined) continue;
    throw new TypeError(`${operation}: ${expectedOptions(known)}; '${key}' must be given`);
  }
}

const expectedOptions = (known: readonly string[]): string =>
  known.length > 0 ? `the options are { ${known.join(', ')} }` : 'there are no options';

/** That an option, where it is given, is true or false: of other values, 'false' too, most count as true. */
export function checkBoolean(operation: string, name: string, value: unknown): void {
  if (value === undefined || typeof value === 'boolean') return;
  throw new TypeError(`${operation}: ${name} is ${valueText(value)}; expected true or false`);
}

/** That a setting is a number, and one of those that `fits` takes: text would count as one in places. */
export function checkNumber(
  operation: string,
  name: string,
  value: unknown,
  expected = 'a finite number',
  fits: (value: number) => boolean = Number.isFinite,
): void {
  if (typeof value !== 'number')
    throw new TypeError(`${operation}: ${name} is ${valueText(value)}; expected ${expected}`);
  if (!fits(value)) throw new RangeError(`${operation}: ${name} is ${value}; expected ${expected}`);
}

/** That a setting is a whole number, not below `least`. */
export function checkWhole(operation: string, name: string, value: unknown, least?: number): void {
  const expected = least === undefined ? 'a whole number' : `a whole number from ${least}`;
  checkNumber(operation, name, value, expected, (own) => Number.isInteger(own) && own >= (least ?? own));
}

/** That the term which keeps norms from dividing by zero is one. */
export function checkEps(operation: string, eps: number): void {
  checkNumber(operation, 'eps', eps, 'a finite number from 0', (value) => value >= 0 && Number.isFinite(value));
}

/** That a probability leaves something. */
export function checkProbability(operation: string, name: string, value: number): void {
  checkNumber(operation, name, value, 'a probability in [0, 1)', (p) => p >= 0 && p < 1);
}

/** That seed and stream are what the generator tells apart: others, of fractions, would give the draws of a neighbour. */
export function checkStream(operation: string, { seed, stream }: { seed: number; stream: number }): void {
  if (isStreamName(seed) && isStreamName(stream)) return;
  const [name, value] = isStreamName(seed) ? ['stream', stream] : ['seed', seed];
  checkNumber(operation, name, value, 'a whole number in [0, 2^53)', () => false);
}

const isStreamName = (value: number): boolean => Number.isSafeInteger(value) && value >= 0;

/** Checks the options of a reduction. */
export function checkAxisOptions(operation: string, options: AxisOptions | undefined, known: readonly string[]): void {
  checkOptions(operation, options, known);
  checkBoolean(operation, 'keepdim', options?.keepdim);
}

/** Checks the options of what makes tensors. */
export function checkCreation(
  operation: string,
  options: { dtype?: DType; device?: Device },
  known: readonly string[] = creationOptions,
  required?: readonly string[],
): void {
  checkOptions(operation, options, known, required);
  if (options.dtype !== undefined) checkDtype(operation, options.dtype);
  checkDevice(operation, options.device);
}

/** That a device, where one is given, is one. */
export function checkDevice(operation: string, device: unknown): void {
  if (device === undefined || device instanceof Device) return;
  throw new TypeError(`${operation}: the device is ${valueText(device)}; expected one that openDevice opened`);
}

/** Checks the tensors that a function takes in an array. */
export function checkTensors(operation: string, tensors: readonly Tensor[], remedy?: string): void {
  checkIsArray(operation, tensors, remedy);
  tensors.forEach((x, i) => {
    if (!(x instanceof Tensor)) throw new TypeError(`${operation}: tensor ${i} is ${valueText(x)}; expected a tensor`);
    if (x.disposed) throw x.disposedError(operation, i);
  });
}

/** Any of the dtypes that gradients flow through. */
export function expectFloat(operation: string, role: string, tensor: Tensor): void {
  expectDtype(operation, role, tensor, 'f32', 'f16');
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

import { applyFor } from './apply.ts';
import type { TensorRecord } from './device/debug.ts';
import { type Device, getDefaultDevice } from './device/device.ts';
import { checkReadable } from './device/host-bytes.ts';
import { bytesPerElement, type DType, isWhole, type TypedArrayOf } from './dtype.ts';
import * as functions from './functions/index.ts';
import { currentTrace, noteNumbers, outsideTrace } from './graph/tracing.ts';
import { float16FromNumbers, float16ToFloat32 } from './half.ts';
import { forgetInScope, registerInScope } from './memory/scope.ts';
import { Storage } from './memory/storage.ts';
import { isVirtual } from './memory/virtual.ts';
import { Operations } from './methods.ts';
import { checkCreation, fits } from './ops/arguments.ts';
import { format } from './print.ts';
import { checkShape, contiguousStrides, formatShape, isContiguous, type Shape, sizeOf } from './shape.ts';
import type { Dynamic, Literal, Pattern } from './shape-types.ts';

/** Finds tensors that nobody disposed; their memory is freed when the garbage collector does. */
const leaks = new FinalizationRegistry<{ collected(): void }>((held) => held.collected());

let nextId = 1;

/** Names the place of the shape in the type of a tensor; nothing is there at run time. */
export declare const shapeOf: unique symbol;

/**
 * An n-dimensional array on the GPU: a shape and strides over a shared storage. Views (reshape, transpose, slice, expand)
 * share the storage of what they view. Operations do not change their inputs, and return new tensors; where there is nothing to
 * do (a reshape to the same shape, a cast to the same dtype, padding by 0) they return the very tensor that they were given, and
 * `retain()` makes a handle of its own.
 *
 * Memory goes back when every tensor that views it is disposed: by `dispose()`, by `using x = …`, or by leaving the
 * `scope` that it was made in.
 *
 * Its type may say its shape: `Tensor<[8, 768]>`, `Tensor<[number, 768]>`. Plain `Tensor` is one of any shape, goes
 * wherever a known shape is asked for, and is checked when an operation is called; `assertShape` checks it at once.
 */
export class Tensor<S extends Shape = Dynamic> extends Operations {
  /** In types only: the shape, where the compiler knows it. */
  declare readonly [shapeOf]: S;
  /** Names the values: handles made by `retain` share it, views and everything else have their own. */
  readonly id: number;
  readonly shape: Shape;
  /** In elements, not bytes; 0 along a broadcast axis. */
  readonly strides: readonly number[];
  /** Index of the first element in the storage. */
  readonly offset: number;
  readonly dtype: DType;
  #storage: Storage | undefined;
  /** Of disposed tensors: whether they were made in a trace. */
  #traced = false;
  /** In debug mode alone. */
  readonly #record: TensorRecord | undefined;

  /** Not for users: make tensors by `tensor`, `zeros`, … and by operations. */
  constructor(
    storage: Storage,
    dtype: DType,
    shape: Shape,
    strides: readonly number[],
    offset: number,
    scoped = true,
    id = nextId++,
  ) {
    super();
    this.id = id;
    this.#storage = storage;
    this.dtype = dtype;
    this.shape = shape;
    this.strides = strides;
    this.offset = offset;
    storage.retain();
    this.#record = storage.device.debug?.opened(storage, `${dtype}${formatShape(shape)}`);
    leaks.register(this, this.#record ?? storage, this);
    if (scoped) registerInScope(this);
  }

  /** A new tensor with memory of its own, contents undefined. @throws TypeError for f16 where the adapter has none. */
  static allocate(device: Device, dtype: DType, shape: Shape, label: string, scoped = true): Tensor {
    if (dtype === 'f16' && !device.features.has('shader-f16')) {
      throw new TypeError(
        `${label}: f16 needs the GPU feature shader-f16, which ${device.adapter.name} does not have; use f32`,
      );
    }
    const storage = new Storage(device, Math.max(1, sizeOf(shape)) * bytesPerElement(dtype), label);
    return new Tensor(storage, dtype, shape, contiguousStrides(shape), 0, scoped);
  }

  get storage(): Storage {
    if (!this.#storage) throw this.disposedError();
    return this.#storage;
  }

  /** The error of using this tensor, now that it is disposed, in an operation as its input number `index`. */
  disposedError(operation?: string, index?: number): Error {
    const what = `tensor ${this.dtype}${formatShape(this.shape)}`;
    const which = index === undefined ? what : `input ${index}, ${what},`;
    if (this.#leakedFromTrace) {
      return new Error(
        `${operation ? `${operation}: ` : ''}${which} was made while a function was traced and has no elements outside; ` +
          'return it from the compiled function instead of keeping it',
      );
    }
    return new Error(
      `${operation ? `${operation}: ` : ''}${which} was used after it was disposed${this.#history()}; ` +
        'keep it by returning it from its scope, or by retain()',
    );
  }

  get #leakedFromTrace(): boolean {
    return this.#traced && !currentTrace();
  }

  /** Where a disposed tensor was made and disposed, as far as that is known. */
  #history(): string {
    if (this.#record) return ` at ${this.#record.disposedAt} (it was made at ${this.#record.site})`;
    return ' (openDevice({ debug: true }) tells where)';
  }

  get device(): Device {
    return this.storage.device;
  }

  get disposed(): boolean {
    return this.#storage === undefined;
  }

  get rank(): number {
    return this.shape.length;
  }

  get size(): number {
    return sizeOf(this.shape);
  }

  get contiguous(): boolean {
    return isContiguous(this.shape, this.strides);
  }

  /** Another handle on the same elements, which no scope disposes. */
  retain(): Tensor<S> {
    return new Tensor(this.storage, this.dtype, this.shape, this.strides, this.offset, false, this.id);
  }

  /**
   * Gives this handle's share of the memory back.
   *
   * @throws Error when that has been done before. `using` and scopes pass over what is disposed already.
   */
  dispose(): void {
    if (!this.#storage) {
      if (this.#leakedFromTrace) throw this.disposedError('dispose');
      throw new Error(
        `dispose: tensor ${this.dtype}${formatShape(this.shape)} was disposed before${this.#history()}; dispose each handle once, or leave it to \`using\` or a scope`,
      );
    }
    this[Symbol.dispose]();
  }

  /** As `dispose`, but does nothing where that has been done. */
  [Symbol.dispose](): void {
    if (!this.#storage) return;
    leaks.unregister(this);
    if (this.#record) this.device.debug?.closed(this.#record);
    forgetInScope(this);
    if (!this.#storage.device.closed) this.#storage.release();
    this.#traced = isVirtual(this.#storage.buffer);
    this.#storage = undefined;
  }

  /**
   * Gives a disposed handle its elements back, from another handle on them: for running a function again that holds on
   * to tensors which are gone by then. Whoever calls it disposes the handle again.
   */
  revive(from: Tensor): void {
    if (this.#storage) return;
    const { storage } = from;
    this.#storage = storage;
    storage.retain();
    if (this.#record) storage.device.debug?.reopened(this.#record, storage);
    leaks.register(this, this.#record ?? storage, this);
  }

  /** Points this tensor at elements elsewhere; for parameters that move into an arena. Shape and dtype stay. */
  rebind(storage: Storage, offset: number): void {
    storage.retain();
    this.storage.release();
    leaks.unregister(this);
    if (this.#record) this.#record.storage = storage;
    leaks.register(this, this.#record ?? storage, this);
    this.#storage = storage;
    Object.assign(this, { strides: contiguousStrides(this.shape), offset });
  }

  /**
   * Reads the elements back in row-major order: a Float32Array for f32 and f16, an Int32Array for i32, a Uint32Array for
   * u32 and a Uint8Array of 0 and 1 for bool. @throws any GPU error since the last readback; at the call, in a function
   * that is compiled or traced.
   */
  data(): Promise<TypedArrayOf[DType]> {
    return this.#read('data');
  }

  /** At the call, where promises are lost: a traced function cannot wait. */
  #read(caller: string): Promise<TypedArrayOf[DType]> {
    if (currentTrace()) {
      throw new Error(
        `${caller}: ${this} is read (by data, item, toArray or print) while a function is traced, where nothing has ` +
          'elements; return it from the function and read it outside',
      );
    }
    return this.#elements(caller);
  }

  async #elements(caller: string): Promise<TypedArrayOf[DType]> {
    if (this.disposed) throw this.disposedError(caller);
    this.device.assertUsable(caller);
    const dense: Tensor = functions.contiguous(this);
    try {
      const width = bytesPerElement(this.dtype);
      const bytes = await this.device.read(dense.storage, dense.offset * width, this.size * width);
      if (this.dtype === 'f32') return new Float32Array(bytes);
      if (this.dtype === 'f16') return float16ToFloat32(new Uint16Array(bytes));
      if (this.dtype === 'i32') return new Int32Array(bytes);
      if (this.dtype === 'u32') return new Uint32Array(bytes);
      return Uint8Array.from(new Uint32Array(bytes));
    } finally {
      // A scope may have closed meanwhile.
      if (dense !== this) dense[Symbol.dispose]();
    }
  }

  /** The value of a tensor with one element. */
  item(): Promise<number> {
    if (this.size === 1 || currentTrace()) return this.#read('item').then(([value]) => value);
    return Promise.reject(new RangeError(`item: ${formatShape(this.shape)} has ${this.size} elements, not one`));
  }

  /** The elements as nested arrays. */
  toArray(): Promise<NestedNumbers> {
    return this.#read('toArray').then((data) => {
      let at = 0;
      const build = (d: number): NestedNumbers =>
        d === this.rank ? data[at++] : Array.from({ length: this.shape[d] }, () => build(d + 1));
      return build(0);
    });
  }

  /** Text with the values, shortened where there are many. */
  print(): Promise<string> {
    return this.#read('print').then((data) => format(this, data));
  }

  override toString(): string {
    return `Tensor(${this.dtype}${formatShape(this.shape)}${this.disposed ? ', disposed' : ''})`;
  }
}

/** Numbers in arrays in arrays, as deep as a tensor has axes. */
export type NestedNumbers = number | NestedNumbers[];

/** Typed arrays that a tensor can be made of: all but those of 64-bit whole numbers. */
export type NumberArray =
  | Float32Array
  | Float64Array
  | Int32Array
  | Uint32Array
  | Int16Array
  | Uint16Array
  | Int8Array
  | Uint8Array
  | Uint8ClampedArray;

/** Whether a value is a tensor. */
export function isTensor(value: unknown): value is Tensor {
  return value instanceof Tensor;
}

/** Where a new tensor lives and what its elements are. */
export interface CreationOptions {
  dtype?: DType;
  device?: Device;
}

function shapeOfNested(values: NestedNumbers): number[] {
  const shape: number[] = [];
  for (let level = values; Array.isArray(level); level = level[0]) shape.push(level.length);
  return shape;
}

function flatten(values: NestedNumbers, shape: Shape, depth: number, out: number[]): void {
  if (!Array.isArray(values)) {
    if (typeof values !== 'number' && typeof values !== 'boolean') {
      const what = isTensor(values) ? `${values}` : values === null ? 'null' : typeof values;
      throw new TypeError(
        `tensor: expected numbers, nested arrays of them or a typed array, got ${what}${isTensor(values) ? '; join tensors by stack or concat' : ''}`,
      );
    }
    if (depth !== shape.length) throw new RangeError('tensor: the nested arrays have different depths');
    out.push(Number(values));
    return;
  }
  if (depth >= shape.length || values.length !== shape[depth]) {
    throw new RangeError(
      `tensor: the nested arrays are ragged: ${values.length} elements where ${shape[depth] ?? 'a number'} was expected`,
    );
  }
  for (const value of values) flatten(value, shape, depth + 1, out);
}

/** Fractions are cut; another number would come of one that does not fit. */
const inRange = (dtype: 'i32' | 'u32') => (value: number) => {
  if (fits(value, dtype)) return value;
  throw new RangeError(`tensor: ${value} does not fit ${dtype}`);
};

function typed(values: ArrayLike<number>, dtype: DType): Float32Array | Uint16Array | Int32Array | Uint32Array {
  if (dtype === 'f32') return values instanceof Float32Array ? values : Float32Array.from(values);
  if (dtype === 'f16') return float16FromNumbers(values);
  if (dtype === 'i32') return values instanceof Int32Array ? values : Int32Array.from(values, inRange(dtype));
  if (dtype === 'u32') return values instanceof Uint32Array ? values : Uint32Array.from(values, inRange(dtype));
  return Uint32Array.from(values, (value) => (value ? 1 : 0));
}

function dtypeOf(values: unknown): DType {
  if (values instanceof Int32Array) return 'i32';
  if (values instanceof Uint32Array) return 'u32';
  return 'f32';
}

/**
 * A tensor from numbers: nested arrays, or a flat (typed) array with a shape. The dtype is f32 unless given or told by
 * an Int32Array or Uint32Array; a Float64Array, or one of bytes, is f32 like the rest. For f16 each number goes to the nearest half, ties to even, and to infinity from 65520.
 *
 * @throws RangeError when the arrays are ragged or do not fill the shape, TypeError for f16 where the adapter has none.
 */
export function tensor<const S extends Shape = Dynamic>(
  values: NestedNumbers | NumberArray,
  options: CreationOptions & { shape?: S } = {},
): Tensor<Literal<S>> {
  checkCreation('tensor', options, ['dtype', 'device', 'shape']);
  const dtype = options.dtype ?? dtypeOf(values);
  let flat: ArrayLike<number>;
  let shape: Shape | undefined = options.shape;
  if (ArrayBuffer.isView(values)) {
    const wide: unknown = values;
    if (wide instanceof BigInt64Array || wide instanceof BigUint64Array) {
      throw new TypeError(
        `tensor: there are no whole numbers of 64 bits, as of a ${wide.constructor.name}; read files with { as: 'i32' }, or ` +
          'use Int32Array.from(values, Number)',
      );
    }
    checkReadable('tensor', values);
    flat = values;
    shape ??= [values.length];
  } else {
    const nested = shapeOfNested(values);
    const list: number[] = [];
    flatten(values, nested, 0, list);
    flat = list;
    shape ??= nested;
  }
  checkShape(shape, 'tensor');
  if (flat.length !== sizeOf(shape)) {
    throw new RangeError(
      `tensor: ${flat.length} values do not fill shape ${formatShape(shape)} of ${sizeOf(shape)} elements`,
    );
  }
  const device = options.device ?? getDefaultDevice();
  const data = typed(flat, dtype);
  const result = outsideTrace(() => Tensor.allocate(device, dtype, [...shape], `tensor ${formatShape(shape)}`));
  if (data.length > 0) device.write(result.storage, 0, data);
  noteNumbers(result, data, data === values);
  return result;
}

function filled(name: string, shape: Shape, value: number, options: CreationOptions): Tensor {
  checkCreation(name, options);
  const { dtype = 'f32', device = getDefaultDevice() } = options;
  checkShape(shape, name);
  if (typeof value !== 'number') throw new TypeError(`${name}: the value is ${typeof value}; expected a number`);
  if (isWhole(dtype) && !fits(value, dtype)) throw new RangeError(`${name}: ${value} does not fit ${dtype}`);
  return applyFor(name, 'full', [], { shape: [...shape], value, dtype, device })[0];
}

/** A tensor with every element equal to `value`. @throws RangeError where the dtype does not hold it. */
export function full<const S extends Shape>(
  shape: S,
  value: number,
  options: CreationOptions = {},
): Tensor<Literal<S>> {
  return filled('full', shape, value, options);
}

/** Zeros. */
export function zeros<const S extends Shape>(shape: S, options: CreationOptions = {}): Tensor<Literal<S>> {
  return filled('zeros', shape, 0, options);
}

/** Ones. */
export function ones<const S extends Shape>(shape: S, options: CreationOptions = {}): Tensor<Literal<S>> {
  return filled('ones', shape, 1, options);
}

/**
 * Checks the shape of a tensor and tells the compiler: `assertShape(x, [null, 768])` makes x a `Tensor<[number, 768]>`
 * from there on. null stands for any extent.
 *
 * @throws RangeError when the rank or an extent differs, with both shapes.
 */
export function assertShape<const P extends readonly (number | null)[]>(
  x: Tensor,
  shape: P,
): asserts x is Tensor<Pattern<P>> {
  if (x.rank === shape.length && shape.every((extent, d) => extent === null || extent === x.shape[d])) return;
  throw new RangeError(
    `assertShape: the tensor is ${formatShape(x.shape)}; expected [${shape.map((extent) => extent ?? 'any').join(', ')}]`,
  );
}

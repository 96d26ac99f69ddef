/** Arrays and numbers of NumPy in a pickle. Source: numpy/_core/multiarray.py and numeric.py */
import { type ElementArray, type ElementType, elementCount, elementsOf, elementTypes, isShape } from '../elements.ts';
import { describe, type Fail } from '../error.ts';
import { columnMajor, gather } from '../layout.ts';
import { npyTypes } from '../npyHeader.ts';
import { PickledObject } from './pickle.ts';
import type { Budget } from './python.ts';

/** An array of NumPy in a pickle. */
export class PickledArray {
  /** As NumPy writes it, `<f4`; little-endian where `data` are numbers. */
  dtype = '';
  shape: readonly number[] = [];
  /** Elements in C order; of dtypes that are not read (text, complex numbers) their bytes, of objects a list. */
  data: ElementArray | readonly unknown[] = [];
}

/** The element type of a dtype, undefined if it is none of numbers or its pickle is no dtype's. */
function typeOf(dtype: unknown, fail: Fail): { name: string; type: ElementType | undefined; bigEndian: boolean } {
  const kind = dtype instanceof PickledObject && dtype.name === 'numpy.dtype' ? dtype.args[0] : undefined;
  if (typeof kind !== 'string') return fail(`it makes an array of the dtype ${describe(dtype)}`);
  const state = (dtype as PickledObject).state;
  const order = Array.isArray(state) && typeof state[1] === 'string' ? state[1] : '<';
  const name = [`<${kind}`, `|${kind}`].find((known) => Object.hasOwn(npyTypes, known));
  const type = name === undefined ? undefined : npyTypes[name as keyof typeof npyTypes];
  return { name: name ?? `${order}${kind}`.slice(0, 80), type, bigEndian: order === '>' };
}

export function numpyGlobals(
  budget: Budget,
  fail: Fail,
): {
  makers: Record<string, (args: readonly unknown[]) => unknown>;
  build(target: unknown, state: unknown): boolean;
} {
  const set = (array: PickledArray, shape: unknown, dtype: unknown, fortran: boolean, raw: unknown): PickledArray => {
    const { name, type, bigEndian } = typeOf(dtype, fail);
    if (!isShape(shape)) return fail(`it makes an array of shape ${describe(shape)}`);
    const count = elementCount(shape, (problem) => fail(`an array ${problem}`));
    array.dtype = name;
    array.shape = shape;
    if (type === undefined) {
      if (!(raw instanceof Uint8Array) && !Array.isArray(raw)) return fail(`it makes an array of ${describe(raw)}`);
      array.data = raw;
      return array;
    }
    if (!(raw instanceof Uint8Array) || raw.length !== count * elementTypes[type].bytes) {
      return fail(`it makes an array of shape [${shape.slice(0, 8)}] and dtype ${name} of ${describe(raw)}`);
    }
    budget.bytes(raw.length);
    const stored = elementsOf(type, raw, bigEndian);
    array.data = stored;
    if (fortran && shape.length > 1 && count > 0) {
      budget.bytes(raw.length);
      array.data = stored.slice();
      gather(stored, array.data, { shape, strides: columnMajor(shape) });
    }
    return array;
  };
  /** A number, as pickles have theirs, or what is said of it. */
  const scalar = ([dtype, raw]: readonly unknown[]): unknown => {
    const { type, bigEndian } = typeOf(dtype, fail);
    if (type === undefined || !(raw instanceof Uint8Array)) return new PickledObject('numpy.scalar', [dtype, raw]);
    if (raw.length !== elementTypes[type].bytes) return fail(`it makes a number of ${describe(raw)}`);
    const [value] = elementsOf(type, raw, bigEndian);
    if (type === 'BOOL') return value !== 0;
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  };
  return {
    makers: {
      'numpy._core.multiarray.scalar': scalar,
      // Its arguments are the class, and a shape and dtype that the state replaces.
      'numpy._core.multiarray._reconstruct': ([type]) =>
        type === 'numpy.ndarray' ? new PickledArray() : fail(`it makes an array of class ${describe(type)}`),
      'numpy._core.numeric._frombuffer': ([raw, dtype, shape, order]) =>
        set(new PickledArray(), shape, dtype, order === 'F', raw),
    },
    build: (target, state) => {
      if (!(target instanceof PickledArray)) return false;
      const [, shape, dtype, fortran, raw] = Array.isArray(state) ? state : [];
      set(target, shape, dtype, fortran === true, raw);
      return true;
    },
  };
}

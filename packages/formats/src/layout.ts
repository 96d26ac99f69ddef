/** Where the elements of an array lie: in C order, in Fortran order, or as a view into something larger. */
import type { Bytes } from './bytes.ts';
import {
  allocateElements,
  type Conversion,
  convertElements,
  type ElementArray,
  type ElementType,
  elementCount,
  elementTypes,
  isConversion,
  readElements,
} from './elements.ts';
import type { Fail } from './error.ts';

/** How to read one tensor. */
export type ReadOptions<As extends Conversion = Conversion> = {
  /**
   * What to convert elements to. f32 and f64 round to nearest; i32 and u32 take whole numbers in their range and refuse
   * anything else by its value and index. Without it I64 comes as BigInt64Array, halves as Float32Array, and everything
   * else as it is.
   */
  as?: As;
  /** First row and the one behind the last, along the first axis. Only these are read. */
  rows?: readonly [begin: number, end: number];
};

/** An array in bytes: its element [i, j, …] is number `start + i * strides[0] + j * strides[1] + …` from `begin` on. */
export type Layout = {
  type: ElementType;
  bigEndian?: boolean;
  /** In bytes. */
  begin: number;
  shape: readonly number[];
  strides: readonly number[];
  start: number;
};

export function rowMajor(shape: readonly number[]): number[] {
  const strides = [...shape];
  for (let axis = shape.length - 1, stride = 1; axis >= 0; stride *= shape[axis--]) strides[axis] = stride;
  return strides;
}

export function columnMajor(shape: readonly number[]): number[] {
  return rowMajor([...shape].reverse()).reverse();
}

/**
 * Reads an array, or some of its rows, in C order. Of one that does not lie so, all elements between its first and its
 * last are read and kept until they are put in order.
 *
 * @param fail - told what is wrong with the options, or which element the conversion cannot hold.
 */
export async function readLayout(
  bytes: Bytes,
  whole: Layout,
  { as, rows }: ReadOptions,
  fail: Fail,
): Promise<{ shape: number[]; data: ElementArray }> {
  if (!isConversion(as)) fail(`cannot be converted to ${JSON.stringify(as)}; expected f32, f64, i32 or u32`);
  const layout = narrow(whole, rows, fail);
  const { type, begin, start } = layout;
  const shape = [...layout.shape];
  const count = elementCount(shape, fail);
  const refuse = (value: number | bigint, index: number): never => {
    const at = coordinates(index, shape);
    if (rows !== undefined) at[0] += rows[0];
    const number = typeof value === 'bigint' || Number.isInteger(value) ? 'number' : 'value';
    return fail(
      `has the ${number} ${value} at index [${at.join(', ')}], which ${as} cannot hold; read it without "as"`,
    );
  };
  if (count === 0) return { shape, data: allocateElements(type, 0, as) };
  const size = elementTypes[type].bytes;
  if (isRowMajor(layout)) {
    return { shape, data: await readElements(bytes, begin + start * size, count, { ...layout, as }, refuse) };
  }
  const span = 1 + reach(layout);
  const stored = await readElements(bytes, begin + start * size, span, layout, refuse);
  const data = allocateElements(type, count);
  gather(stored, data, layout);
  if (as === undefined) return { shape, data };
  const converted = allocateElements(type, count, as);
  convertElements(data, converted, as, 0, refuse);
  return { shape, data: converted };
}

/** Number of the last element of a layout that is not empty, counted from its first. */
export function reach({ shape, strides }: Pick<Layout, 'shape' | 'strides'>): number {
  return shape.reduce((sum, size, i) => sum + (size - 1) * strides[i], 0);
}

function narrow(layout: Layout, rows: ReadOptions['rows'], fail: Fail): Layout {
  if (rows === undefined) return layout;
  const [size, ...rest] = layout.shape;
  const [begin, end] = rows;
  if (
    !(Number.isSafeInteger(begin) && Number.isSafeInteger(end) && begin >= 0 && begin <= end && end <= (size ?? -1))
  ) {
    fail(`of shape [${layout.shape}] has no rows [${rows}]; expected [begin, end] with 0 <= begin <= end <= rows`);
  }
  return { ...layout, shape: [end - begin, ...rest], start: layout.start + begin * layout.strides[0] };
}

function isRowMajor({ shape, strides }: Layout): boolean {
  const plain = rowMajor(shape);
  return shape.every((size, i) => size === 1 || strides[i] === plain[i]);
}

/** Copies elements to C order; the shape has at least one axis and none of no extent. */
export function gather(
  from: ElementArray,
  to: ElementArray,
  { shape, strides }: Pick<Layout, 'shape' | 'strides'>,
): void {
  const last = shape.length - 1;
  const index = new Array<number>(last).fill(0);
  let row = 0;
  for (let at = 0; at < to.length; ) {
    for (let i = 0, source = row; i < shape[last]; i++, source += strides[last]) to[at++] = from[source];
    // On to the next row, like an odometer.
    for (let axis = last - 1; axis >= 0; axis--) {
      row += strides[axis];
      if (++index[axis] < shape[axis]) break;
      row -= strides[axis] * shape[axis];
      index[axis] = 0;
    }
  }
}

function coordinates(index: number, shape: readonly number[]): number[] {
  const result: number[] = [];
  for (const size of [...shape].reverse()) {
    result.unshift(index % size);
    index = Math.floor(index / size);
  }
  return result;
}

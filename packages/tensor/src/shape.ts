/** Arithmetic on shapes and strides: everything that is known before any data exists. */

export type Shape = readonly number[];

export const MAX_RANK = 8;

/** The number of elements. */
export function sizeOf(shape: Shape): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

/** Row-major strides, in elements. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    strides[d] = stride;
    stride *= shape[d];
  }
  return strides;
}

export function isContiguous(shape: Shape, strides: readonly number[]): boolean {
  let expected = 1;
  for (let d = shape.length - 1; d >= 0; d--) {
    if (shape[d] !== 1 && strides[d] !== expected) return false;
    expected *= shape[d];
  }
  return true;
}

/** Whether two shapes have the same axes. */
export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((extent, d) => extent === b[d]);
}

/** A shape as errors write it. */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/** Any value as errors write it. */
export function valueText(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(valueText).join(', ')}]`;
  if (typeof value === 'function') return 'a function';
  if (typeof value !== 'object' || value === null) return String(value);
  const { toString, constructor } = value;
  // Tensors say what they are.
  if (toString && toString !== Object.prototype.toString) return String(value);
  if (constructor && constructor !== Object) return `a ${constructor.name}`;
  const names = Object.keys(value).join(', ');
  return names ? `{ ${names} }` : '{}';
}

/** Others take extents one by one. */
export function checkIsArray(operation: string, list: unknown, remedy = 'write [2, 3]'): void {
  if (!Array.isArray(list)) throw new TypeError(`${operation}: ${list} is no array; ${remedy}`);
}

/** Checks extents: whole numbers, none negative, at most eight of them. */
export function checkShape(shape: Shape, operation: string): void {
  checkIsArray(operation, shape);
  if (shape.length > MAX_RANK) {
    throw new RangeError(
      `${operation}: rank ${shape.length} of ${formatShape(shape)} is over the limit of ${MAX_RANK}`,
    );
  }
  for (const extent of shape) {
    if (!Number.isInteger(extent) || extent < 0) {
      throw new RangeError(`${operation}: ${formatShape(shape)} is no shape; extents are whole numbers from 0`);
    }
  }
}

/** NumPy's rule: align on the right, an extent of 1 stretches. */
export function broadcastShapes(operation: string, ...shapes: Shape[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  const result = new Array<number>(rank).fill(1);
  for (const shape of shapes) {
    for (let d = 0; d < shape.length; d++) {
      const at = rank - shape.length + d;
      if (shape[d] === 1) continue;
      if (result[at] !== 1 && result[at] !== shape[d]) {
        throw new RangeError(
          `${operation}: shapes ${shapes.map(formatShape).join(' and ')} do not broadcast; aligned on the right, ` +
            `extents must be equal or 1, and axis ${at} has ${result[at]} and ${shape[d]}`,
        );
      }
      result[at] = shape[d];
    }
  }
  return result;
}

/** Strides of a tensor seen as `target`, with 0 along stretched axes. The shapes must broadcast. */
export function broadcastStrides(shape: Shape, strides: readonly number[], target: Shape): number[] {
  const lead = target.length - shape.length;
  return target.map((extent, d) => (d < lead || (shape[d - lead] === 1 && extent !== 1) ? 0 : strides[d - lead]));
}

/** Turns a possibly negative axis into one of 0..rank-1. */
export function normaliseAxis(axis: number, rank: number, operation: string): number {
  if (typeof axis !== 'number') {
    throw new TypeError(`${operation}: the axis is ${valueText(axis)}; expected a whole number`);
  }
  if (!Number.isInteger(axis) || axis < -rank || axis >= rank) {
    throw new RangeError(`${operation}: axis ${axis} does not exist in rank ${rank}; use ${-rank}..${rank - 1}`);
  }
  return axis < 0 ? axis + rank : axis;
}

/** The axes of a reduction: all of them by default; sorted, checked, no repeats. */
export function normaliseAxes(axes: number | readonly number[] | undefined, rank: number, operation: string): number[] {
  if (axes === undefined) return Array.from({ length: rank }, (_, d) => d);
  if (typeof axes !== 'number' && !Array.isArray(axes)) {
    throw new TypeError(
      `${operation}: the axes are ${JSON.stringify(axes)}; expected a whole number, or several in an array`,
    );
  }
  const list = (typeof axes === 'number' ? [axes] : [...axes]).map((axis) => normaliseAxis(axis, rank, operation));
  if (new Set(list).size !== list.length) throw new RangeError(`${operation}: axis given twice in [${axes}]`);
  return list.sort((a, b) => a - b);
}

/**
 * Merges neighbouring axes that every operand walks as one, so that most kernels see one or two dimensions.
 * All operands share `shape`; axes of extent 1 disappear.
 */
export function collapse(shape: Shape, ...strides: (readonly number[])[]): { shape: number[]; strides: number[][] } {
  const outShape: number[] = [];
  const outStrides: number[][] = strides.map(() => []);
  for (let d = 0; d < shape.length; d++) {
    if (shape[d] === 1) continue;
    const last = outShape.length - 1;
    const joins = last >= 0 && strides.every((s, i) => outStrides[i][last] === s[d] * shape[d]);
    if (joins) {
      outShape[last] *= shape[d];
      strides.forEach((s, i) => {
        outStrides[i][last] = s[d];
      });
    } else {
      outShape.push(shape[d]);
      strides.forEach((s, i) => {
        outStrides[i].push(s[d]);
      });
    }
  }
  return { shape: outShape, strides: outStrides };
}

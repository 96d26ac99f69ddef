import { apply } from '../apply.ts';
import { checkAlive, checkNumber, checkOptions, checkWhole, type Operand } from '../ops/arguments.ts';
import {
  broadcastShapes,
  checkIsArray,
  formatShape,
  MAX_RANK,
  normaliseAxes,
  normaliseAxis,
  type Shape,
  sizeOf,
} from '../shape.ts';
import type { ShapeOf } from '../shape-types.ts';
import { full, Tensor } from '../tensor.ts';
import { tri } from './creation.ts';
import { logicalAnd, logicalNot, where } from './elementwise.ts';
import { concat } from './indexing.ts';
import { expand, movedim, reshape, sliceAxis } from './views.ts';

// The same elements in other places, or others in their place.

function checkCount(operation: string, value: number): void {
  if (!Number.isInteger(value) || value < 0) throw new RangeError(`${operation}: ${value} is no whole number from 0`);
}

/** The elements of one axis, of several, or of all of them in the opposite order. */
export function flip<T extends Tensor>(x: T, dim?: number | readonly number[]): Tensor<ShapeOf<T>> {
  return apply('flip', [x], { axes: normaliseAxes(dim, x.rank, 'flip') })[0];
}

/**
 * Moves every element `shift` places on along `dim`, and those that leave at the end come in at the start. Several axes
 * take several shifts; without an axis the elements move in row-major order.
 */
export function roll(x: Tensor, shift: number | readonly number[], dim?: number | readonly number[]): Tensor {
  checkAlive('roll', x);
  const shifts = typeof shift === 'number' ? [shift] : shift;
  if (dim === undefined) {
    if (shifts.length !== 1) throw new RangeError(`roll: ${shifts.length} shifts need as many axes`);
    return reshape(roll(reshape(x, [x.size]), shift, 0), x.shape);
  }
  const axes = (typeof dim === 'number' ? [dim] : dim).map((axis) => normaliseAxis(axis, x.rank, 'roll'));
  if (axes.length !== shifts.length) {
    throw new RangeError(`roll: ${shifts.length} shifts and ${axes.length} axes; give one for each`);
  }
  return axes.reduce((rolled, axis, i) => {
    const extent = x.shape[axis];
    if (!Number.isInteger(shifts[i])) throw new RangeError(`roll: shift ${shifts[i]} is no whole number`);
    const by = extent === 0 ? 0 : ((shifts[i] % extent) + extent) % extent;
    if (by === 0) return rolled;
    return concat([sliceAxis(rolled, axis, extent - by), sliceAxis(rolled, axis, 0, extent - by)], axis);
  }, x);
}

/** The whole of x so many times along each axis; where there are fewer numbers than axes, along the last ones. */
export function tile(x: Tensor, repeats: readonly number[]): Tensor {
  checkIsArray('tile', repeats);
  for (const count of repeats) checkCount('tile', count);
  const rank = Math.max(x.rank, repeats.length);
  const own = [...new Array(rank - x.rank).fill(1), ...x.shape];
  const times = [...new Array(rank - repeats.length).fill(1), ...repeats];
  if (times.every((count) => count === 1)) return reshape(x, own);
  const splitAxes = times.filter((count) => count !== 1).length;
  if (rank <= MAX_RANK && rank + splitAxes > MAX_RANK) return tileByAxis(reshape(x, own), times);
  // Only axes that repeat are split, so that the rank stays within its limit.
  const before: number[] = [];
  const after: number[] = [];
  own.forEach((extent, d) => {
    if (times[d] !== 1) {
      before.push(1);
      after.push(times[d]);
    }
    before.push(extent);
    after.push(extent);
  });
  return reshape(
    expand(reshape(x, before), after),
    own.map((extent, d) => extent * times[d]),
  );
}

/** An axis after another, all before and all behind it as one: of ranks that leave no room for an axis more for each. */
function tileByAxis(x: Tensor, times: readonly number[]): Tensor {
  return times.reduce((tiled, count, d) => {
    if (count === 1) return tiled;
    const lines = reshape(tiled, [sizeOf(tiled.shape.slice(0, d)), 1, sizeOf(tiled.shape.slice(d))]);
    return reshape(
      expand(lines, [-1, count, -1]),
      tiled.shape.map((extent, i) => (i === d ? extent * count : extent)),
    );
  }, x);
}

/** As `tile`, with a number for every axis and perhaps for new ones in front: PyTorch's `repeat`, not NumPy's. */
export function repeat(x: Tensor, repeats: readonly number[]): Tensor {
  checkIsArray('repeat', repeats);
  for (const count of repeats) checkCount('repeat', count);
  if (repeats.length < x.rank) {
    throw new RangeError(`repeat: [${repeats}] says nothing about some axes of ${formatShape(x.shape)}; use tile`);
  }
  return tile(x, repeats);
}

/** Each element `times` times on the spot along `dim`: NumPy's `repeat`. */
export function repeatInterleave(x: Tensor, times: number, options: { dim: number }): Tensor {
  checkOptions('repeatInterleave', options, ['dim'], ['dim']);
  const { dim } = options;
  checkCount('repeatInterleave', times);
  const d = normaliseAxis(dim, x.rank, 'repeatInterleave');
  const [before, after] = [x.shape.slice(0, d + 1), x.shape.slice(d + 1)];
  // An axis more than there may be: the others are then taken for two.
  const sides = x.rank === MAX_RANK ? [[sizeOf(before)], [sizeOf(after)]] : [before, after];
  const split = [...sides[0], 1, ...sides[1]];
  const stretched = [...sides[0], times, ...sides[1]];
  return reshape(
    expand(reshape(x, split), stretched),
    x.shape.map((extent, i) => (i === d ? extent * times : extent)),
  );
}

/** Views of `size` elements each along `dim` (the last may be shorter), or of the sizes listed. */
export function split(x: Tensor, size: number | readonly number[], options: { dim?: number } = {}): Tensor[] {
  checkOptions('split', options, ['dim']);
  const { dim = 0 } = options;
  const d = normaliseAxis(dim, x.rank, 'split');
  const extent = x.shape[d];
  let sizes: readonly number[];
  if (typeof size === 'number') {
    if (!Number.isInteger(size) || size < 1) throw new RangeError(`split: size ${size} is no whole number from 1`);
    const parts = Math.max(1, Math.ceil(extent / size));
    sizes = Array.from({ length: parts }, (_, i) => Math.min(size, extent - i * size));
  } else {
    for (const own of size) checkCount('split', own);
    const total = size.reduce((sum, own) => sum + own, 0);
    if (total !== extent) {
      throw new RangeError(
        `split: sizes [${size}] make ${total}, but axis ${d} of ${formatShape(x.shape)} has ${extent}`,
      );
    }
    sizes = size;
  }
  let start = 0;
  return sizes.map((own) => sliceAxis(x, d, start, (start += own)));
}

/** At most `chunks` views of one size along `dim` (the last may be shorter, and there may be fewer, as in PyTorch). */
export function chunk(x: Tensor, chunks: number, options: { dim?: number } = {}): Tensor[] {
  checkOptions('chunk', options, ['dim']);
  const { dim = 0 } = options;
  if (!Number.isInteger(chunks) || chunks < 1) throw new RangeError(`chunk: ${chunks} is no whole number from 1`);
  const d = normaliseAxis(dim, x.rank, 'chunk');
  return split(x, Math.max(1, Math.ceil(x.shape[d] / chunks)), { dim: d });
}

/** What stands beside the ends of an axis. */
export type PadMode = 'constant' | 'reflect' | 'replicate' | 'circular';

function padAxis(x: Tensor, axis: number, before: number, after: number, mode: PadMode, value: number): Tensor {
  const extent = x.shape[axis];
  const shape = (own: number): Shape => x.shape.map((other, d) => (d === axis ? own : other));
  if (mode === 'constant') {
    if (value === 0 && x.dtype !== 'bool') {
      return apply('unslice', [x], { axis, shape: shape(before + extent + after), start: before, step: 1 })[0];
    }
    const block = (own: number) => full(shape(own), value, { dtype: x.dtype, device: x.device });
    return concat([...(before ? [block(before)] : []), x, ...(after ? [block(after)] : [])], axis);
  }
  const needed = Math.max(before, after);
  const most = { reflect: extent - 1, circular: extent, replicate: extent === 0 ? 0 : needed }[mode];
  if (most === undefined) {
    throw new RangeError(`pad: there is no mode '${mode}'; use constant, reflect, replicate or circular`);
  }
  if (needed > most) {
    throw new RangeError(
      `pad: axis ${axis} of ${formatShape(x.shape)} takes ${mode} padding up to ${most}, not ${needed}`,
    );
  }
  const side = (start: number, own: number): Tensor[] => {
    if (own === 0) return [];
    if (mode === 'replicate') return [expand(sliceAxis(x, axis, start, start + 1), shape(own))];
    const part = sliceAxis(x, axis, start, start + own);
    return [mode === 'reflect' ? flip(part, axis) : part];
  };
  const starts = {
    reflect: [1, extent - 1 - after],
    replicate: [0, extent - 1],
    circular: [extent - before, 0],
  }[mode];
  return concat([...side(starts[0], before), x, ...side(starts[1], after)], axis);
}

/**
 * Widens the last axes: `padding` is [before, after] of the last axis, then of the one before it, and so on, as in PyTorch.
 * Negative numbers cut. `constant` fills with `value`, `reflect` mirrors without repeating the edge, `replicate` repeats
 * the edge, `circular` goes on at the other end.
 *
 * @throws RangeError when there are not enough elements to mirror, or more pairs than axes.
 */
export function pad(x: Tensor, padding: readonly number[], options: { mode?: PadMode; value?: number } = {}): Tensor {
  checkAlive('pad', x);
  checkOptions('pad', options, ['mode', 'value']);
  checkIsArray('pad', padding);
  const { mode = 'constant', value = 0 } = options;
  checkNumber('pad', 'value', value, 'a number', () => true);
  if (padding.length % 2 !== 0 || padding.length > 2 * x.rank || !padding.every(Number.isInteger)) {
    throw new RangeError(`pad: [${padding}] are no pairs [before, after] for the last axes of ${formatShape(x.shape)}`);
  }
  let result = x;
  for (let i = 0; i < padding.length / 2; i++) {
    const axis = x.rank - 1 - i;
    const [before, after] = padding.slice(2 * i, 2 * i + 2);
    const extent = x.shape[axis];
    if (extent + Math.min(before, 0) + Math.min(after, 0) < 0) {
      throw new RangeError(
        `pad: axis ${axis} of ${formatShape(x.shape)} has no ${-Math.min(before, 0) - Math.min(after, 0)} elements to cut`,
      );
    }
    if (before < 0 || after < 0) result = sliceAxis(result, axis, Math.max(0, -before), extent + Math.min(after, 0));
    if (before > 0 || after > 0) {
      result = padAxis(result, axis, Math.max(0, before), Math.max(0, after), mode, value);
    }
  }
  return result;
}

/** The diagonal of two axes as a new last axis; `offset` moves it up. A view where x is dense. */
export function diagonal(x: Tensor, options: { offset?: number; dim1?: number; dim2?: number } = {}): Tensor {
  checkOptions('diagonal', options, ['offset', 'dim1', 'dim2']);
  const { offset = 0, dim1 = 0, dim2 = 1 } = options;
  checkWhole('diagonal', 'offset', offset);
  const [a, b] = [normaliseAxis(dim1, x.rank, 'diagonal'), normaliseAxis(dim2, x.rank, 'diagonal')];
  if (a === b) throw new RangeError(`diagonal: axis ${a} of ${formatShape(x.shape)} was given twice`);
  const last = movedim(x, [a, b], [-2, -1]);
  const [rows, columns] = last.shape.slice(-2);
  const count = Math.max(0, offset < 0 ? Math.min(rows + offset, columns) : Math.min(rows, columns - offset));
  const lined = reshape(last, [...last.shape.slice(0, -2), rows * columns]);
  const start = offset < 0 ? -offset * columns : offset;
  if (count === 0) return sliceAxis(lined, -1, 0, 0);
  return sliceAxis(lined, -1, start, start + (count - 1) * (columns + 1) + 1, columns + 1);
}

function triangle(name: string, x: Tensor, keep: (mask: Tensor) => Tensor, diagonal: number): Tensor {
  if (x.rank < 2) throw new RangeError(`${name}: ${formatShape(x.shape)} has no two axes`);
  const [rows, columns] = x.shape.slice(-2);
  const mask = keep(tri(rows, columns, { diagonal, device: x.device }));
  return x.dtype === 'bool' ? logicalAnd(x, mask) : where(mask, x, 0);
}

/** x on and below the diagonal of its last two axes, 0 above; `diagonal` moves it up. */
export function tril(x: Tensor, options: { diagonal?: number } = {}): Tensor {
  checkOptions('tril', options, ['diagonal']);
  const { diagonal = 0 } = options;
  checkWhole('tril', 'diagonal', diagonal);
  return triangle('tril', x, (mask) => mask, diagonal);
}

/** x on and above the diagonal of its last two axes, 0 below; `diagonal` moves it up. */
export function triu(x: Tensor, options: { diagonal?: number } = {}): Tensor {
  checkOptions('triu', options, ['diagonal']);
  const { diagonal = 0 } = options;
  checkWhole('triu', 'diagonal', diagonal);
  return triangle('triu', x, logicalNot, diagonal - 1);
}

/** `value` where the mask (bool) is true, x elsewhere; the mask broadcasts. */
export function maskedFill(x: Tensor, mask: Tensor, value: Operand): Tensor {
  if (mask.dtype !== 'bool') {
    throw new TypeError(`maskedFill: the mask is ${mask.dtype}${formatShape(mask.shape)}; expected bool, e.g. x.gt(0)`);
  }
  const broadcast = (shape: Shape) => broadcastShapes('maskedFill', x.shape, mask.shape, shape);
  if (typeof value === 'number') broadcast([]);
  else if (value instanceof Tensor) broadcast(value.shape);
  else throw new TypeError(`maskedFill: the value is ${typeof value}; expected a number or a tensor`);
  return where(mask, value, x);
}

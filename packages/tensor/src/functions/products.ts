import { apply, otherDevice } from '../apply.ts';
import { isFloat } from '../dtype.ts';
import { broadcastShapes, formatShape, normaliseAxis, valueText } from '../shape.ts';
import type { MatmulOperand, MatmulShape, OuterShape } from '../shape-types.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import { diagonal } from './arranging.ts';
import { checkRank, contract, inOrder, type Named, sumOfProducts } from './contract.ts';
import { cast, mul } from './elementwise.ts';
import { sum } from './reductions.ts';
import { squeeze, transpose, unsqueeze } from './views.ts';

const both = (a: Tensor, b: Tensor) => `${formatShape(a.shape)} x ${formatShape(b.shape)}`;

/**
 * [..., m, k] x [..., k, n] -> [..., m, n]; batch axes broadcast, and transposed views are read in place. A vector [k] is a
 * row on the left and a column on the right, an axis that the result does not have: [k] x [k] is a scalar, [..., m, k] x [k]
 * is [..., m], [k] x [..., k, n] is [..., n]. f32, or f16 where both are; sums are in f32. Whole numbers beside floats
 * become such; among themselves they stay whole numbers that wrap, as in `einsum`, by way of all m k n products in memory.
 *
 * @throws RangeError when the inner extents differ or an operand is a scalar.
 */
export function matmul<A extends Tensor, B extends Tensor>(a: A, b: MatmulOperand<A, B>): Tensor<MatmulShape<A, B>> {
  return matrixProduct(a, b as Tensor);
}

/** That both are there, in the name of a function that other operations make. */
function checkPair(operation: string, a: Tensor, b: Tensor): void {
  for (const [i, x] of [a, b].entries()) {
    if (!isTensor(x)) throw new TypeError(`${operation}: operand ${i} is ${typeof x}; expected a tensor`);
    if (x.disposed) throw x.disposedError(operation, i);
  }
  if (a.device !== b.device) throw otherDevice(operation);
}

function matrixProduct(a: Tensor, b: Tensor): Tensor {
  checkPair('matmul', a, b);
  if (isFloat(a.dtype) !== isFloat(b.dtype)) {
    return isFloat(a.dtype) ? matrixProduct(a, cast(b, a.dtype)) : matrixProduct(cast(a, b.dtype), b);
  }
  const whole = !isFloat(a.dtype);
  if (a.rank > 1 && b.rank > 1 && !whole) return apply('matmul', [a, b], {})[0];
  if (a.rank === 0 || b.rank === 0)
    throw new RangeError(`matmul: ${both(a, b)}: a scalar has no axis to sum over; use mul`);
  const [k, k2] = [a.shape[a.rank - 1], b.shape[Math.max(0, b.rank - 2)]];
  if (k !== k2) throw new RangeError(`matmul: inner dimensions ${k} and ${k2} of ${both(a, b)} differ`);
  if (a.rank === 1 && b.rank === 1) return sumOfProducts(a, b, [0]);
  if (whole) return wholeProduct(a, b);
  // A column on the right is a row on the left of the transpose, which kernels make 2.5 to 4 times as fast on CPU drivers.
  const [row, matrix] = a.rank === 1 ? [a, b] : [b, transpose(a) as Tensor];
  return squeeze(apply('matmul', [unsqueeze(row, 0), matrix], {})[0], -2);
}

/** All products of elements [..., m, k, n], and their sums over k. */
function wholeProduct(a: Tensor, b: Tensor): Tensor {
  const [rows, columns] = [a.rank === 1 ? unsqueeze(a, 0) : a, b.rank === 1 ? unsqueeze(b, 1) : b];
  checkRank('matmul', Math.max(rows.rank, columns.rank) + 1, 'the product of whole numbers, before its sum,');
  broadcastShapes('matmul (batch axes)', rows.shape.slice(0, -2), columns.shape.slice(0, -2));
  const made = sumOfProducts(unsqueeze(rows, -1), unsqueeze(columns, -3), [-2]);
  const gone = [...(a.rank === 1 ? [-2] : []), ...(b.rank === 1 ? [-1] : [])];
  return gone.length > 0 ? squeeze(made, gone) : made;
}

function expectVectors(operation: string, remedy: string, a: Tensor, b: Tensor): void {
  checkPair(operation, a, b);
  if (a.rank !== 1 || b.rank !== 1)
    throw new RangeError(`${operation}: ${both(a, b)} are no two vectors; use ${remedy}`);
}

/** The sum of the products of two vectors [n]: a scalar. Floats are summed in f32, whole numbers wrap. */
export function dot<A extends Tensor, B extends Tensor>(a: A, b: MatmulOperand<A, B>): Tensor<MatmulShape<A, B>> {
  const [left, right]: [Tensor, Tensor] = [a, b as Tensor];
  expectVectors('dot', 'matmul or tensordot', left, right);
  if (left.size !== right.size) throw new RangeError(`dot: the vectors ${both(left, right)} differ in length`);
  return sumOfProducts(left, right, [0]);
}

/** Every element of a vector [n] times every element of a vector [m]: [n, m]. */
export function outer<A extends Tensor, B extends Tensor>(a: A, b: B): Tensor<OuterShape<A, B>> {
  expectVectors('outer', 'flatten, or tensordot(a, b, 0)', a, b);
  return mul(unsqueeze(a, 1), b as Tensor) as Tensor;
}

/**
 * Sums of products over the last axis of both: [..., k] and [..., k] give the other axes of a, then those of b. A scalar
 * multiplies.
 */
export function inner(a: Tensor, b: Tensor): Tensor {
  if (a.rank === 0 || b.rank === 0) return mul(a, b) as Tensor;
  return contracted('inner', a, b, [a.rank - 1], [b.rank - 1]);
}

/** `ofA` and `ofB` are summed over, pair by pair; what is left of a comes before what is left of b. */
function contracted(operation: string, a: Tensor, b: Tensor, ofA: readonly number[], ofB: readonly number[]): Tensor {
  ofA.forEach((axis, i) => {
    const [own, other] = [a.shape[axis], b.shape[ofB[i]]];
    if (own === other) return;
    throw new RangeError(
      `${operation}: axis ${axis} of ${formatShape(a.shape)} has ${own} elements, axis ${ofB[i]} of ${formatShape(b.shape)} has ${other}`,
    );
  });
  checkRank(operation, a.rank + b.rank - 2 * ofA.length);
  const left: Named = { x: a, axes: a.shape.map((_, d) => `a${d}`) };
  const right: Named = { x: b, axes: b.shape.map((_, d) => (ofB.includes(d) ? `a${ofA[ofB.indexOf(d)]}` : `b${d}`)) };
  const kept = [...left.axes.filter((_, d) => !ofA.includes(d)), ...right.axes.filter((_, d) => !ofB.includes(d))];
  return inOrder(contract(left, right, kept), kept);
}

/**
 * Sums the products of a and b over several axes at once. `dims` is how many: the last ones of a and the first ones of b, in
 * order, 2 by default, none for the outer product; or which: [axes of a, axes of b]. The other axes of a come before those
 * of b. f16 where both are, with sums in f32.
 *
 * @throws RangeError when the axes are not as many or as long, exist twice or not at all.
 */
export function tensordot(
  a: Tensor,
  b: Tensor,
  dims: number | readonly [readonly number[], readonly number[]] = 2,
): Tensor {
  if (typeof dims === 'number') {
    if (!Number.isInteger(dims) || dims < 0 || dims > Math.min(a.rank, b.rank)) {
      throw new RangeError(`tensordot: ${both(a, b)} do not have ${dims} axes each to sum over`);
    }
    const count = Array.from({ length: dims }, (_, i) => i);
    return contracted(
      'tensordot',
      a,
      b,
      count.map((i) => a.rank - dims + i),
      count,
    );
  }
  if (!Array.isArray(dims) || dims.length !== 2 || !dims.every(Array.isArray)) {
    throw new TypeError(
      `tensordot: dims is ${valueText(dims)}; expected how many axes, or [axes of a, axes of b], as in [[1], [0]]`,
    );
  }
  const [ofA, ofB] = (dims as readonly (readonly number[])[]).map((list, i) => {
    const axes = list.map((axis) => normaliseAxis(axis, (i === 0 ? a : b).rank, 'tensordot'));
    if (new Set(axes).size !== axes.length) throw new RangeError(`tensordot: an axis was given twice in [${list}]`);
    return axes;
  });
  if (ofA.length !== ofB.length) {
    throw new RangeError(`tensordot: [${dims[0]}] and [${dims[1]}] must name as many axes`);
  }
  return contracted('tensordot', a, b, ofA, ofB);
}

/** The sum of a diagonal of two axes, by default the main one of the first two: NumPy's and PyTorch's `trace`. */
export function matrixTrace(x: Tensor, options: { offset?: number; dim1?: number; dim2?: number } = {}): Tensor {
  return sum(diagonal(x, options), { dim: -1 });
}

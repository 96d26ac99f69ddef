import { apply } from '../apply.ts';
import { isFloat } from '../dtype.ts';
import { MAX_RANK, sizeOf } from '../shape.ts';
import type { Tensor } from '../tensor.ts';
import { cast, mul } from './elementwise.ts';
import { sum } from './reductions.ts';
import { permute, reshape } from './views.ts';

/** A tensor whose axes have names, each of them once. Axes of one name in several tensors have one extent. */
export interface Named {
  readonly x: Tensor;
  readonly axes: readonly string[];
}

const extentsOf = ({ x, axes }: Named, list: readonly string[]): number[] =>
  list.map((axis) => x.shape[axes.indexOf(axis)]);

/** The axes in the order of `list`, which names each of them; those that the tensor does not have are new ones of extent 1. */
function arranged(named: Named, list: readonly string[]): Tensor {
  const own = list.filter((axis) => named.axes.includes(axis));
  const ordered = permute(
    named.x,
    own.map((axis) => named.axes.indexOf(axis)),
  );
  return reshape(
    ordered,
    list.map((axis) => (own.includes(axis) ? ordered.shape[own.indexOf(axis)] : 1)),
  );
}

/** The axes in this order, where they are not so already. */
export function inOrder({ x, axes }: Named, list: readonly string[]): Tensor {
  if (axes.every((axis, d) => axis === list[d])) return x;
  return permute(
    x,
    list.map((axis) => axes.indexOf(axis)),
  );
}

/** The axes that `contract` leaves: those of either tensor that are `kept`, in the order of `kept`. */
export const axesLeft = (a: readonly string[], b: readonly string[], kept: readonly string[]): string[] =>
  kept.filter((axis) => a.includes(axis) || b.includes(axis));

/** The sum over `axes` of a b, which broadcast; products and sums of floats are in f32. */
export function sumOfProducts(a: Tensor, b: Tensor, axes: readonly number[]): Tensor {
  const half = a.dtype === 'f16' && b.dtype === 'f16';
  const total: Tensor = sum(mul(half ? cast(a, 'f32') : a, b) as Tensor, { dim: axes });
  return half ? cast(total, 'f16') : total;
}

/** As a batched product of matrices, of which both tensors are. */
function product(a: Named, b: Named, left: readonly string[], summed: readonly string[]): Named {
  const batch = left.filter((axis) => a.axes.includes(axis) && b.axes.includes(axis));
  const beside = (own: Named) => left.filter((axis) => own.axes.includes(axis) && !batch.includes(axis));
  const [ofA, ofB] = [beside(a), beside(b)];
  // Rows come before columns: the tensor whose axes are wanted first goes to the left. Vectors do, for speed: see `matmul`.
  const swapped = ofB.length === 0 || (ofA.length > 0 && left.indexOf(ofB[0]) < left.indexOf(ofA[0]));
  const [first, second, rows, columns] = swapped ? [b, a, ofB, ofA] : [a, b, ofA, ofB];
  const [m, k, n] = [extentsOf(first, rows), extentsOf(first, summed), extentsOf(second, columns)];
  const batchShape = extentsOf(first, batch);
  // Batch axes stay as they are, so that those which no stride joins are read in place, unless they are too many.
  const joined = batch.length > MAX_RANK - 2 ? [sizeOf(batchShape)] : batchShape;
  const x = apply(
    'matmul',
    [
      reshape(inOrder(first, [...batch, ...rows, ...summed]), [...joined, sizeOf(m), sizeOf(k)]),
      reshape(inOrder(second, [...batch, ...summed, ...columns]), [...joined, sizeOf(k), sizeOf(n)]),
    ],
    {},
  )[0];
  return { x: reshape(x, [...batchShape, ...m, ...n]), axes: [...batch, ...rows, ...columns] };
}

/**
 * Sums the products of two tensors over the axes that both have and that are not `kept`; an axis of one of them alone must
 * be kept. Floats become a batched product of matrices where there is something to sum over and something beside it;
 * everything else is an elementwise product and perhaps a sum. The axes come out as near to the order of `kept` as a
 * product of matrices allows.
 */
export function contract(a: Named, b: Named, kept: readonly string[]): Named {
  const left = axesLeft(a.axes, b.axes, kept);
  const summed = a.axes.filter((axis) => !left.includes(axis));
  if (summed.length === 0) return { x: mul(arranged(a, left), arranged(b, left)) as Tensor, axes: left };
  const matrices = left.some((axis) => !a.axes.includes(axis) || !b.axes.includes(axis));
  const someFloat = isFloat(a.x.dtype) || isFloat(b.x.dtype);
  if (matrices && someFloat) {
    const float = (own: Named, other: Named) =>
      isFloat(own.x.dtype) ? own : { ...own, x: cast(own.x, other.x.dtype) as Tensor };
    return product(float(a, b), float(b, a), left, summed);
  }
  const all = [...left, ...summed];
  const places = summed.map((_, i) => left.length + i);
  return { x: sumOfProducts(arranged(a, all), arranged(b, all), places), axes: left };
}

/** @throws RangeError where a result has more axes than tensors may have. */
export function checkRank(operation: string, rank: number, what = 'the result'): void {
  if (rank > MAX_RANK) {
    throw new RangeError(
      `${operation}: ${what} has ${rank} axes, over the limit of ${MAX_RANK}; reshape some into one`,
    );
  }
}

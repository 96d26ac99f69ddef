import { apply } from '../apply.ts';
import type { MatmulOperand, MatmulShape } from '../shape-types.ts';
import type { Tensor } from '../tensor.ts';

/** [..., m, k] x [..., k, n]; batch axes broadcast, and transposed views are read in place. */
export function matmul<A extends Tensor, B extends Tensor>(a: A, b: MatmulOperand<A, B>): Tensor<MatmulShape<A, B>> {
  return apply('matmul', [a, b as Tensor], {})[0];
}

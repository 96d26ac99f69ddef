import { formatShape } from '../shape.ts';
import { isTensor, type Tensor } from '../tensor.ts';
import { cast } from './elementwise.ts';

/** Indices as the kernels take them, in the name of the function that was called. From 2^31 on they are outside anyway. */
export function asIndex(name: string, role: string, index: Tensor): Tensor {
  if (!isTensor(index)) throw new TypeError(`${name}: ${role} no tensor; expected one of i32 or u32`);
  if (index.dtype === 'u32') return cast(index, 'i32');
  if (index.dtype === 'i32') return index;
  throw new TypeError(
    `${name}: ${role} ${index.dtype}${formatShape(index.shape)}; expected i32 or u32; use .cast('i32')`,
  );
}

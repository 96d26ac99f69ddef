import type { DType, Tensor } from '@dawnchorus/tensor';
import type { ElementType } from './elements.ts';

/** What the engine's dtypes are in files. */
const types = { f32: 'F32', f16: 'F16', i32: 'I32', u32: 'U32', bool: 'BOOL' } as const satisfies Record<
  DType,
  ElementType
>;

/**
 * Whether a writer was given a tensor of the engine, whose elements are read back when its turn comes. The dtype tells, so
 * that who only reads files does not bring the engine along.
 */
export const isEngineTensor = (source: unknown): source is Tensor =>
  Object.hasOwn(types, (source as Partial<Tensor> | undefined)?.dtype ?? '');

/** What a tensor of the engine is in a file. */
export const fileTypeOf = ({ dtype }: Tensor): (typeof types)[DType] => types[dtype];

import type { PooledBuffer } from './pool.ts';

let nextId = -1;

/**
 * A buffer that exists on paper only: what tensors hold while a function is traced, before a plan has decided which
 * memory they get.
 */
export function virtualBuffer(size: number, label: string): PooledBuffer {
  return {
    id: nextId--,
    size,
    label,
    get gpu(): GPUBuffer {
      throw new Error(
        `${label}: this tensor was made while a function was traced and has no elements. ` +
          'If the compiled function reads it (data, item, print), return it and read it outside; ' +
          'if it was kept in a variable outside, return it from the compiled function instead',
      );
    },
  };
}

/** Whether a buffer is one of those. */
export function isVirtual(buffer: PooledBuffer): boolean {
  return buffer.id < 0;
}

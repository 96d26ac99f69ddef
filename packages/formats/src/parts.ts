/** Arrays that are written part by part, as they come, so that none needs to be in memory whole. */
import { openReplacement, type Replacement } from '#replacement';
import { elementCount, elementTypes } from './elements.ts';
import { encode } from './encode.ts';
import { FormatError } from './error.ts';
import { encodeNpyHeader } from './npyHeader.ts';
import { encodeHeader } from './safetensorsHeader.ts';

/** Floats in a file that is being written. */
export interface ArrayParts {
  /** Writes elements from number `first` on, in C order. */
  write(first: number, data: Float32Array): Promise<void>;
  /** Puts the file in its place. */
  finish(): Promise<void>;
  /** Removes what was written; does nothing after `finish`. */
  abort(): Promise<void>;
}

/** How floats are kept: as they are, or rounded to halves. */
export type FloatDtype = 'F32' | 'F16';

function parts(file: Replacement, begin: number, count: number, dtype: FloatDtype): ArrayParts {
  const { bytes } = elementTypes[dtype];
  return {
    async write(first, data) {
      if (first < 0 || first + data.length > count) {
        throw new FormatError(
          `${file.path}: elements ${first} to ${first + data.length} are not in an array of ${count}`,
        );
      }
      let offset = begin + first * bytes;
      for (const piece of encode(dtype, data)) {
        await file.write(offset, piece);
        offset += piece.length;
      }
    },
    finish: () => file.finish(),
    abort: () => file.abort(),
  };
}

/**
 * Begins an npy file of floats, to be filled in any order: `<f4`, or `<f2` for F16.
 *
 * @throws as `openReplacement` does.
 */
export async function createNpy(
  path: string,
  shape: readonly number[],
  { dtype = 'F32' }: { dtype?: FloatDtype } = {},
): Promise<ArrayParts> {
  const header = encodeNpyHeader(dtype === 'F32' ? '<f4' : '<f2', shape);
  const count = elementCount(shape);
  const bytes = header.length + count * elementTypes[dtype].bytes;
  const file = await openReplacement(path, { what: 'npy file', bytes });
  await file.write(0, header);
  return parts(file, header.length, count, dtype);
}

/**
 * Begins a safetensors file of one tensor of floats, to be filled in any order.
 *
 * @throws as `openReplacement` does.
 */
export async function createSafetensors(
  path: string,
  name: string,
  shape: readonly number[],
  { dtype = 'F32', metadata }: { dtype?: FloatDtype; metadata?: Record<string, string> } = {},
): Promise<ArrayParts> {
  const { header, dataBytes } = encodeHeader([{ name, dtype, shape }], metadata);
  const file = await openReplacement(path, { what: 'safetensors file', bytes: header.length + dataBytes });
  await file.write(0, header);
  return parts(file, header.length, elementCount(shape), dtype);
}

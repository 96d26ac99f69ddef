/**
 * One array in a file, as NumPy's save and load lay it out.
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { readFile } from 'node:fs/promises';
import { writeAtomically } from './atomic.ts';

/** NumPy's type strings (little-endian) and the arrays that hold them; booleans are 0 or 1. */
export type NpyArrays = {
  '<f4': Float32Array;
  '<f8': Float64Array;
  '<i4': Int32Array;
  '<i8': BigInt64Array;
  '|u1': Uint8Array;
  '|b1': Uint8Array;
};

const arrayTypes = {
  '<f4': Float32Array,
  '<f8': Float64Array,
  '<i4': Int32Array,
  '<i8': BigInt64Array,
  '|u1': Uint8Array,
  '|b1': Uint8Array,
};

type Descriptor = keyof NpyArrays;

export type NpyArray = { [D in Descriptor]: { dtype: D; shape: number[]; data: NpyArrays[D] } }[Descriptor];

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/**
 * Writes a float32 or int32 array, atomically: version 1.0, little-endian, C order, data aligned to 64 bytes.
 *
 * @param shape - sizes whose product is the number of elements; [] for a scalar.
 * @throws if `data` and `shape` do not agree, or as `writeAtomically` does.
 */
export async function writeNpy(path: string, data: Float32Array | Int32Array, shape: readonly number[]): Promise<void> {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (shape.some((size) => !Number.isSafeInteger(size) || size < 0) || elements !== data.length) {
    throw new Error(
      `cannot write ${path}: ${data.length} elements do not fill shape [${shape}]; expected integers >= 0 with that product`,
    );
  }
  const descriptor = data instanceof Float32Array ? '<f4' : '<i4';
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const dictionary = `{'descr': '${descriptor}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const prefix = magic.length + 4;
  const dataStart = Math.ceil((prefix + dictionary.length + 1) / 64) * 64;
  const header = new Uint8Array(dataStart).fill(0x20);
  header.set([...magic, 1, 0]);
  new DataView(header.buffer).setUint16(magic.length + 2, dataStart - prefix, true);
  header.set(new TextEncoder().encode(dictionary), prefix);
  header[dataStart - 1] = 0x0a;
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  await writeAtomically(path, [header, bytes], { what: 'npy file', bytes: header.length + bytes.length });
}

/**
 * Reads a C-ordered little-endian array of float32, float64, int32, int64, uint8 or bool.
 *
 * @throws if the file is missing, not an npy file, cut short, in Fortran order, or of another type.
 */
export async function readNpy(path: string): Promise<NpyArray> {
  let file: Uint8Array;
  try {
    file = await readFile(path);
  } catch (error) {
    throw new Error(`cannot open npy file ${path}: ${(error as Error).message}`, { cause: error });
  }
  const fail = (problem: string): never => {
    throw new Error(`${path} is not an npy file that can be read: ${problem}`);
  };
  const view = new DataView(file.buffer, file.byteOffset, file.byteLength);
  if (file.length < 12 || magic.some((byte, index) => file[index] !== byte)) {
    fail('it does not begin with the bytes \\x93NUMPY and a header');
  }
  const version = file[6]!;
  if (version < 1 || version > 3) {
    fail(`it is of version ${version}, expected 1, 2 or 3`);
  }
  const prefix = version === 1 ? 10 : 12;
  const dataStart = prefix + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (dataStart > file.length) {
    fail(`its header should end at byte ${dataStart} but the file at ${file.length}; it was cut short, copy it again`);
  }
  const header = new TextDecoder().decode(file.subarray(prefix, dataStart));
  const { dtype, shape } = parseDictionary(header, fail);
  const ArrayType = arrayTypes[dtype];
  const needed = shape.reduce((product, size) => product * size, ArrayType.BYTES_PER_ELEMENT);
  if (file.length - dataStart !== needed) {
    fail(`${dtype} of shape [${shape}] takes ${needed} bytes, but ${file.length - dataStart} follow the header`);
  }
  // Copied, so that the data starts at offset 0 of a buffer of its own whatever the header's length is.
  const data = new ArrayType(new Uint8Array(file.subarray(dataStart)).buffer);
  return { dtype, shape, data } as NpyArray;
}

function parseDictionary(header: string, fail: (problem: string) => never): { dtype: Descriptor; shape: number[] } {
  const found = header.match(/'descr':\s*'([^']*)'/)?.[1];
  const order = header.match(/'fortran_order':\s*(True|False)/)?.[1];
  const sizes = header.match(/'shape':\s*\(((?:\s*\d+\s*,?)*)\)/)?.[1];
  if (found === undefined || order === undefined || sizes === undefined) {
    return fail(
      `its header is ${JSON.stringify(header.trim())}, expected a dictionary of descr, fortran_order and shape`,
    );
  }
  if (!Object.hasOwn(arrayTypes, found)) {
    return fail(
      `its elements are "${found}", expected one of ${Object.keys(arrayTypes).join(', ')}; convert it with astype`,
    );
  }
  if (order === 'True') {
    return fail('it is in Fortran order, expected C order; save it again through numpy.ascontiguousarray');
  }
  const shape = sizes.split(',').filter((size) => size.trim() !== '');
  return { dtype: found as Descriptor, shape: shape.map(Number) };
}

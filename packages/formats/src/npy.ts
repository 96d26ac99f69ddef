/**
 * One array in a file, as NumPy's save and load lay it out.
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { writeAtomically } from '#atomic';
import { type FileSource, type OpenFile, openFile } from './bytes.ts';
import { type Conversion, type ElementArray, type ElementArrays, elementCount, isShape } from './elements.ts';
import { encode, problemWith, type Writable } from './encode.ts';
import { FormatError } from './error.ts';
import { type ReadOptions, readLayout } from './layout.ts';
import { encodeNpyHeader, type NpyDtype, type NpyHeader, npyTypes, readNpyHeader } from './npyHeader.ts';
import type { ConvertedTensor } from './tensorFile.ts';

export type { NpyDtype } from './npyHeader.ts';

/** NumPy's type strings and the arrays that hold them: half-precision floats are widened, booleans are 0 or 1. */
export type NpyArrays = { [D in NpyDtype]: ElementArrays[(typeof npyTypes)[D]] };

/** `dtype` is that of the file, little-endian whatever it was there; `data` holds the elements in C order. */
export type NpyArray = { [D in NpyDtype]: { dtype: D; shape: number[]; data: NpyArrays[D] } }[NpyDtype];

/** Arrays that can be written, each as the dtype that holds the same values unless another is asked for. */
export type NpySource = {
  [D in NpyDtype]: { dtype?: D; shape: readonly number[]; data: Writable<(typeof npyTypes)[D]> };
}[NpyDtype];

/** An open npy file: its header is known, its data are read when they are asked for. Close it when done. */
export interface NpyFile {
  readonly path: string;
  readonly dtype: NpyDtype;
  readonly shape: readonly number[];
  /**
   * Reads the array or some of its rows, in C order.
   *
   * @throws FormatError if the options do not suit it, or a value does not fit what it is converted to.
   */
  read<As extends Conversion>(options: ReadOptions<As> & { as: As }): Promise<ConvertedTensor<NpyDtype, As>>;
  /** The same without a conversion. */
  read(options?: ReadOptions): Promise<NpyArray>;
  /** Gives the file back. */
  close(): Promise<void>;
  /** `await using` closes it. */
  [Symbol.asyncDispose](): Promise<void>;
}

/**
 * Writes an array, atomically: version 1.0, little-endian, C order, data aligned to 64 bytes. A Float32Array is written
 * as `<f4`, a Uint8Array as `|u1` and so on; `dtype` asks for another: `<f2` (rounded to nearest) or `<f8` of a
 * Float32Array, `<f4` of a Float64Array, `<i8` of an Int32Array, `<u8` of a Uint32Array, `|b1` of a Uint8Array.
 *
 * @param shape - sizes whose product is the number of elements; [] for a scalar.
 * @throws FormatError if `data`, `shape` and `dtype` do not agree; or as `writeAtomically` does.
 */
export async function writeNpy(
  path: string,
  data: ElementArray,
  shape: readonly number[],
  options: { dtype?: NpyDtype } = {},
): Promise<void> {
  const { header, chunks, bytes } = encodeNpy(`cannot write ${path}`, { data, shape, ...options } as NpySource);
  await writeAtomically(path, [header, ...chunks], { what: 'npy file', bytes });
}

/**
 * Opens an npy file of versions 1 to 3 and checks its header. Floats of 16 to 64 bits, integers of 8 to 64 and booleans are
 * read in either byte order, and in C or Fortran order.
 *
 * @param source - a path, or the bytes of a file.
 * @throws FormatError if the file is missing, not an npy file, cut short or too long, or of another type.
 */
export async function openNpy(source: FileSource): Promise<NpyFile> {
  const file = await openFile(source, 'npy file');
  let header: NpyHeader;
  try {
    header = await readNpyHeader(file, file.path, (problem) => {
      throw new FormatError(`${file.path} is not an npy file that can be read: ${problem}`);
    });
  } catch (error) {
    await file.close();
    throw error;
  }
  return npyFile(file, header);
}

/**
 * Reads an array into memory.
 *
 * @throws FormatError as `openNpy` does.
 */
export async function readNpy(source: FileSource): Promise<NpyArray> {
  const file = await openNpy(source);
  try {
    return await file.read();
  } finally {
    await file.close();
  }
}

/** The header and the data of an npy file, and how many bytes they are together. */
export function encodeNpy(
  intent: string,
  { data, shape, dtype = dtypeOf(data) }: NpySource,
): { header: Uint8Array; chunks: Iterable<Uint8Array>; bytes: number } {
  const fail = (problem: string): never => {
    throw new FormatError(`${intent}: ${problem}`);
  };
  if (!Object.hasOwn(npyTypes, dtype)) fail(`dtype ${dtype} is none of ${Object.keys(npyTypes).join(', ')}`);
  const type = npyTypes[dtype];
  if (!isShape(shape)) fail(`shape ${JSON.stringify(shape)} is not a list of integers >= 0`);
  const elements = elementCount(shape, (problem) => fail(`the array ${problem}`));
  if (elements !== data.length) {
    fail(`${data.length} elements do not fill shape [${shape}]; expected integers >= 0 with that product`);
  }
  const problem = problemWith(data, type, elements, shape);
  if (problem !== undefined) fail(`the array ${problem}`);
  const header = encodeNpyHeader(dtype, shape);
  const size = Number(dtype.slice(2));
  return { header, chunks: encode(type, data), bytes: header.length + elements * size };
}

function dtypeOf(data: ElementArray): NpyDtype {
  const kind =
    data instanceof Float32Array || data instanceof Float64Array
      ? 'f'
      : /^(Big)?Int/.test(data.constructor.name)
        ? 'i'
        : 'u';
  const size = data.BYTES_PER_ELEMENT;
  return `${size === 1 ? '|' : '<'}${kind}${size}` as NpyDtype;
}

function npyFile(file: OpenFile, { dtype, shape, layout }: NpyHeader): NpyFile {
  const read = async (options: ReadOptions = {}): Promise<NpyArray> => {
    const tensor = await readLayout(file, layout, options, (problem) => {
      throw new FormatError(`${file.path}: the array ${problem}`);
    });
    return { dtype, ...tensor } as NpyArray;
  };
  return {
    path: file.path,
    dtype,
    shape,
    read: read as NpyFile['read'],
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

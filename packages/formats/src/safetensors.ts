/**
 * Named tensors in one file, as Hugging Face's safetensors lays them out: a header of names, dtypes and shapes, then
 * the raw little-endian data. Source: https://huggingface.co/docs/safetensors
 */

import type { Tensor } from '@dawnchorus/tensor';
import { writeAtomically } from '#atomic';
import { type FileSource, openFile, withFile } from './bytes.ts';
import { type ElementArray, type ElementArrays, elementCount, elementTypes, isShape } from './elements.ts';
import { encode, problemWith, type Writable } from './encode.ts';
import { fileTypeOf, isEngineTensor } from './engineTensor.ts';
import { FormatError } from './error.ts';
import { readLayout, rowMajor } from './layout.ts';
import {
  encodeHeader,
  isDtype,
  knownDtypes,
  parseHeader,
  type SafetensorsDtype,
  type SafetensorsHeader,
  type SafetensorsHeaderEntry,
} from './safetensorsHeader.ts';
import { readAll, type TensorFile, tensorFile } from './tensorFile.ts';

export type { SafetensorsDtype, SafetensorsHeader, SafetensorsHeaderEntry } from './safetensorsHeader.ts';

/** The array that holds each dtype in memory: half-precision floats are widened, booleans are 0 or 1. */
export type SafetensorsArrays = ElementArrays;

/** `dtype` is that of the file; `data` holds the elements in C order, as many as the product of `shape` ([]: one). */
export type SafetensorsTensor = {
  [D in SafetensorsDtype]: { dtype: D; shape: readonly number[]; data: SafetensorsArrays[D] };
}[SafetensorsDtype];

/** What `writeSafetensors` takes: as above, or with `data` a function that is called when its turn to be written comes. */
export type SafetensorsSource = {
  [D in SafetensorsDtype]: {
    dtype: D;
    shape: readonly number[];
    /** Elements in C order, or what makes them. */
    data: Writable<D> | (() => Writable<D> | Promise<Writable<D>>);
  };
}[SafetensorsDtype];

/** An open safetensors file. */
export type SafetensorsFile = TensorFile<SafetensorsHeaderEntry, SafetensorsTensor> & {
  metadata: Readonly<Record<string, string>>;
};

const what = 'safetensors file';

/**
 * Opens a file and checks its header; tensors are read one at a time, when they are asked for.
 *
 * @param source - a path, or the bytes of a file.
 * @throws FormatError if the file is missing, cut short, or its header is wrong.
 */
export async function openSafetensors(source: FileSource): Promise<SafetensorsFile> {
  const file = await openFile(source, what);
  let header: SafetensorsHeader;
  try {
    header = await parseHeader(file.path, file);
  } catch (error) {
    await file.close();
    throw error;
  }
  const tensors = tensorFile<SafetensorsHeaderEntry, SafetensorsTensor>(
    file,
    header.tensors,
    ({ dtype: type, shape, offsets }, options, name) => {
      const layout = { type, begin: header.dataStart + offsets[0], shape, strides: rowMajor(shape), start: 0 };
      return readLayout(file, layout, options, (problem) => {
        throw new FormatError(`${file.path}: tensor "${name}" ${problem}`);
      });
    },
    header.unreadable,
  );
  return { ...tensors, metadata: header.metadata };
}

/**
 * Reads every tensor of a file, in the order of its header. F16 and BF16 are widened to Float32Array.
 *
 * @throws FormatError as `openSafetensors` does, or if a tensor is of a dtype that is not read.
 */
export async function readSafetensors(source: FileSource): Promise<Map<string, SafetensorsTensor>> {
  const file = await openSafetensors(source);
  try {
    return await readAll(file);
  } finally {
    await file.close();
  }
}

/** Reads names, dtypes, shapes, places and metadata only, with the same checks and errors as `readSafetensors`. */
export async function readSafetensorsHeader(source: FileSource): Promise<SafetensorsHeader> {
  return withFile(source, what, (file) => parseHeader(file.path, file));
}

/**
 * Writes tensors atomically: `path` holds either the old file or the whole new one. Tensors are written one at a time,
 * those with larger elements first so that each is aligned, and otherwise in the order given; with `data` as a function
 * only one needs to be in memory. Tensors of the engine, such as a module's `stateDict()`, are written as they are, and
 * read back when their turn comes. F16 and BF16 are rounded to nearest from Float32Array, F32 from Float64Array; F64, I64
 * and U64 are also made of Float32Array, Int32Array and Uint32Array.
 *
 * @throws FormatError before writing if a name occurs twice or a dtype, shape or array do not fit each other; while
 * writing as `writeAtomically` does.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [name: string, tensor: SafetensorsSource | Tensor]>,
  metadata?: Record<string, string>,
): Promise<void> {
  const sources = [...tensors].map(([name, tensor]) => ({ name, ...sourceOf(tensor) }));
  checkSources(path, sources, metadata);
  sources.sort((a, b) => elementTypes[b.dtype].bytes - elementTypes[a.dtype].bytes);
  const { header, dataBytes } = encodeHeader(sources, metadata);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield header;
    for (const source of sources) {
      const data = typeof source.data === 'function' ? await source.data() : source.data;
      checkData(path, source, data);
      yield* encode(source.dtype, data as ElementArray);
    }
  }
  await writeAtomically(path, chunks(), { what, bytes: header.length + dataBytes });
}

type NamedSource = SafetensorsSource & { name: string };

const sourceOf = (tensor: SafetensorsSource | Tensor): SafetensorsSource =>
  isEngineTensor(tensor)
    ? ({ dtype: fileTypeOf(tensor), shape: tensor.shape, data: () => tensor.data() } as SafetensorsSource)
    : tensor;

function checkSources(path: string, sources: NamedSource[], metadata: Record<string, string> = {}): void {
  const names = new Set<string>();
  for (const source of sources) {
    const fail = (problem: string): never => {
      throw new FormatError(`cannot write ${path}: tensor "${source.name}" ${problem}`);
    };
    if (source.name === '__metadata__' || names.has(source.name)) {
      fail(
        names.has(source.name)
          ? 'occurs twice; rename one'
          : 'has the name that the format keeps for metadata; rename it',
      );
    }
    names.add(source.name);
    if (!isDtype(source.dtype)) {
      fail(`has dtype ${JSON.stringify((source as { dtype: unknown }).dtype)}, expected one of ${knownDtypes()}`);
    }
    if (!isShape(source.shape)) {
      fail(`has shape ${JSON.stringify(source.shape)}, expected a list of integers >= 0`);
    }
    elementCount(source.shape, fail);
    if (typeof source.data !== 'function') {
      checkData(path, source, source.data);
    }
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new FormatError(`cannot write ${path}: metadata "${key}" is ${JSON.stringify(value)}, expected a string`);
    }
  }
}

function checkData(path: string, { name, dtype, shape }: NamedSource, data: unknown): void {
  const problem = problemWith(data, dtype, elementCount(shape), shape);
  if (problem !== undefined) throw new FormatError(`cannot write ${path}: tensor "${name}" ${problem}`);
}

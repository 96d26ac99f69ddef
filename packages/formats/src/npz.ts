/**
 * Several named arrays in a zip archive of npy files, as NumPy's savez and savez_compressed write them.
 * Source: https://numpy.org/doc/stable/reference/generated/numpy.savez.html
 */

import type { Tensor } from '@dawnchorus/tensor';
import { writeAtomically } from '#atomic';
import { type FileSource, type OpenFile, openFile } from './bytes.ts';
import { fileTypeOf, isEngineTensor } from './engineTensor.ts';
import { type Fail, FormatError, UnsupportedArray } from './error.ts';
import { type ReadOptions, readLayout } from './layout.ts';
import { encodeNpy, type NpyArray, type NpyDtype, type NpySource } from './npy.ts';
import { type NpyHeader, npyTypes, readNpyHeader } from './npyHeader.ts';
import { readAll, type TensorFile, tensorFile } from './tensorFile.ts';
import { readDirectory, type ZipEntry } from './zip/directory.ts';
import { type EntryBytes, openEntry } from './zip/entry.ts';
import { writeZip, type ZipSource } from './zip/write.ts';

/** What is known of an array before it is read. */
export type NpzEntry = { dtype: NpyDtype; shape: readonly number[] };

/** An open npz file. */
export type NpzFile = TensorFile<NpzEntry, NpyArray>;

/** What a file may cost. */
export type NpzOptions = {
  /**
   * Bytes that a compressed array may inflate to; by default a hundred times what it takes in the file, or 1 MiB where that
   * is more. Music, weights and features stay far below; an array of almost nothing but zeros, in a file that you trust,
   * needs more.
   */
  maxInflatedBytes?: number;
};

const what = 'npz file';
const suffix = '.npy';

/**
 * Opens an npz file and checks its directory and the headers of its arrays; each array is read when it is asked for. Its
 * checksum and size are checked before its first reading, in a pass that keeps nothing, so broken data cost no memory.
 * Files in the archive that do not end in .npy are passed over.
 *
 * @param source - a path, or the bytes of a file.
 * @throws FormatError if the file is missing, no sound zip archive, or an array's header is broken or lies about its size.
 */
export async function openNpz(source: FileSource, options: NpzOptions = {}): Promise<NpzFile> {
  const file = await openFile(source, what);
  try {
    return await openArrays(file, options);
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Reads every array of a file, in the order of its directory.
 *
 * @throws FormatError as `openNpz` does, or if an array is of a type that is not read.
 */
export async function readNpz(source: FileSource, options?: NpzOptions): Promise<Map<string, NpyArray>> {
  const file = await openNpz(source, options);
  try {
    return await readAll(file);
  } finally {
    await file.close();
  }
}

/**
 * Writes arrays atomically, one at a time, as `numpy.savez` does, or with `compress` as `numpy.savez_compressed`. With an
 * array as a function only one needs to be in memory; a tensor of the engine is read back when its turn comes.
 *
 * @throws FormatError if a name occurs twice, or data, shape and dtype of an array do not agree; while writing as
 * `writeAtomically` does.
 */
export async function writeNpz(
  path: string,
  arrays: Iterable<readonly [name: string, array: NpySource | Tensor | (() => NpySource | Promise<NpySource>)]>,
  { compress = false }: { compress?: boolean } = {},
): Promise<void> {
  const sources = [...arrays].map(([name, array]) => [name, sourceOf(array)] as const);
  const names = new Set<string>();
  for (const [name, array] of sources) {
    if (names.has(name)) throw new FormatError(`cannot write ${path}: array "${name}" occurs twice; rename one`);
    if (new TextEncoder().encode(name).length > 65535 - suffix.length) {
      throw new FormatError(`cannot write ${path}: the name of an array is too long for zip: ${name.slice(0, 80)}…`);
    }
    names.add(name);
    if (typeof array !== 'function') encodeNpy(`cannot write ${path}: array "${name}"`, array);
  }
  async function* entries(): AsyncGenerator<ZipSource> {
    for (const [name, array] of sources) {
      const source = typeof array === 'function' ? await array() : array;
      const { header, chunks, bytes } = encodeNpy(`cannot write ${path}: array "${name}"`, source);
      yield { name: name + suffix, bytes, chunks: [header, ...chunks] };
    }
  }
  await writeAtomically(path, writeZip(entries(), compress), { what });
}

/** A tensor of the engine as a function, for its elements are not here yet. */
const sourceOf = <S>(array: S | Tensor): S | (() => Promise<NpySource>) =>
  isEngineTensor(array)
    ? async () => {
        const dtype = Object.entries(npyTypes).find(([, type]) => type === fileTypeOf(array))?.[0];
        return { dtype, shape: array.shape, data: await array.data() } as NpySource;
      }
    : (array as S);

type Opened = NpzEntry & { header: NpyHeader; bytes: EntryBytes };

async function openArrays(file: OpenFile, { maxInflatedBytes }: NpzOptions): Promise<NpzFile> {
  const fail: Fail = (problem) => {
    throw new FormatError(`${file.path} is not an npz file that can be read: ${problem}`);
  };
  const tensors = new Map<string, Opened>();
  const unreadable = new Map<string, string>();
  for (const entry of (await readDirectory(file, fail)).values()) {
    if (!entry.name.endsWith(suffix)) continue;
    const name = entry.name.slice(0, -suffix.length);
    try {
      tensors.set(name, await openArray(file, entry, name, fail));
    } catch (error) {
      if (!(error instanceof UnsupportedArray)) throw error;
      unreadable.set(name, error.message);
    }
    const allowed = maxInflatedBytes ?? Math.max(2 ** 20, 100 * entry.storedSize);
    if (entry.deflated && entry.size > allowed) {
      tensors.delete(name);
      unreadable.set(
        name,
        `${file.path}: array "${name}" inflates to ${entry.size} bytes, at most ${allowed} are allowed; ` +
          'raise maxInflatedBytes if you trust the file',
      );
    }
  }
  const read = async ({ header, bytes }: Opened, options: ReadOptions, name: string) => {
    await bytes.verify();
    return readLayout(bytes, header.layout, options, (problem) => {
      throw new FormatError(`${file.path}: array "${name}" ${problem}`);
    });
  };
  return tensorFile<Opened, NpyArray>(file, tensors, read, unreadable);
}

async function openArray(file: OpenFile, entry: ZipEntry, name: string, fail: Fail): Promise<Opened> {
  const bytes = await openEntry(file, entry, fail);
  const header = await readNpyHeader(bytes, `${file.path}: array "${name}"`, (problem) =>
    fail(`array "${name}": ${problem}`),
  );
  return { dtype: header.dtype, shape: header.shape, header, bytes };
}

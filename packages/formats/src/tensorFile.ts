import type { Conversion, ConvertedArrays, ElementArray } from './elements.ts';
import { FormatError } from './error.ts';
import type { ReadOptions } from './layout.ts';

/** A tensor whose elements were converted: `dtype` is still that of the file. */
export type ConvertedTensor<Dtype extends string, As extends Conversion> = {
  dtype: Dtype;
  shape: readonly number[];
  data: ConvertedArrays[As];
};

/** An open file of named tensors, of which each is read when it is asked for. Close it when done. */
export interface TensorFile<Entry extends { dtype: string }, Tensor> {
  readonly path: string;
  /** Names, dtypes and shapes, in the order of the file. */
  readonly tensors: ReadonlyMap<string, Entry>;
  /** Why tensors are left out of `tensors` that are sound, but of types that are not read. */
  readonly unreadable: ReadonlyMap<string, string>;
  /**
   * Reads one tensor, in C order.
   *
   * @throws FormatError if there is none of that name, it is one of `unreadable`, its bytes are broken, or the options do not suit it.
   */
  read<As extends Conversion>(
    name: string,
    options: ReadOptions<As> & { as: As },
  ): Promise<ConvertedTensor<Entry['dtype'], As>>;
  /** The same without a conversion. */
  read(name: string, options?: ReadOptions): Promise<Tensor>;
  /** Gives the file back. */
  close(): Promise<void>;
  /** `await using` closes it. */
  [Symbol.asyncDispose](): Promise<void>;
}

/** A file whose tensors `readEntry` reads; the readers of all formats are made of it. */
export function tensorFile<Entry extends { dtype: string }, Tensor>(
  file: { path: string; close(): Promise<void> },
  tensors: ReadonlyMap<string, Entry>,
  readEntry: (
    entry: Entry,
    options: ReadOptions,
    name: string,
  ) => Promise<{ shape: readonly number[]; data: ElementArray }>,
  unreadable: ReadonlyMap<string, string> = new Map(),
): TensorFile<Entry, Tensor> {
  const read = async (name: string, options: ReadOptions = {}): Promise<Tensor> => {
    const reason = unreadable.get(name);
    if (reason !== undefined) throw new FormatError(reason);
    const entry = tensors.get(name);
    if (entry === undefined) {
      const some = [...tensors.keys()].slice(0, 5).map((known) => `"${known}"`);
      const more = tensors.size > some.length ? ` and ${tensors.size - some.length} more` : '';
      throw new FormatError(`${file.path} holds no tensor "${name}"; it holds ${some.join(', ') || 'none'}${more}`);
    }
    return { dtype: entry.dtype, ...(await readEntry(entry, options, name)) } as Tensor;
  };
  return {
    path: file.path,
    tensors,
    unreadable,
    read: read as TensorFile<Entry, Tensor>['read'],
    close: () => file.close(),
    [Symbol.asyncDispose]: () => file.close(),
  };
}

/** Every tensor of a file; fails if it has one that is not read. */
export async function readAll<Tensor>(file: TensorFile<{ dtype: string }, Tensor>): Promise<Map<string, Tensor>> {
  const tensors = new Map<string, Tensor>();
  for (const reason of file.unreadable.values()) throw new FormatError(`${reason}; open the file to read the others`);
  for (const name of file.tensors.keys()) tensors.set(name, await file.read(name));
  return tensors;
}

/**
 * Checkpoints of PyTorch: a zip archive of a pickle and the elements of tensors, as torch.save writes it from 1.6 on.
 * Source: https://docs.pytorch.org/docs/stable/notes/serialization.html
 */
import { type FileSource, type OpenFile, openFile, readBytes } from '../bytes.ts';
import { elementCount, elementTypes } from '../elements.ts';
import { describe, type Fail, FormatError, shorten } from '../error.ts';
import { type ReadOptions, readLayout } from '../layout.ts';
import type { SafetensorsTensor } from '../safetensors.ts';
import { type TensorFile, tensorFile } from '../tensorFile.ts';
import { readDirectory, type ZipEntry } from '../zip/directory.ts';
import { type EntryBytes, openEntry } from '../zip/entry.ts';
import { StorageClass, TorchStorage, type TorchView, torchGlobals } from './globals.ts';
import { nameTensors } from './names.ts';
import { maxPickleBytes, unpickle } from './pickle.ts';
import { checkTotal, identity } from './sharing.ts';

export type { TorchView, UnreadableTensor } from './globals.ts';
export type { PickledArray } from './numpy.ts';
export { PickledObject } from './pickle.ts';

/** A tensor as the reader of safetensors gives it, with the same names of dtypes, so that either takes the other's place. */
export type TorchTensor = SafetensorsTensor;

/** An open checkpoint. */
export type TorchFile = TensorFile<TorchView, TorchTensor> & {
  /**
   * Everything in the file: Map for dictionaries (counters, default dictionaries and namespaces, too), Array for lists and
   * tuples, Set, number, bigint beyond 2^53, string (a dtype, device, type or path, too), boolean, null, Uint8Array,
   * `{ real, imag }` for complex numbers, PickledArray for arrays of NumPy, TorchView for tensors, UnreadableTensor for
   * those that are not read, and PickledObject for what has no counterpart: states of random generators, ranges.
   */
  readonly content: unknown;
};

/** What is checked, and what a file may cost. */
export type TorchOptions = {
  /**
   * Whether the checksum of a storage is checked before its first tensor is read; default true. A file written under
   * `torch.serialization.set_crc32_options(False)` has wrong ones.
   */
  checksum?: boolean;
  /**
   * Bytes of a tensor that repeats elements of its storage, as `expand` makes them, and for `loadTorchStateDict` all bytes
   * that tensors take beyond the storages that they are views of; by default as many as the file has, or 1 MiB where that
   * is more.
   */
  maxExpandedBytes?: number;
};

/**
 * Opens a `.pt`, `.pth` or `.bin` file of torch.save and lists its tensors; each is read when it is asked for. No code is
 * run: a pickle that asks for anything but tensors, dictionaries, lists, numbers and text is an error that names it.
 *
 * @param source - a path, or the bytes of a file.
 * @throws FormatError if the file is missing, broken, older than PyTorch 1.6, or asks for something else.
 */
export async function openTorch(source: FileSource, options: TorchOptions = {}): Promise<TorchFile> {
  return (await openLimited(source, options)).file;
}

/** With the bytes that tensors may take beyond their storages. */
async function openLimited(source: FileSource, options: TorchOptions): Promise<{ file: TorchFile; allowed: number }> {
  const file = await openFile(source, 'PyTorch checkpoint');
  const allowed = options.maxExpandedBytes ?? Math.max(2 ** 20, file.size);
  try {
    return { file: await openCheckpoint(file, options.checksum ?? true, allowed), allowed };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/**
 * Reads tensors into memory by name, as `readSafetensors` does. With `prefix` only those whose names begin so, and without
 * it: `'model.'` of a file that was saved as `{'model': model.state_dict(), 'optimizer': …}`. Tensors that are the same
 * view of the same storage, as tied weights are, share one array.
 *
 * @throws FormatError as `openTorch` does, if no tensor begins with the prefix, or one that is not read does, or if different views of the same storages
 * take more memory than `maxExpandedBytes` allows.
 */
export async function loadTorchStateDict(
  source: FileSource,
  { prefix = '', ...options }: TorchOptions & { prefix?: string } = {},
): Promise<Map<string, TorchTensor>> {
  const { file, allowed } = await openLimited(source, options);
  try {
    const names = [...file.tensors.keys()].filter((name) => name.startsWith(prefix));
    for (const [name, reason] of file.unreadable) {
      if (name.startsWith(prefix)) throw new FormatError(`${reason}; openTorch reads the others`);
    }
    if (names.length === 0 && prefix !== '') {
      const groups = [...new Set([...file.tensors.keys()].map((name) => name.split('.')[0]))];
      throw new FormatError(
        `${file.path} holds no tensor whose name begins with "${prefix}"; they begin with ${groups.slice(0, 8).join(', ')}`,
      );
    }
    const views = names.map((name) => [name, file.tensors.get(name) as TorchView] as const);
    checkTotal(file.path, views, allowed);
    const tensors = new Map<string, TorchTensor>();
    const seen = new Map<string, TorchTensor>();
    for (const [name, view] of views) {
      const tensor = seen.get(identity(view)) ?? (await file.read(name));
      seen.set(identity(view), tensor);
      tensors.set(name.slice(prefix.length), tensor);
    }
    return tensors;
  } finally {
    await file.close();
  }
}

async function openCheckpoint(file: OpenFile, checksum: boolean, maxExpandedBytes: number): Promise<TorchFile> {
  const fail: Fail = (problem) => {
    throw new FormatError(`${file.path} is not a PyTorch checkpoint that can be read: ${problem}`);
  };
  await refuseLegacy(file, fail);
  const entries = await readDirectory(file, fail);
  const pickles = [...entries.keys()].filter((name) => /^[^/]+\/data\.pkl$/.test(name));
  if (pickles.length !== 1) fail(`it holds ${pickles.length} files NAME/data.pkl, expected one`);
  const folder = pickles[0].slice(0, -'data.pkl'.length);
  const readEntry = async (entry: ZipEntry): Promise<Uint8Array> => {
    const bytes = await openStored(file, entry, fail);
    await bytes.verify();
    return readBytes(bytes, 0, bytes.size);
  };

  const byteorder = entries.get(`${folder}byteorder`);
  const order = byteorder ? new TextDecoder().decode((await readEntry(byteorder)).subarray(0, 80)) : 'little';
  if (order !== 'little' && order !== 'big') fail(`its byteorder is ${describe(order)}, expected little or big`);
  const pickleEntry = entries.get(pickles[0]) as ZipEntry;
  if (pickleEntry.size > maxPickleBytes) {
    fail(`its pickle has ${pickleEntry.size} bytes, at most ${maxPickleBytes} are read; save long lists as tensors`);
  }
  const pickle = await readEntry(pickleEntry);
  const persistent = (id: unknown): TorchStorage => findStorage(id, folder, entries, fail);
  const content = unpickle(pickle, { ...torchGlobals(pickle.length, fail), persistent }, fail);

  const storages = new Map<string, Promise<EntryBytes>>();
  const open = (name: string): Promise<EntryBytes> => {
    const opened = storages.get(name) ?? openStored(file, entries.get(name) as ZipEntry, fail);
    storages.set(name, opened);
    return opened;
  };
  const read = async (view: TorchView, options: ReadOptions, name: string) => {
    const failTensor: Fail = (problem) => {
      throw new FormatError(`${file.path}: tensor "${name}" ${problem}`);
    };
    const { dtype: type, shape, strides, storageOffset: start, storage } = view;
    const bytes = elementCount(shape, failTensor) * elementTypes[type].bytes;
    if (bytes > Math.max(storage.bytes, maxExpandedBytes)) {
      failTensor(
        `makes ${bytes} bytes of a storage of ${storage.bytes}, at most ${maxExpandedBytes} are allowed; read it by ` +
          'rows, or raise maxExpandedBytes if you trust the file',
      );
    }
    const stored = await open(storage.entry);
    if (checksum) await stored.verify();
    return readLayout(
      stored,
      { type, bigEndian: order === 'big', begin: 0, shape, strides, start },
      options,
      failTensor,
    );
  };
  const { tensors, unreadable } = nameTensors(content, file.path, pickle.length, fail);
  return { ...tensorFile<TorchView, TorchTensor>(file, tensors, read, unreadable), content };
}

/** torch.save compresses nothing, so what is there is never larger than the file. */
async function openStored(file: OpenFile, entry: ZipEntry, fail: Fail): Promise<EntryBytes> {
  if (entry.deflated) fail(`entry "${shorten(entry.name)}" is compressed, which torch.save never does; save it again`);
  return openEntry(file, entry, fail);
}

/** A storage by what the pickle calls it: ('storage', class, key, location, number of elements). */
function findStorage(id: unknown, folder: string, entries: Map<string, ZipEntry>, fail: Fail): TorchStorage {
  const [kind, type, key, , count] = Array.isArray(id) ? id : [];
  if (kind !== 'storage' || !(type instanceof StorageClass) || typeof key !== 'string' || !isCount(count)) {
    return fail(`it asks for the stored object ${describe(id)}, expected a storage of tensors`);
  }
  const name = `${folder}data/${key}`;
  const entry = entries.get(name);
  if (entry === undefined) return fail(`it asks for storage "${shorten(name)}", which is not in the archive`);
  const bytes = count * (type.type === undefined ? 1 : elementTypes[type.type].bytes);
  // How others are packed is not known here; their tensors are not read.
  if (type.unread !== undefined) return new TorchStorage(name, undefined, entry.size, type.unread);
  if (entry.size !== bytes) {
    fail(`storage "${shorten(name)}" has ${entry.size} bytes, but ${count} elements of ${type.name} take ${bytes}`);
  }
  return new TorchStorage(name, type.type, bytes);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** Before 1.6 torch.save wrote several pickles one behind the other, the first of them this number. */
async function refuseLegacy(file: OpenFile, fail: Fail): Promise<void> {
  const magic = [0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
  const start = await readBytes(file, 0, Math.min(file.size, 2 + magic.length));
  if (start[0] === 0x80 && magic.every((byte, i) => start[2 + i] === byte)) {
    fail(
      'it is in the format of PyTorch before 1.6 (torch.save with _use_new_zipfile_serialization=False); load it in ' +
        'PyTorch and save it again without that',
    );
  }
}

/**
 * Named tensors in one file, as Hugging Face's safetensors lays them out: a header of names, dtypes and shapes, then
 * the raw little-endian data. Source: https://huggingface.co/docs/safetensors
 */
import { type FileHandle, open } from 'node:fs/promises';
import { writeAtomically } from './atomic.ts';
import { bfloat16ToFloat32, float16ToFloat32, float32ToBfloat16, float32ToFloat16 } from './half.ts';
import {
  byteLength,
  elementSize,
  encodeHeader,
  isDtype,
  isShape,
  knownDtypes,
  parseHeader,
  type ReadAt,
  type SafetensorsDtype,
  type SafetensorsHeader,
} from './safetensorsHeader.ts';

export type { SafetensorsDtype, SafetensorsHeader, SafetensorsHeaderEntry } from './safetensorsHeader.ts';

/** The array that holds each dtype in memory: half-precision floats are widened, booleans are 0 or 1. */
export type SafetensorsArrays = {
  F64: Float64Array;
  F32: Float32Array;
  F16: Float32Array;
  BF16: Float32Array;
  I64: BigInt64Array;
  I32: Int32Array;
  U8: Uint8Array;
  BOOL: Uint8Array;
};

const arrayTypes = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Float32Array,
  BF16: Float32Array,
  I64: BigInt64Array,
  I32: Int32Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
};

/** `dtype` is that of the file; `data` holds the elements in C order, as many as the product of `shape` ([]: one). */
export type SafetensorsTensor = {
  [D in SafetensorsDtype]: { dtype: D; shape: readonly number[]; data: SafetensorsArrays[D] };
}[SafetensorsDtype];

/** What `writeSafetensors` takes: as above, or with `data` a function that is called when its turn to be written comes. */
export type SafetensorsSource = {
  [D in SafetensorsDtype]: {
    dtype: D;
    shape: readonly number[];
    data: SafetensorsArrays[D] | (() => SafetensorsArrays[D] | Promise<SafetensorsArrays[D]>);
  };
}[SafetensorsDtype];

/**
 * Reads every tensor of a file, in the order of its header. F16 and BF16 are widened to Float32Array.
 *
 * @throws if the file is missing, cut short, or its header is wrong or names another dtype.
 */
export async function readSafetensors(path: string): Promise<Map<string, SafetensorsTensor>> {
  return withFile(path, async (readAt, fileBytes) => {
    const header = await parseHeader(path, fileBytes, readAt);
    const tensors = new Map<string, SafetensorsTensor>();
    for (const [name, { dtype, shape, offsets }] of header.tensors) {
      const bytes = await readAt(header.dataStart + offsets[0], offsets[1] - offsets[0]);
      tensors.set(name, { dtype, shape, data: decode(dtype, bytes) } as SafetensorsTensor);
    }
    return tensors;
  });
}

/** Reads names, dtypes, shapes, places and metadata only, with the same checks and errors as `readSafetensors`. */
export async function readSafetensorsHeader(path: string): Promise<SafetensorsHeader> {
  return withFile(path, (readAt, fileBytes) => parseHeader(path, fileBytes, readAt));
}

/**
 * Writes tensors atomically: `path` holds either the old file or the whole new one. Tensors are written one at a time,
 * those with larger elements first so that each is aligned, and otherwise in the order given; with `data` as a function
 * only one needs to be in memory. F16 and BF16 are rounded to nearest from Float32Array.
 *
 * @throws before writing if a name occurs twice or a dtype, shape or array do not fit each other; while writing as
 * `writeAtomically` does.
 */
export async function writeSafetensors(
  path: string,
  tensors: Iterable<readonly [name: string, tensor: SafetensorsSource]>,
  metadata?: Record<string, string>,
): Promise<void> {
  const sources = [...tensors].map(([name, tensor]) => ({ name, ...tensor }));
  checkSources(path, sources, metadata);
  sources.sort((a, b) => elementSize(b.dtype) - elementSize(a.dtype));
  const { header, dataBytes } = encodeHeader(sources, metadata);
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield header;
    for (const source of sources) {
      const data = typeof source.data === 'function' ? await source.data() : source.data;
      checkData(path, source, data);
      yield encode(source.dtype, data);
    }
  }
  await writeAtomically(path, chunks(), { what: 'safetensors file', bytes: header.length + dataBytes });
}

type NamedSource = SafetensorsSource & { name: string };

function checkSources(path: string, sources: NamedSource[], metadata: Record<string, string> = {}): void {
  const names = new Set<string>();
  for (const source of sources) {
    const fail = (problem: string): never => {
      throw new Error(`cannot write ${path}: tensor "${source.name}" ${problem}`);
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
    if (typeof source.data !== 'function') {
      checkData(path, source, source.data);
    }
  }
  for (const [key, value] of Object.entries(metadata)) {
    if (typeof value !== 'string') {
      throw new Error(`cannot write ${path}: metadata "${key}" is ${JSON.stringify(value)}, expected a string`);
    }
  }
}

function checkData(path: string, { name, dtype, shape }: NamedSource, data: unknown): void {
  const fail = (problem: string): never => {
    throw new Error(`cannot write ${path}: tensor "${name}" ${problem}`);
  };
  const expected = arrayTypes[dtype];
  const elements = byteLength(dtype, shape) / elementSize(dtype);
  if (!(data instanceof expected)) {
    const found = (data as object | undefined)?.constructor?.name ?? String(data);
    fail(`is ${dtype}, so its data must be a ${expected.name}, got ${found}`);
  } else if (data.length !== elements) {
    fail(`has ${data.length} elements, but its shape [${shape}] takes ${elements}`);
  } else if (dtype === 'BOOL' && (data as Uint8Array).some((value) => value > 1)) {
    fail('is BOOL, so its data must be 0 or 1');
  }
}

function decode(dtype: SafetensorsDtype, bytes: Uint8Array): SafetensorsTensor['data'] {
  // `bytes` owns its buffer, so it starts at 0 and suits every element size.
  switch (dtype) {
    case 'F16':
      return float16ToFloat32(new Uint16Array(bytes.buffer));
    case 'BF16':
      return bfloat16ToFloat32(new Uint16Array(bytes.buffer));
    default:
      return new arrayTypes[dtype](bytes.buffer as ArrayBuffer);
  }
}

function encode(dtype: SafetensorsDtype, data: SafetensorsTensor['data']): Uint8Array {
  let stored: ArrayBufferView = data;
  if (dtype === 'F16') {
    stored = float32ToFloat16(data as Float32Array);
  } else if (dtype === 'BF16') {
    stored = float32ToBfloat16(data as Float32Array);
  }
  return new Uint8Array(stored.buffer, stored.byteOffset, stored.byteLength);
}

async function withFile<T>(path: string, use: (readAt: ReadAt, fileBytes: number) => Promise<T>): Promise<T> {
  let handle: FileHandle;
  try {
    handle = await open(path, 'r');
  } catch (error) {
    throw new Error(`cannot open safetensors file ${path}: ${(error as Error).message}`, { cause: error });
  }
  try {
    const { size } = await handle.stat();
    return await use((offset, length) => readFully(handle, path, offset, length), size);
  } finally {
    await handle.close();
  }
}

async function readFully(handle: FileHandle, path: string, offset: number, length: number): Promise<Uint8Array> {
  // One read call takes less than 2 GiB.
  const most = 1 << 26;
  const bytes = new Uint8Array(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(most, length - done), offset + done);
    if (bytesRead === 0) {
      throw new Error(`${path} ended at byte ${offset + done} while it was read; does something else write to it?`);
    }
    done += bytesRead;
  }
  return bytes;
}

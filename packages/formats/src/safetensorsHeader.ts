/**
 * The header of a safetensors file: 8 bytes with its length N (little-endian), then N bytes of JSON that give each
 * tensor's dtype, shape and place in the data that follows. Source: https://huggingface.co/docs/safetensors
 */

/** Bytes an element of each dtype takes in the file. */
const elementBytes = { F64: 8, I64: 8, F32: 4, I32: 4, F16: 2, BF16: 2, U8: 1, BOOL: 1 };

export type SafetensorsDtype = keyof typeof elementBytes;

export type SafetensorsHeaderEntry = {
  dtype: SafetensorsDtype;
  shape: number[];
  /** First byte of the tensor and the one behind its last, counted from `dataStart`. */
  offsets: [begin: number, end: number];
};

export type SafetensorsHeader = {
  tensors: Map<string, SafetensorsHeaderEntry>;
  metadata: Record<string, string>;
  /** Offset of the data in the file, in bytes. */
  dataStart: number;
};

/** Longest header the format allows, in bytes. */
const maxHeaderBytes = 100_000_000;

/** Reads `length` bytes at `offset` of a file. */
export type ReadAt = (offset: number, length: number) => Promise<Uint8Array>;

/**
 * Reads and checks the header of a file of `fileBytes` bytes: tensors must have known dtypes, sizes that agree with
 * their shapes, and must fill the data without gaps or overlaps.
 *
 * @throws naming the file, the tensor, what was found and what was expected.
 */
export async function parseHeader(path: string, fileBytes: number, readAt: ReadAt): Promise<SafetensorsHeader> {
  const fail = (problem: string): never => {
    throw new Error(`${path} is not a valid safetensors file: ${problem}`);
  };
  if (fileBytes < 8) {
    fail(
      `it has ${fileBytes} bytes, expected at least the 8 of the header's length; it may have been cut short, copy it again`,
    );
  }
  const prefix = await readAt(0, 8);
  const length = new DataView(prefix.buffer, prefix.byteOffset).getBigUint64(0, true);
  if (length > maxHeaderBytes) {
    fail(
      `its first 8 bytes give a header of ${length} bytes, expected at most ${maxHeaderBytes}; is it in another format?`,
    );
  }
  const dataStart = 8 + Number(length);
  if (dataStart > fileBytes) {
    fail(`its header should end at byte ${dataStart} but the file at ${fileBytes}; it was cut short, copy it again`);
  }
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(await readAt(8, Number(length))));
  } catch (error) {
    fail(`its header is not JSON in UTF-8 (${(error as Error).message})`);
  }
  if (!isRecord(json)) {
    return fail(`its header is ${JSON.stringify(json)}, expected a JSON object of tensors`);
  }
  const { __metadata__: metadata = {}, ...entries } = json;
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    fail('its __metadata__ must be an object whose values are all strings');
  }
  const tensors = new Map<string, SafetensorsHeaderEntry>();
  for (const [name, entry] of Object.entries(entries)) {
    tensors.set(
      name,
      checkEntry(entry, (problem) => fail(`tensor "${name}" ${problem}`)),
    );
  }
  checkCoverage(tensors, fileBytes - dataStart, fail);
  return { tensors, metadata: metadata as Record<string, string>, dataStart };
}

/** Places tensors one behind the other, in the order given, and encodes their header. */
export function encodeHeader(
  tensors: { name: string; dtype: SafetensorsDtype; shape: readonly number[] }[],
  metadata: Record<string, string> | undefined,
): { header: Uint8Array; dataBytes: number } {
  let offset = 0;
  const entries = tensors.map(({ name, dtype, shape }) => {
    const begin = offset;
    offset += byteLength(dtype, shape);
    return [name, { dtype, shape, data_offsets: [begin, offset] }] as const;
  });
  const head = metadata === undefined ? [] : [['__metadata__', metadata] as const];
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries([...head, ...entries])));
  // Spaces up to a multiple of 8, so that the data is aligned for readers that map the file into memory.
  const length = Math.ceil(json.length / 8) * 8;
  if (length > maxHeaderBytes) {
    throw new Error(
      `safetensors header of ${length} bytes: at most ${maxHeaderBytes} are allowed; write several files`,
    );
  }
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return { header, dataBytes: offset };
}

export function elementSize(dtype: SafetensorsDtype): number {
  return elementBytes[dtype];
}

export function isDtype(dtype: unknown): dtype is SafetensorsDtype {
  return typeof dtype === 'string' && Object.hasOwn(elementBytes, dtype);
}

export function isShape(shape: unknown): shape is number[] {
  return Array.isArray(shape) && shape.every((size) => Number.isSafeInteger(size) && size >= 0);
}

export function byteLength(dtype: SafetensorsDtype, shape: readonly number[]): number {
  return elementBytes[dtype] * shape.reduce((product, size) => product * size, 1);
}

export function knownDtypes(): string {
  return Object.keys(elementBytes).join(', ');
}

type Fail = (problem: string) => never;

function checkEntry(entry: unknown, fail: Fail): SafetensorsHeaderEntry {
  if (!isRecord(entry)) {
    return fail(`has the header entry ${JSON.stringify(entry)}, expected an object with dtype, shape and data_offsets`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) {
    return fail(`has dtype ${JSON.stringify(dtype)}, expected one of ${knownDtypes()}; convert it first`);
  }
  if (!isShape(shape)) {
    return fail(`has shape ${JSON.stringify(shape)}, expected a list of integers >= 0`);
  }
  if (!isShape(offsets) || offsets.length !== 2 || offsets[0]! > offsets[1]!) {
    return fail(`has data_offsets ${JSON.stringify(offsets)}, expected [begin, end] with 0 <= begin <= end`);
  }
  const [begin, end] = offsets as [number, number];
  const expected = byteLength(dtype, shape);
  if (end - begin !== expected) {
    return fail(`takes ${end - begin} bytes, but ${dtype} of shape [${shape}] takes ${expected}`);
  }
  return { dtype, shape, offsets: [begin, end] };
}

function checkCoverage(tensors: Map<string, SafetensorsHeaderEntry>, dataBytes: number, fail: Fail): void {
  const byOffset = [...tensors].sort(([, a], [, b]) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1]);
  let end = 0;
  let before = '';
  for (const [name, { offsets }] of byOffset) {
    if (offsets[0] < end) {
      fail(
        `tensor "${name}" begins at byte ${offsets[0]} of the data, inside tensor "${before}", which ends at ${end}`,
      );
    }
    if (offsets[0] > end) {
      fail(`bytes ${end} to ${offsets[0]} of the data, before tensor "${name}", belong to no tensor`);
    }
    end = offsets[1];
    before = name;
  }
  if (end > dataBytes) {
    fail(
      `tensor "${before}" ends at byte ${end} of the data but the file at ${dataBytes}; it was cut short, copy it again`,
    );
  }
  if (end < dataBytes) {
    fail(`${dataBytes - end} bytes behind the last tensor belong to no tensor`);
  }
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

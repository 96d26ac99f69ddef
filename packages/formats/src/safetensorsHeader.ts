/**
 * The header of a safetensors file: 8 bytes with its length N (little-endian), then N bytes of JSON that give each
 * tensor's dtype, shape and place in the data that follows. Source: https://huggingface.co/docs/safetensors
 */
import { type Bytes, readBytes } from './bytes.ts';
import { type ElementType, elementCount, elementTypes, isShape } from './elements.ts';
import { describe, type Fail, FormatError, shorten } from './error.ts';

/** Dtypes by the names that the format gives them. */
export type SafetensorsDtype = ElementType;

/** What a header says of a tensor. */
export type SafetensorsHeaderEntry = {
  dtype: SafetensorsDtype;
  shape: number[];
  /** First byte of the tensor and the one behind its last, counted from `dataStart`. */
  offsets: [begin: number, end: number];
};

/** What stands before the data. */
export type SafetensorsHeader = {
  tensors: Map<string, SafetensorsHeaderEntry>;
  /** Why tensors are left out of `tensors` that are sound, but of a dtype that is not read. */
  unreadable: Map<string, string>;
  metadata: Record<string, string>;
  /** Offset of the data in the file, in bytes. */
  dataStart: number;
};

/** Longest header the format allows, in bytes. */
const maxHeaderBytes = 100_000_000;

/** Bits of an element of the format's dtypes that are not read. What comes later is taken at its word. */
const unreadBits: Readonly<Record<string, number | undefined>> = {
  F4: 4,
  F6_E2M3: 6,
  F6_E3M2: 6,
  F8_E4M3: 8,
  F8_E5M2: 8,
  F8_E8M0: 8,
  F8_E4M3FNUZ: 8,
  F8_E5M2FNUZ: 8,
  C64: 64,
};

/** Levels of a header: the object of all tensors, that of each, and its lists. */
const maxDepth = 3;
/** Keys, objects and lists of a header; a tensor has seven. Files of models have thousands of tensors. */
const maxParts = 2 ** 20;
/** Dimensions of a tensor. */
const maxDimensions = 64;

/**
 * Reads and checks the header of a file: tensors must have sizes that agree with their shapes, and must fill the data
 * without gaps or overlaps. Those of dtypes that are not read are listed apart.
 *
 * @throws FormatError naming the file, the tensor, what was found and what was expected.
 */
export async function parseHeader(path: string, file: Bytes): Promise<SafetensorsHeader> {
  const fail: Fail = (problem) => {
    throw new FormatError(`${path} is not a valid safetensors file: ${problem}`);
  };
  const bytes = await readHeader(file, fail);
  const dataStart = 8 + bytes.length;
  const json = parseJson(bytes, fail);
  const metadata = metadataOf(json, fail);
  const tensors = new Map<string, SafetensorsHeaderEntry>();
  const unreadable = new Map<string, string>();
  const places: Place[] = [];
  for (const name of Object.keys(json)) {
    if (name === '__metadata__') continue;
    const entry = checkEntry(json[name], (problem) => fail(`tensor "${shorten(name)}" ${problem}`));
    const { dtype, shape, offsets } = entry;
    places.push({ name, offsets });
    if (isDtype(dtype)) tensors.set(name, { dtype, shape, offsets });
    else {
      unreadable.set(
        name,
        `${path}: tensor "${shorten(name)}" is of dtype ${dtype}, which is not read; expected one of ${knownDtypes()}`,
      );
    }
  }
  checkCoverage(places, file.size - dataStart, fail);
  return { tensors, unreadable, metadata, dataStart };
}

/** The bytes of the header's JSON. */
async function readHeader(file: Bytes, fail: Fail): Promise<Uint8Array> {
  if (file.size < 8) {
    fail(
      `it has ${file.size} bytes, expected at least the 8 of the header's length; it may have been cut short, copy it again`,
    );
  }
  const prefix = await readBytes(file, 0, 8);
  const length = new DataView(prefix.buffer).getBigUint64(0, true);
  if (length > maxHeaderBytes) {
    fail(
      `its first 8 bytes give a header of ${length} bytes, expected at most ${maxHeaderBytes}; is it in another format?`,
    );
  }
  const end = 8 + Number(length);
  if (end > file.size) {
    fail(`its header should end at byte ${end} but the file at ${file.size}; it was cut short, copy it again`);
  }
  return readBytes(file, 8, end);
}

/** The header as an object with each key once. */
function parseJson(bytes: Uint8Array, fail: Fail): Record<string, unknown> {
  checkSize(bytes, fail);
  let text = '';
  let json: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    json = JSON.parse(text);
  } catch (error) {
    fail(`its header is not JSON in UTF-8 (${shorten((error as Error).message)})`);
  }
  if (!isRecord(json)) return fail(`its header is ${describe(json)}, expected a JSON object of tensors`);
  checkKeys(text, fail);
  return json;
}

function metadataOf(json: Record<string, unknown>, fail: Fail): Record<string, string> {
  const metadata = Object.hasOwn(json, '__metadata__') ? json.__metadata__ : {};
  if (!isRecord(metadata) || Object.values(metadata).some((value) => typeof value !== 'string')) {
    return fail('its __metadata__ must be an object whose values are all strings');
  }
  return metadata as Record<string, string>;
}

/** Places tensors one behind the other, in the order given, and encodes their header. */
export function encodeHeader(
  tensors: { name: string; dtype: SafetensorsDtype; shape: readonly number[] }[],
  metadata: Record<string, string> | undefined,
): { header: Uint8Array; dataBytes: number } {
  let offset = 0;
  const members = tensors.map(({ name, dtype, shape }) => {
    const begin = offset;
    offset += elementTypes[dtype].bytes * elementCount(shape);
    return `${JSON.stringify(name)}:${JSON.stringify({ dtype, shape, data_offsets: [begin, offset] })}`;
  });
  if (metadata !== undefined) members.unshift(`"__metadata__":${JSON.stringify(metadata)}`);
  const json = new TextEncoder().encode(`{${members.join()}}`);
  // Spaces up to a multiple of 8, so that the data is aligned for readers that map the file into memory.
  const length = Math.ceil(json.length / 8) * 8;
  if (length > maxHeaderBytes) {
    throw new FormatError(
      `safetensors header of ${length} bytes: at most ${maxHeaderBytes} are allowed; write several files`,
    );
  }
  const header = new Uint8Array(8 + length).fill(0x20);
  new DataView(header.buffer).setBigUint64(0, BigInt(length), true);
  header.set(json, 8);
  return { header, dataBytes: offset };
}

export function isDtype(dtype: unknown): dtype is SafetensorsDtype {
  return typeof dtype === 'string' && Object.hasOwn(elementTypes, dtype);
}

export function knownDtypes(): string {
  return Object.keys(elementTypes).join(', ');
}

/**
 * Fails if a header is deeper than one of tensors is, or has more parts or longer lists: parsed JSON takes up to thirty times
 * the memory that its text takes, so the text, which may be any bytes, is looked at first.
 */
function checkSize(bytes: Uint8Array, fail: Fail): void {
  let depth = 0;
  let parts = 0;
  let items = 0;
  for (let at = 0; at < bytes.length; at++) {
    switch (bytes[at]) {
      case 0x22: // "
        for (at++; at < bytes.length && bytes[at] !== 0x22; at++) if (bytes[at] === 0x5c) at++;
        break;
      case 0x7b: // {
      case 0x5b: // [
        if (++depth > maxDepth) fail(`its header is more than ${maxDepth} levels deep at byte ${at}`);
        items = 0;
        parts++;
        break;
      case 0x7d: // }
      case 0x5d: // ]
        depth--;
        break;
      case 0x3a: // :
        items = 0;
        parts++;
        break;
      case 0x2c: // ,
        if (++items > maxDimensions) fail(`its header has a list of more than ${maxDimensions} at byte ${at}`);
        break;
    }
    if (parts > maxParts) fail(`its header has more than ${maxParts} keys, objects and lists; write several files`);
  }
}

/**
 * Fails if an object of the header, which must be valid JSON, has a key twice. JSON.parse would keep the last one and say
 * nothing, so that two programs could see two different tensors in one file.
 */
function checkKeys(json: string, fail: Fail): void {
  // Of each object that is open its keys so far; lists have none.
  const open: (Set<string> | undefined)[] = [];
  for (let at = 0; at < json.length; at++) {
    const character = json[at];
    if (character === '{') open.push(new Set());
    else if (character === '[') open.push(undefined);
    else if (character === '}' || character === ']') open.pop();
    else if (character === '"') {
      const begin = at;
      at = closingQuote(json, begin);
      if (!isKey(json, at)) continue;
      const key: string = JSON.parse(json.slice(begin, at + 1));
      if (open.at(-1)?.has(key)) fail(`the key "${shorten(key)}" occurs twice in one object of its header`);
      open.at(-1)?.add(key);
    }
  }
}

/** Where the string ends that begins at a quote of valid JSON. */
function closingQuote(json: string, begin: number): number {
  let at = begin + 1;
  while (json[at] !== '"') at += json[at] === '\\' ? 2 : 1;
  return at;
}

/** Whether the string that ends at a quote of valid JSON is a key. */
function isKey(json: string, end: number): boolean {
  let next = end + 1;
  while (' \t\n\r'.includes(json[next])) next++;
  return json[next] === ':';
}

type Place = { name: string; offsets: [number, number] };

function checkEntry(entry: unknown, fail: Fail): { dtype: string; shape: number[]; offsets: [number, number] } {
  if (!isRecord(entry)) {
    return fail(`has the header entry ${describe(entry)}, expected an object with dtype, shape and data_offsets`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (typeof dtype !== 'string' || !/^[A-Z][A-Z0-9_]{0,30}$/.test(dtype)) {
    return fail(`has dtype ${describe(dtype)}, expected one of ${knownDtypes()}`);
  }
  if (!isShape(shape)) {
    return fail(`has shape ${describe(shape)}, expected a list of integers >= 0`);
  }
  if (!isShape(offsets) || offsets.length !== 2 || offsets[0] > offsets[1]) {
    return fail(`has data_offsets ${describe(offsets)}, expected [begin, end] with 0 <= begin <= end`);
  }
  const [begin, end] = offsets as [number, number];
  const count = elementCount(shape, fail);
  const bits = isDtype(dtype) ? 8 * elementTypes[dtype].bytes : unreadBits[dtype];
  const expected = bits === undefined ? end - begin : Math.ceil((bits * count) / 8);
  if (end - begin !== expected) {
    return fail(`takes ${end - begin} bytes, but ${dtype} of shape [${shape}] takes ${expected}`);
  }
  return { dtype, shape, offsets: [begin, end] };
}

function checkCoverage(places: Place[], dataBytes: number, fail: Fail): void {
  const byOffset = places.sort((a, b) => a.offsets[0] - b.offsets[0] || a.offsets[1] - b.offsets[1]);
  let end = 0;
  let before = '';
  for (const { name: whole, offsets } of byOffset) {
    const name = shorten(whole);
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

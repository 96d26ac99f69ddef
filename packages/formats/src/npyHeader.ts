/**
 * The header of an npy file: 6 bytes of magic, a version, the header's length and a Python dictionary of descr,
 * fortran_order and shape. Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
 */
import { type Bytes, readBytes } from './bytes.ts';
import { type ElementType, elementCount, elementTypes } from './elements.ts';
import { describe, type Fail, shorten, UnsupportedArray } from './error.ts';
import { columnMajor, type Layout, rowMajor } from './layout.ts';

/** NumPy's type strings, and what safetensors calls the same. */
export const npyTypes = {
  '<f8': 'F64',
  '<f4': 'F32',
  '<f2': 'F16',
  '<i8': 'I64',
  '<i4': 'I32',
  '<i2': 'I16',
  '|i1': 'I8',
  '<u8': 'U64',
  '<u4': 'U32',
  '<u2': 'U16',
  '|u1': 'U8',
  '|b1': 'BOOL',
} as const satisfies Record<string, ElementType>;

/** NumPy's type strings of what can be read and written. */
export type NpyDtype = keyof typeof npyTypes;

export type NpyHeader = { dtype: NpyDtype; shape: number[]; layout: Layout };

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** Longest header that is read, in bytes; NumPy's own limit. Those of plain arrays have about a hundred. */
const maxHeaderBytes = 10_000;

/** Read at once, so that nearly every header takes one read. */
const firstBytes = 512;

/**
 * Reads and checks the header; the data must fill the rest of `bytes` exactly.
 *
 * @param path - for messages of the arrays that are sound but of a type that is not read.
 */
export async function readNpyHeader(bytes: Bytes, path: string, fail: Fail): Promise<NpyHeader> {
  const first = await readBytes(bytes, 0, Math.min(firstBytes, bytes.size));
  if (first.length < 12 || magic.some((byte, index) => first[index] !== byte)) {
    fail('it does not begin with the bytes \\x93NUMPY and a header');
  }
  const version = first[6];
  if (version < 1 || version > 3 || first[7] !== 0) {
    fail(`it is of version ${version}.${first[7]}, expected 1.0, 2.0 or 3.0`);
  }
  const prefix = version === 1 ? 10 : 12;
  const view = new DataView(first.buffer);
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const dataStart = prefix + length;
  if (dataStart > bytes.size) {
    fail(`its header should end at byte ${dataStart} but the file at ${bytes.size}; it was cut short, copy it again`);
  }
  if (length > maxHeaderBytes) {
    fail(`its header has ${length} bytes, expected at most ${maxHeaderBytes}; is it a structured array?`);
  }
  const whole = dataStart <= first.length ? first : await readBytes(bytes, 0, dataStart);
  const header = decodeText(whole.subarray(prefix, dataStart), version, fail);
  const { dtype, bigEndian, fortran, shape } = parseDictionary(header, path, fail);
  const type = npyTypes[dtype];
  const needed = elementCount(shape, fail) * elementTypes[type].bytes;
  if (bytes.size - dataStart !== needed) {
    fail(`${dtype} of shape [${shape}] takes ${needed} bytes, but ${bytes.size - dataStart} follow the header`);
  }
  const strides = fortran ? columnMajor(shape) : rowMajor(shape);
  return { dtype, shape, layout: { type, bigEndian, begin: dataStart, shape, strides, start: 0 } };
}

/** A header of version 1.0 in C order, padded so that the data is aligned to 64 bytes. */
export function encodeNpyHeader(dtype: NpyDtype, shape: readonly number[]): Uint8Array {
  const tuple = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const dictionary = `{'descr': '${dtype}', 'fortran_order': False, 'shape': ${tuple}, }`;
  const prefix = magic.length + 4;
  const dataStart = Math.ceil((prefix + dictionary.length + 1) / 64) * 64;
  const header = new Uint8Array(dataStart).fill(0x20);
  header.set([...magic, 1, 0]);
  new DataView(header.buffer).setUint16(magic.length + 2, dataStart - prefix, true);
  header.set(new TextEncoder().encode(dictionary), prefix);
  header[dataStart - 1] = 0x0a;
  return header;
}

function decodeText(bytes: Uint8Array, version: number, fail: Fail): string {
  try {
    return new TextDecoder(version === 3 ? 'utf-8' : 'latin1', { fatal: true }).decode(bytes);
  } catch {
    return fail('its header is not text in UTF-8');
  }
}

function parseDictionary(header: string, path: string, fail: Fail) {
  const broken = (): never =>
    fail(`its header is ${describe(header.trim())}, expected a dictionary of descr, fortran_order and shape`);
  let at = 0;
  const next = (pattern: RegExp): string | undefined => {
    pattern.lastIndex = at;
    const match = pattern.exec(header);
    if (match === null) return undefined;
    at = pattern.lastIndex;
    return match[1];
  };
  const found: Record<string, string> = {};
  if (next(/\s*(\{)/y) === undefined) broken();
  while (next(/\s*(\})\s*$/y) === undefined) {
    const key = next(/\s*['"](descr|fortran_order|shape)['"]\s*:\s*/y) ?? broken();
    if (key in found) fail(`its header has the key ${key} twice`);
    if (key === 'descr' && '[{('.includes(header[at] ?? ' ')) refuse(path, 'records of several fields');
    const value = { descr: /['"]([^'"\\]*)['"]/y, fortran_order: /(True|False)/y, shape: /\(([\d\sL,]*)\)/y }[key];
    found[key] = next(value as RegExp) ?? broken();
    if (next(/\s*(,)/y) === undefined && !/^\s*\}/.test(header.slice(at))) broken();
  }
  const { descr, fortran_order: order, shape: tuple } = found;
  if (descr === undefined || order === undefined || tuple === undefined) return broken();
  const shape = parseTuple(tuple) ?? broken();
  return { ...parseDtype(descr, path), fortran: order === 'True', shape };
}

/** The numbers between the parentheses of a tuple; NumPy under Python 2 wrote an L behind each. */
function parseTuple(text: string): number[] | undefined {
  const parts = text.split(',');
  const last = parts.pop() as string;
  if (last.trim() !== '') {
    // (3) is a number to Python and (3,) a tuple.
    if (parts.length === 0) return undefined;
    parts.push(last);
  }
  const shape = parts.map((part) => (/^\s*\d+L?\s*$/.test(part) ? Number.parseInt(part, 10) : Number.NaN));
  return shape.every(Number.isSafeInteger) ? shape : undefined;
}

const kinds: Record<string, string> = {
  O: 'Python objects, whose bytes are a program that is never run',
  V: 'records or bytes of no type',
  S: 'byte strings',
  U: 'strings',
  c: 'complex numbers; save their real and imaginary part',
  M: 'dates',
  m: 'time spans',
  f: 'floats of this size',
};

function parseDtype(descr: string, path: string): { dtype: NpyDtype; bigEndian: boolean } {
  const [, order, kind, size] = descr.replace(/^(.[Mm]8)\[\w+\]$/, '$1').match(/^([<>|])([A-Za-z])(\d*)$/) ?? [];
  const dtype = `${size === '1' ? '|' : '<'}${kind}${size}`;
  if (kind === undefined || !Object.hasOwn(npyTypes, dtype) || (order === '|' && size !== '1')) {
    return refuse(path, `"${shorten(descr)}"${kind in kinds ? ` (${kinds[kind]})` : ''}`);
  }
  return { dtype: dtype as NpyDtype, bigEndian: order === '>' };
}

function refuse(path: string, elements: string): never {
  const known = Object.keys(npyTypes).join(', ');
  throw new UnsupportedArray(
    `${path} cannot be read: its elements are ${elements}, expected one of ${known} in either byte order; convert it with astype`,
  );
}

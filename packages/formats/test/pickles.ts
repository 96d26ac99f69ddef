/** Pickles put together by hand, and checkpoints around them. */
import { deflateRawSync } from 'node:zlib';
import { makeZip, type ZipPart } from './zips.ts';

const bytesOf = (value: number, length: number): number[] =>
  Array.from({ length }, (_, i) => Number((BigInt.asUintN(64, BigInt(value)) >> BigInt(8 * i)) & 255n));

const text = (value: string): number[] => {
  const bytes = [...Buffer.from(value)];
  return [0x58, ...bytesOf(bytes.length, 4), ...bytes];
};
const number = (value: number): number[] =>
  value >= -(2 ** 31) && value < 2 ** 31 ? [0x4a, ...bytesOf(value, 4)] : [0x8a, 8, ...bytesOf(value, 8)];
const tuple = (...items: number[][]): number[] => [0x28, ...items.flat(), 0x74];
const list = (...items: number[][]): number[] => [0x5d, 0x28, ...items.flat(), 0x65];
const dict = (...items: number[][]): number[] => [0x7d, 0x28, ...items.flat(), 0x75];
const global = (module: string, name: string): number[] => [0x63, ...Buffer.from(`${module}\n${name}\n`)];
const reduce = (callee: number[], args: number[]): number[] => [...callee, ...args, 0x52];
const build = (object: number[], state: number[]): number[] => [...object, ...state, 0x62];
const persistent = (id: number[]): number[] => [...id, 0x51];
const storage = (type: string, key: string, count: number): number[] =>
  persistent(tuple(text('storage'), global('torch', type), text(key), text('cpu'), number(count)));
const tensor = (from: number[], offset: number, shape: number[], strides: number[]): number[] => {
  const args = [from, number(offset), tuple(...shape.map(number)), tuple(...strides.map(number)), [0x89], dict()];
  return reduce(global('torch._utils', '_rebuild_tensor_v2'), tuple(...args));
};
/** A list that holds a list `width` times that holds a list `width` times, and so on. */
const memoized = (levels: number, width: number): number[] => {
  const body = [...list(), 0x71, 0, 0x30];
  for (let level = 1; level <= levels; level++) {
    body.push(
      ...list(...new Array<number[]>(width).fill([0x68, level - 1])),
      0x71,
      level,
      ...(level < levels ? [0x30] : []),
    );
  }
  return body;
};

export const pickle = { text, number, tuple, list, dict, global, reduce, build, persistent, storage, tensor, memoized };

/** An archive of a pickle and other files; what the directory says of them can be changed. `whole`: the pickle as it is. */
export function makeCheckpoint(
  body: readonly number[] | Uint8Array,
  files: Record<string, Uint8Array> = {},
  lies: Record<string, Partial<ZipPart>> = {},
  whole = false,
): Uint8Array {
  const all = { 'data.pkl': Uint8Array.from(whole ? body : [0x80, 2, ...body, 0x2e]), ...files };
  const entries = Object.entries(all).map(([name, data]): ZipPart => {
    const stored = lies[name]?.method === 8 ? deflateRawSync(data) : data;
    return { name: `x/${name}`, data: stored, ...lies[name] };
  });
  return makeZip(entries).whole();
}

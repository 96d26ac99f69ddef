/**
 * Pickles and headers of safetensors of few bytes a value, in a process with a small heap: each must be read or end in a FormatError. Prints what it took.
 * Run by fuzz.test.ts; a process that dies of memory is one that has found a bomb.
 */
import { FormatError, openSafetensors, openTorch } from '../src/index.ts';
import { makeCheckpoint, pickle } from './pickles.ts';

const { global, text } = pickle;

/** `body` between what begins and ends it, `times` over. */
function repeat(begin: number[], body: number[], times: number, end: number[]): Uint8Array {
  const bytes = new Uint8Array(2 + begin.length + body.length * times + end.length + 1);
  bytes.set([0x80, 2, ...begin]);
  const from = 2 + begin.length;
  bytes.set(body, from);
  for (let done = 1; done < times; done *= 2) {
    bytes.copyWithin(from + done * body.length, from, from + Math.min(done, times - done) * body.length);
  }
  bytes.set([...end, 0x2e], from + times * body.length);
  return bytes;
}

const million = 1e6;
const mark = [0x28];
const tuple = [0x74];
const bombs: Record<string, () => Uint8Array> = {
  'empty dictionaries': () => repeat(mark, [0x7d], 30 * million, tuple),
  'empty sets': () => repeat(mark, [0x8f], 4 * million, tuple),
  'empty lists': () => repeat(mark, [0x5d], 10 * million, tuple),
  'lists of one': () => repeat(mark, [0x28, 0x4e, 0x6c], 4 * million, tuple),
  'dictionaries of one': () => repeat(mark, [0x7d, 0x4e, 0x4e, 0x73], 3 * million, tuple),
  'tuples of one': () => repeat(mark, [0x29, 0x85], 4 * million, tuple),
  'empty bytes': () => repeat(mark, [0x43, 0], 4 * million, tuple),
  'empty text': () => repeat(mark, [0x8c, 0], 4 * million, tuple),
  'text of one': () => repeat(mark, [0x8c, 2, 0xc3, 0xa9], 3 * million, tuple),
  'large whole numbers': () => repeat(mark, [0x8a, 8, 1, 2, 3, 4, 5, 6, 7, 8], 6 * million, tuple),
  floats: () => repeat(mark, [0x47, 0x3f, 1, 2, 3, 4, 5, 6, 7], 7 * million, tuple),
  'many nothings': () => repeat(mark, [0x4e], 140 * million, tuple),
  'fewer nothings': () => repeat(mark, [0x4e], 10 * million, tuple),
  duplicates: () => repeat([0x4e], [0x32], 10 * million, []),
  'kept values': () => repeat([0x4e], [0x94], 17 * million, []),
  'kept values over and over': () => repeat([0x4e], [0x71, 0], 4 * million, []),
  'a frozen set': () => repeat(mark, [0x4a, 1, 2, 3, 4], 10 * million, [0x91]),
  'a set of 17 million': () => {
    const bytes = repeat(mark, [0x4a, 0, 0, 0, 0], 17 * million, [0x91]);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 17 * million; i++) view.setInt32(4 + 5 * i, i, true);
    return bytes;
  },
  'a dictionary of a million': () => {
    const bytes = repeat([0x7d, 0x28], [0x4a, 0, 0, 0, 0, 0x4e], 10 * million, [0x75]);
    const view = new DataView(bytes.buffer);
    for (let i = 0; i < 10 * million; i++) view.setInt32(5 + 6 * i, i, true);
    return bytes;
  },
  names: () => repeat(mark, global('torch', 'Tensor'), 4 * million, tuple),
  'dictionaries that are called for': () =>
    repeat([...global('collections', 'OrderedDict'), 0x71, 0, 0x30, 0x28], [0x68, 0, 0x29, 0x52], 15 * million, tuple),
  'bytes in text': () =>
    repeat(
      [...global('_codecs', 'encode'), 0x71, 0, 0x30, ...text('x'), ...text('latin1'), 0x86, 0x71, 1, 0x30, 0x28],
      [0x68, 0, 0x68, 1, 0x52],
      10 * million,
      tuple,
    ),
};

/** A header of 99 MB that repeats `body`. */
function header(begin: string, body: string, end: string): Uint8Array {
  const bytes = Buffer.alloc(8 + 99e6, ' ');
  bytes.writeBigUInt64LE(99_000_000n);
  bytes.write(begin, 8);
  const from = 8 + begin.length;
  const to = bytes.length - end.length;
  bytes.fill(body, from, to - ((to - from) % body.length));
  bytes.write(end, to);
  return bytes;
}
const headers: Record<string, () => Uint8Array> = {
  'a header of empty objects': () => header('{"a":[{}', ',{}', ']}'),
  'a header of empty lists': () => header('{"a":[[]', ',[]', ']}'),
  'a header of numbers': () => header('{"a":[1', ',1', ']}'),
  'a header of text': () => header('{"a":["', '\\n', '"]}'),
  'a header of keys': () => header('{"a":{}', ',"a":{}', '}'),
  'a header of deep lists': () => header('', '[', ''),
};

const all = [
  ...Object.entries(bombs).map(
    ([what, make]) => [what, () => openTorch(makeCheckpoint(make(), {}, {}, true))] as const,
  ),
  ...Object.entries(headers).map(([what, make]) => [what, () => openSafetensors(make())] as const),
];
for (const [what, open] of all) {
  // Of the processor, whatever else runs beside it.
  const start = process.cpuUsage();
  const problem = await open().then(
    () => 'was read',
    (error: unknown) => {
      if (!(error instanceof FormatError)) throw new Error(`${what}: ${error}`, { cause: error });
      return error.message;
    },
  );
  const { user, system } = process.cpuUsage(start);
  const took = (user + system) / 1000;
  if (took > 30_000) throw new Error(`${what}: took ${took.toFixed(0)} ms of the processor`);
  console.log(`${what}: ${took.toFixed(0)} ms: ${problem.slice(-110)}`);
}

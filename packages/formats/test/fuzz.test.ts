/**
 * Broken files of every format: whatever the bytes, reading ends soon, in tensors that fill their shapes or in a
 * FormatError, and one that ends in an error has asked for no piece of memory larger than the file.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { createDeflateRaw, deflateRawSync } from 'node:zlib';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { openFile } from '../src/bytes.ts';
import { elementTypes } from '../src/elements.ts';
import { type ElementArray, FormatError, openNpy, openNpz, openSafetensors, openTorch, readNpz } from '../src/index.ts';
import { observeAllocations } from '../src/memory.ts';
import { encodeNpyHeader } from '../src/npyHeader.ts';
import { readDirectory } from '../src/zip/directory.ts';
import { openEntry } from '../src/zip/entry.ts';
import { makeCheckpoint, pickle } from './pickles.ts';
import { goldenPath, problemOf } from './support.ts';
import { makeZip } from './zips.ts';

const golden = (name: string): Uint8Array => readFileSync(goldenPath(name));

/** How much of everything is tried: all of it by hand, less where the environment asks for fewer draws. */
const share = Math.min(1, Number(process.env.USUAL_RUNS ?? 25) / 25);

/** That share of the values, evenly. */
function* some<T>(values: Iterable<T>): Generator<T, void, undefined> {
  let due = 0;
  for (const value of values) {
    due += share;
    if (due < 1) continue;
    due -= 1;
    yield value;
  }
}

/** The same numbers in every run (Mulberry32). */
function generator(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let value = Math.imul(state ^ (state >>> 15), 1 | state);
    value = (value + Math.imul(value ^ (value >>> 7), 61 | value)) ^ value;
    return ((value ^ (value >>> 14)) >>> 0) % below;
  };
}

interface Opened {
  tensors: Iterable<string>;
  read(name: string): Promise<{ shape: readonly number[]; data: ElementArray }>;
}

const readers = {
  npy: async (bytes: Uint8Array): Promise<Opened> => {
    const file = await openNpy(bytes);
    return { tensors: [''], read: () => file.read() };
  },
  npz: async (bytes: Uint8Array): Promise<Opened> => {
    // Refusing by the ratio alone would hide what comes after it.
    const { tensors, unreadable, read } = await openNpz(bytes, { maxInflatedBytes: 2 ** 30 });
    return { tensors: [...tensors.keys(), ...unreadable.keys()], read };
  },
  safetensors: async (bytes: Uint8Array): Promise<Opened> => {
    const { tensors, unreadable, read } = await openSafetensors(bytes);
    return { tensors: [...tensors.keys(), ...unreadable.keys()], read };
  },
  torch: async (bytes: Uint8Array): Promise<Opened> => {
    // What repeats elements is output and may be larger than the file; here it would take time.
    const { tensors, unreadable, read } = await openTorch(bytes, { maxExpandedBytes: 100_000 });
    const checked = async (name: string) => {
      const view = tensors.get(name);
      if (view === undefined) return read(name);
      const { shape, strides, storageOffset, storage, dtype } = view;
      const tensor = await read(name);
      const last = shape.reduce((sum, size, axis) => sum + (size - 1) * strides[axis], storageOffset);
      const bytes = (last + 1) * elementTypes[dtype].bytes;
      assert.ok(shape.includes(0) || bytes <= storage.bytes, `${bytes} bytes of a storage of ${storage.bytes}`);
      return tensor;
    };
    return { tensors: [...tensors.keys(), ...unreadable.keys()], read: checked };
  },
};

const counts = { files: 0, refused: 0, read: 0, slowest: 0 };

/** Reads everything in a file that may be broken. */
async function attempt(format: keyof typeof readers, bytes: Uint8Array, what: string): Promise<void> {
  const start = performance.now();
  // The header of a compressed array may be longer than the file, up to NumPy's limit and the 12 bytes before it.
  const floor = format === 'npz' ? 10_012 : 0;
  counts.files++;
  let largest = 0;
  let refused = false;
  observeAllocations((size) => (largest = Math.max(largest, size)));
  /** One step; undefined if it was refused. */
  const step = async <T>(action: () => Promise<T>): Promise<T | undefined> => {
    largest = 0;
    try {
      return await action();
    } catch (error) {
      if (!(error instanceof FormatError)) {
        throw new Error(`${format}, ${what}: ${(error as Error).stack}`, { cause: error });
      }
      refused = true;
      assert.ok(error.message.length < 1000, `${what}: ${error.message}`);
      assert.ok(
        largest <= Math.max(bytes.length, floor),
        `${format}, ${what}: ${largest} bytes for a file of ${bytes.length}`,
      );
      return undefined;
    }
  };
  const file = await step(() => readers[format](bytes));
  for (const name of file?.tensors ?? []) {
    const tensor = await step(() => file!.read(name));
    if (tensor === undefined) continue;
    const count = tensor.shape.reduce((product, size) => product * size, 1);
    assert.is(tensor.data.length, count, `${format}, ${what}: shape [${tensor.shape}]`);
  }
  observeAllocations(undefined);
  counts[refused ? 'refused' : 'read']++;
  const took = performance.now() - start;
  counts.slowest = Math.max(counts.slowest, took);
  assert.ok(took < 5000, `${format}, ${what}: ${took} ms`);
}

/** A file small enough for every byte of it to be tried. */
function smallSafetensors(): Uint8Array {
  const json = JSON.stringify({
    __metadata__: { format: 'pt' },
    a: { dtype: 'F32', shape: [2, 3], data_offsets: [0, 24] },
    b: { dtype: 'I64', shape: [], data_offsets: [24, 32] },
    c: { dtype: 'BF16', shape: [0, 4], data_offsets: [32, 32] },
    d: { dtype: 'BOOL', shape: [5], data_offsets: [32, 37] },
  });
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(json.length));
  return Buffer.concat([length, Buffer.from(json), Buffer.alloc(37, 1)]);
}

const smallArray = Buffer.concat([encodeNpyHeader('<f2', [2, 3]), new Uint8Array(12)]);
const fortranArray = golden('fortran-big.npy');
const arrays = { 'a.npy': smallArray, 'b.npy': fortranArray };

function smallNpz(deflated: boolean): Uint8Array {
  const entries = Object.entries(arrays).map(([name, data]) =>
    deflated ? { name, method: 8, data: deflateRawSync(data), size: data.length, flags: 0 } : { name, data },
  );
  return makeZip(withChecksums(entries, arrays)).whole();
}

/** makeZip takes the checksum of what it stores; that of a deflated entry is of what comes out. */
function withChecksums(entries: Parameters<typeof makeZip>[0], plain: Record<string, Uint8Array>): typeof entries {
  return entries.map((entry) => ({ ...entry, crc: crcOf(plain[entry.name] ?? entry.data) }));
}

function crcOf(data: Uint8Array): number {
  const { directory } = makeZip([{ name: '', data }]);
  return Buffer.from(directory.bytes).readUInt32LE(16);
}

const seeds: [keyof typeof readers, string, Uint8Array][] = [
  ['npy', 'small array', smallArray],
  ['npy', 'Fortran order', fortranArray],
  ['npy', 'version 3', golden('version3.npy')],
  ['safetensors', 'small file', smallSafetensors()],
  ['npz', 'stored', smallNpz(false)],
  ['npz', 'deflated', smallNpz(true)],
  ['npz', 'sizes behind the data', golden('piped.npz')],
  ['torch', 'tensor.pt', golden('tensor.pt')],
  ['torch', 'views.pt', golden('views.pt')],
];

const fuzz = suite('broken files');

fuzz('the seeds are sound', async () => {
  for (const [format, what, bytes] of seeds) await attempt(format, bytes, what);
  assert.is(counts.refused, 0);
});

fuzz('cut short at every byte, and with bytes behind the end', async () => {
  for (const [format, what, bytes] of seeds) {
    for (const length of some(bytes.keys())) {
      await attempt(format, bytes.subarray(0, length), `${what} cut at ${length}`);
    }
    for (const extra of [1, 22, 4096]) {
      await attempt(format, Buffer.concat([bytes, new Uint8Array(extra)]), `${what} and ${extra} more`);
    }
  }
  // Of all of these only the seeds in full were sound.
  assert.is(counts.read, seeds.length);
});

/** Every byte changed, in several ways. */
function* changed(bytes: Uint8Array, ways: number, random: (below: number) => number): Generator<[Uint8Array, string]> {
  for (let at = 0; at < bytes.length; at++) {
    for (let way = 0; way < ways; way++) {
      const copy = Uint8Array.from(bytes);
      copy[at] ^= [0xff, 1, 0x80, 1 + random(255)][way];
      if (way > 0 || at % 2 === 0) yield [copy, `byte ${at} is ${copy[at]}`];
      // Four bytes at once: lengths, offsets and counts.
      if (way === 0 && at + 4 <= bytes.length) {
        const wide = Uint8Array.from(bytes);
        wide.set(
          [
            [255, 255, 255, 255],
            [255, 255, 255, 127],
            [0, 0, 0, 128],
            [0, 0, 0, 0],
          ][random(4)],
          at,
        );
        yield [wide, `bytes from ${at} are ${wide.subarray(at, at + 4)}`];
      }
    }
  }
}

fuzz('every byte changed', async () => {
  const random = generator(1);
  for (const [format, what, bytes] of seeds) {
    for (const [copy, change] of some(changed(bytes, bytes.length < 600 ? 3 : 1, random))) {
      await attempt(format, copy, `${what}: ${change}`);
    }
  }
});

const numbers = [
  '-1',
  '0',
  '1',
  '7',
  '1.5',
  '1e400',
  '4294967296',
  '9007199254740991',
  '9007199254740993',
  '18446744073709551616',
  'null',
  '"4"',
  '[]',
];

fuzz('headers whose numbers lie', async () => {
  const random = generator(2);
  const json = Buffer.from(smallSafetensors().subarray(8, -37)).toString();
  const build = (text: string): Uint8Array => {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(Buffer.byteLength(text)));
    return Buffer.concat([length, Buffer.from(text), new Uint8Array(37)]);
  };
  const lies = (text: string): string => {
    let lied = text;
    for (let times = 1 + random(3); times > 0; times--) {
      const places = [...lied.matchAll(/\d+/g)];
      const { index, 0: old } = places[random(places.length)];
      lied = lied.slice(0, index) + numbers[random(numbers.length)] + lied.slice(index + old.length);
    }
    return lied;
  };
  const words = [
    'F32',
    'I64',
    'BF16',
    'BOOL',
    'dtype',
    'shape',
    'data_offsets',
    '"a"',
    '"b"',
    '{',
    '}',
    '[',
    ']',
    ',',
    ':',
  ];
  for (let i = 0; i < 2000 * share; i++) {
    const text = lies(json);
    await attempt('safetensors', build(text), text);
    const from = words[random(words.length)];
    const swapped = json.replace(from, words[random(words.length)]);
    await attempt('safetensors', build(swapped), swapped);
  }
  const dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
  const parts = [
    "'descr'",
    "'<f4'",
    "'>i8'",
    "'|O'",
    'False',
    'True',
    '(2, 3)',
    '(0,)',
    '(',
    ')',
    '{',
    '}',
    ':',
    ',',
    "'",
    '[',
    'None',
  ];
  for (let i = 0; i < 2000 * share; i++) {
    let text =
      random(2) === 0 ? lies(dictionary) : dictionary.replace(parts[random(parts.length)], parts[random(parts.length)]);
    if (random(4) === 0) text = text.replace(parts[random(parts.length)], parts[random(parts.length)]);
    const header = Buffer.concat([
      Buffer.of(0x93),
      Buffer.from('NUMPY'),
      Buffer.of(1, 0, text.length, 0),
      Buffer.from(text),
    ]);
    await attempt('npy', Buffer.concat([header, new Uint8Array(24)]), text);
  }
});

fuzz('archives of sound checksums around broken arrays and broken streams', async () => {
  const random = generator(3);
  for (const [copy, change] of some(changed(fortranArray, 3, random))) {
    const deflated = deflateRawSync(copy);
    const entries = [
      { name: 'a.npy', data: copy },
      { name: 'b.npy', method: 8, data: deflated, size: copy.length },
    ];
    await attempt('npz', makeZip(withChecksums(entries, { 'b.npy': copy })).whole(), change);
  }
  const deflated = deflateRawSync(smallArray);
  for (const [copy, change] of some(changed(deflated, 4, random))) {
    const entries = [{ name: 'a.npy', method: 8, data: copy, size: smallArray.length }];
    await attempt('npz', makeZip(withChecksums(entries, { 'a.npy': smallArray })).whole(), `deflated ${change}`);
  }
});

/** data.pkl and storages of a golden checkpoint. */
async function partsOf(name: string): Promise<{ body: Uint8Array; files: Record<string, Uint8Array> }> {
  const file = await openFile(golden(name), 'checkpoint');
  const files: Record<string, Uint8Array> = {};
  for (const entry of (await readDirectory(file, assert.unreachable as never)).values()) {
    const bytes = await openEntry(file, entry, assert.unreachable as never);
    const data = Buffer.alloc(bytes.size);
    let at = 0;
    for await (const chunk of bytes.chunks(0, bytes.size)) at += Buffer.from(chunk).copy(data, at);
    files[entry.name.replace(/^[^/]*\//, '')] = data;
  }
  const { 'data.pkl': body, ...others } = files;
  return { body, files: others };
}

fuzz('checkpoints of sound checksums around broken pickles', async () => {
  const random = generator(4);
  for (const name of ['tensor.pt', 'views.pt', 'checkpoint.pt', 'protocol4.pt', 'objects5.pt', 'unread.pt']) {
    const { body, files } = await partsOf(name);
    for (const [copy, change] of some(changed(body, body.length < 500 ? 3 : 1, random))) {
      await attempt('torch', makeCheckpoint(copy, files, {}, true), `${name}: ${change}`);
    }
    for (let i = 0; i < 500 * share; i++) {
      // A piece moved elsewhere: instructions stay whole more often than under single changes.
      const [from, to, length] = [random(body.length), random(body.length), 1 + random(40)];
      const moved = Uint8Array.from(body);
      moved.copyWithin(to, from, from + length);
      await attempt('torch', makeCheckpoint(moved, files, {}, true), `${name}: ${length} bytes from ${from} to ${to}`);
    }
  }
});

fuzz('pickles of random instructions', async () => {
  const random = generator(5);
  const { text, number, tuple, list, dict, global, storage, tensor } = pickle;
  const sizes = [0, 1, 2, 8, -1, 2 ** 31, 2 ** 53, 2 ** 40];
  const size = (): number => sizes[random(sizes.length)];
  const instruction: (() => number[])[] = [
    () => text('a'),
    () => number(size()),
    () => list(),
    () => dict(),
    () => tuple(number(size()), number(size())),
    () => global('collections', 'OrderedDict'),
    () =>
      global(
        'torch._utils',
        ['_rebuild_tensor', '_rebuild_tensor_v2', '_rebuild_tensor_v3', '_rebuild_parameter'][random(4)],
      ),
    () => global('torch._tensor', '_rebuild_from_type_v2'),
    () => global('torch', ['Size', 'Tensor', 'float32', 'FloatStorage', 'device'][random(5)]),
    () => global('_codecs', 'encode'),
    () => global('numpy._core.multiarray', ['scalar', '_reconstruct'][random(2)]),
    () => global('numpy._core.numeric', '_frombuffer'),
    () => global('numpy', ['dtype', 'ndarray'][random(2)]),
    () => global('argparse', 'Namespace'),
    () => global('builtins', ['complex', 'bytearray', 'frozenset', 'range', 'list'][random(5)]),
    () => storage(['FloatStorage', 'HalfStorage', 'LongStorage'][random(3)], '0', 8),
    () => tensor(storage('FloatStorage', '0', 8), size(), [size(), size()], [size(), size()]),
    () => [0x28],
    () => [[0x74, 0x85, 0x86, 0x87, 0x6c, 0x64, 0x65, 0x75, 0x90, 0x91][random(10)]],
    () => [[0x52, 0x81, 0x62, 0x51, 0x61, 0x73, 0x30, 0x31, 0x32, 0x93][random(10)]],
    () => [0x71, random(3)],
    () => [0x68, random(3)],
    () => [random(256)],
  ];
  const files = { 'data/0': new Uint8Array(32) };
  for (let i = 0; i < 3000 * share; i++) {
    const body = Array.from({ length: 1 + random(20) }, () => instruction[random(instruction.length)]()).flat();
    await attempt('torch', makeCheckpoint(body, files), `random pickle ${i}`);
  }
});

fuzz('bombs', async () => {
  const { list, memoized, text, dict } = pickle;
  // Pickles that are deep, wide by sharing, or end in the middle of what they promise.
  for (const depth of [99, 100, 101, 5000, 100_000]) {
    const deep = [...new Array(depth).fill(0x5d), ...new Array(depth - 1).fill(0x61)];
    await attempt('torch', makeCheckpoint(deep), `lists ${depth} deep`);
    const marks = [...new Array(depth).fill(0x28), ...new Array(depth).fill(0x74)];
    await attempt('torch', makeCheckpoint(marks), `tuples ${depth} deep`);
  }
  for (const [levels, width] of [
    [60, 2],
    [30, 10],
    [5, 100],
  ]) {
    await attempt('torch', makeCheckpoint(memoized(levels, width)), `${levels} levels of ${width}`);
  }
  const nested = `{"a":${'['.repeat(200_000)}`;
  for (const json of [
    nested,
    `{${'"a":{'.repeat(100_000)}`,
    `{"a":"${'\\\\'.repeat(200_000)}"}`,
    '['.repeat(200_000),
  ]) {
    const length = Buffer.alloc(8);
    length.writeBigUInt64LE(BigInt(json.length));
    await attempt('safetensors', Buffer.concat([length, Buffer.from(json)]), `JSON ${json.slice(0, 20)}`);
  }
  for (const shape of ['(', ','.repeat(60_000), '1,'.repeat(30_000), ' '.repeat(60_000), '9'.repeat(60_000)]) {
    const header = `{'descr': '<f4', 'fortran_order': False, 'shape': (${shape}), }`;
    const length = Buffer.of(header.length & 255, header.length >> 8);
    await attempt(
      'npy',
      Buffer.concat([Buffer.of(0x93), Buffer.from('NUMPY\x01\x00'), length, Buffer.from(header), Buffer.alloc(4)]),
      `shape ${shape.slice(0, 9)}`,
    );
  }
  await attempt('torch', makeCheckpoint([...dict(text('k'.repeat(60_000)), list())]), 'a long key');
});

/** An array's header and then zeros, deflated to a thousandth. */
async function deflateZeros(header: Uint8Array, megabytes: number): Promise<Uint8Array> {
  const deflater = createDeflateRaw();
  const pieces: Buffer[] = [];
  deflater.on('data', (piece: Buffer) => pieces.push(piece));
  const ended = new Promise((done) => deflater.once('end', done));
  deflater.write(header);
  for (let i = 0; i < megabytes; i++) deflater.write(new Uint8Array(2 ** 20));
  deflater.end();
  await ended;
  return Buffer.concat(pieces);
}

fuzz('what inflates without end costs no memory', async () => {
  const size = 128 * 2 ** 20;
  const make = async (elements: number): Promise<Uint8Array> => {
    const header = encodeNpyHeader('|u1', [elements]);
    const data = await deflateZeros(header, 128);
    assert.ok(data.length < size / 900);
    return makeZip([{ name: 'a.npy', method: 8, data, size: header.length + elements }]).whole();
  };
  const bombs: [string, Uint8Array, RegExp][] = [
    ['far more than declared', await make(1000), /inflates to more than the 1128 bytes/],
    ['one byte more than declared', await make(size - 1), /inflates to more than the/],
    ['less than declared', await make(size + 1), /inflates to \d+ bytes, but the archive declares/],
    ['a wrong checksum', await make(size), /has the checksum/],
  ];
  const sound = await make(size);
  assert.match(await problemOf(readNpz(sound)), /inflates to 134217856 bytes, at most \d{8} are allowed; raise/);
  for (const [what, bytes, reason] of bombs) {
    globalThis.gc?.();
    const before = process.memoryUsage();
    let most = 0;
    const watch = setInterval(() => {
      const { rss, arrayBuffers } = process.memoryUsage();
      most = Math.max(most, rss - before.rss, arrayBuffers - before.arrayBuffers);
    }, 5);
    await attempt('npz', bytes, what);
    clearInterval(watch);
    assert.match(await problemOf(readNpz(bytes, { maxInflatedBytes: 2 ** 30 })), reason);
    assert.ok(most < 64 * 2 ** 20, `${what}: ${(most / 2 ** 20).toFixed(0)} MiB`);
  }
});

fuzz('pickles and headers of a byte or two a value end before memory does', () => {
  // A heap this small dies of what a pickle of 64 MB can make, were it not counted.
  const script = fileURLToPath(new URL('bombs.ts', import.meta.url));
  const options = ['--import', 'tsx', '--max-old-space-size=400', script];
  const { status, stdout, stderr } = spawnSync(process.execPath, options, { encoding: 'utf8' });
  assert.is(status, 0, stderr.slice(0, 2000));
  assert.ok(stdout.split('\n').length > 20, stdout);
});

fuzz('there were enough of them', () => {
  console.log(
    `  ${counts.files} files: ${counts.refused} refused, ${counts.read} read; slowest ${counts.slowest.toFixed(0)} ms`,
  );
  assert.ok(counts.files >= 20_000 * share);
  assert.ok(counts.refused > counts.files / 2);
});

fuzz.run();

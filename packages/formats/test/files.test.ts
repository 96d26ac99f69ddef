import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import {
  openMetricsLog,
  openNpy,
  openSafetensors,
  readNpy,
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsTensor,
  truncateMetricsLog,
  writeAtomically,
  writeJson,
  writeNpy,
  writeSafetensors,
} from '../src/index.ts';
import { goldenPath } from './support.ts';

const folder = mkdtempSync(join(tmpdir(), 'formats-'));
process.on('exit', () => rmSync(folder, { recursive: true, force: true }));
const file = (name: string): string => join(folder, name);

async function messageOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error('expected an error');
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content);

/** Compared by bytes, since NaN differs from itself and -0 equals 0. */
const hex = (data: ArrayBufferView): string =>
  Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString('hex');

/** A safetensors file with whatever header and data the test wants. */
function tamper(name: string, header: unknown, dataBytes: number): string {
  const json = text(typeof header === 'string' ? header : JSON.stringify(header));
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(json.length), true);
  writeFileSync(file(name), Buffer.concat([length, json, new Uint8Array(dataBytes)]));
  return file(name);
}

const shapes = fc.array(fc.integer({ min: 0, max: 5 }), { maxLength: 4 });
const count = (shape: readonly number[]): number => shape.reduce((product, size) => product * size, 1);

/** Tensors of every dtype and of random shapes, scalars and empty ones included. */
const tensors: fc.Arbitrary<SafetensorsTensor> = shapes.chain((shape) => {
  const length = count(shape);
  const size = { minLength: length, maxLength: length };
  const of = <T>(values: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(values, size);
  const float = fc.float();
  const small = fc.integer({ min: -2048, max: 2048 });
  return fc.oneof(
    of(float).map((values) => ({ dtype: 'F32' as const, shape, data: Float32Array.from(values) })),
    of(fc.double()).map((values) => ({ dtype: 'F64' as const, shape, data: Float64Array.from(values) })),
    of(small).map((values) => ({ dtype: 'F16' as const, shape, data: Float32Array.from(values, (v) => v / 64) })),
    of(small).map((values) => ({ dtype: 'BF16' as const, shape, data: Float32Array.from(values, (v) => v >> 4) })),
    of(fc.bigInt(-(2n ** 63n), 2n ** 63n - 1n)).map((values) => ({
      dtype: 'I64' as const,
      shape,
      data: BigInt64Array.from(values),
    })),
    of(fc.integer()).map((values) => ({ dtype: 'I32' as const, shape, data: Int32Array.from(values) })),
    of(fc.nat(255)).map((values) => ({ dtype: 'U8' as const, shape, data: Uint8Array.from(values) })),
    of(fc.nat(1)).map((values) => ({ dtype: 'BOOL' as const, shape, data: Uint8Array.from(values) })),
  );
});

const safetensors = suite('safetensors');

safetensors('what is written is read, for every dtype and shape', async () => {
  const path = file('round.safetensors');
  const named = fc.uniqueArray(fc.tuple(fc.string({ unit: 'grapheme' }), tensors), { selector: ([name]) => name });
  await fc.assert(
    fc.asyncProperty(named, fc.dictionary(fc.string(), fc.string()), async (list, metadata) => {
      await writeSafetensors(path, list, metadata);
      const found = await readSafetensors(path);
      assert.is(found.size, list.length);
      for (const [name, tensor] of list) {
        const { dtype, shape, data } = found.get(name)!;
        assert.equal({ dtype, shape }, { dtype: tensor.dtype, shape: tensor.shape });
        assert.is(data.constructor, tensor.data.constructor);
        assert.is(hex(data), hex(tensor.data));
      }
      const header = await readSafetensorsHeader(path);
      assert.is(header.dataStart % 8, 0);
      assert.equal(Object.entries(header.metadata).sort(), Object.entries(metadata).sort());
      for (const [name, { dtype, offsets }] of header.tensors) {
        assert.is(offsets[0] % (dtype.endsWith('64') ? 8 : dtype.endsWith('32') ? 4 : 1), 0, `${name} is aligned`);
      }
    }),
    { numRuns: 150 },
  );
});

safetensors('has the bytes that the format prescribes', async () => {
  await writeSafetensors(file('bytes.safetensors'), [
    ['a', { dtype: 'F32', shape: [2], data: Float32Array.of(1, -2) }],
  ]);
  const bytes = readFileSync(file('bytes.safetensors'));
  const json = '{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}';
  const padded = json.padEnd(Math.ceil(json.length / 8) * 8, ' ');
  assert.is(bytes.readBigUInt64LE(0), BigInt(padded.length));
  assert.is(bytes.toString('latin1', 8, 8 + padded.length), padded);
  assert.is(bytes.subarray(8 + padded.length).toString('hex'), '0000803f000000c0');
});

safetensors('reads and rounds half precision', async () => {
  const path = file('half.safetensors');
  const entry = (dtype: string, at: number): unknown => ({ dtype, shape: [7], data_offsets: [at, at + 14] });
  tamper('half.safetensors', { h: entry('F16', 0), b: entry('BF16', 14) }, 0);
  const half = Uint16Array.of(0x3c00, 0xc000, 0x7bff, 0x0001, 0x0400, 0x7c00, 0x8000);
  const brain = Uint16Array.of(0x3f80, 0xc000, 0x7f7f, 0x0001, 0x0080, 0x7f80, 0x8000);
  appendFileSync(path, new Uint8Array(half.buffer));
  appendFileSync(path, new Uint8Array(brain.buffer));
  const read = await readSafetensors(path);
  assert.equal([...read.get('h')!.data], [1, -2, 65504, 2 ** -24, 2 ** -14, Number.POSITIVE_INFINITY, -0]);
  assert.equal([...read.get('b')!.data].slice(0, 2), [1, -2]);
  assert.is(read.get('b')!.data[3], 2 ** -133);

  // Halfway cases go to the even neighbour; 65520 is the first that becomes infinite.
  const values = Float32Array.of(1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520, 2 ** -25, 3 * 2 ** -25, Number.NaN);
  await writeSafetensors(path, [['h', { dtype: 'F16', shape: [7], data: values }]]);
  const infinity = Number.POSITIVE_INFINITY;
  const rounded = [1, 1 + 2 ** -9, 65504, infinity, 0, 2 ** -23, Number.NaN];
  assert.equal([...(await readSafetensors(path)).get('h')!.data], rounded);
  const wide = Float32Array.of(1 + 2 ** -8, 1 + 3 * 2 ** -8, 3.4e38, Number.NaN);
  await writeSafetensors(path, [['b', { dtype: 'BF16', shape: [4], data: wide }]]);
  assert.equal([...(await readSafetensors(path)).get('b')!.data], [1, 1 + 2 ** -6, infinity, Number.NaN]);
});

safetensors('a NaN stays one however few of its bits are set', async () => {
  const path = file('nan.safetensors');
  const data = new Float32Array(Uint32Array.of(0x7f800001, 0xff800001).buffer);
  for (const dtype of ['F16', 'BF16'] as const) {
    await writeSafetensors(path, [['x', { dtype, shape: [2], data }]]);
    assert.equal([...(await readSafetensors(path)).get('x')!.data], [Number.NaN, Number.NaN]);
  }
});

safetensors('a view into a larger array is written alone', async () => {
  const data = Float32Array.of(1, 2, 3, 4).subarray(1, 3);
  await writeSafetensors(file('view.safetensors'), [['x', { dtype: 'F32', shape: [2], data }]]);
  assert.equal((await readSafetensors(file('view.safetensors'))).get('x')!.data, Float32Array.of(2, 3));
});

safetensors('every half survives a round trip', async () => {
  const path = file('allhalves.safetensors');
  const bits = Uint16Array.from({ length: 65536 }, (_, index) => index).filter((h) => (h & 0x7c00) !== 0x7c00);
  const shape = [bits.length];
  for (const dtype of ['F16', 'BF16'] as const) {
    tamper('allhalves.safetensors', { h: { dtype, shape, data_offsets: [0, bits.byteLength] } }, 0);
    appendFileSync(path, new Uint8Array(bits.buffer));
    const before = readFileSync(path).subarray(-bits.byteLength);
    const data = (await readSafetensors(path)).get('h')!.data as Float32Array;
    await writeSafetensors(path, [['h', { dtype, shape, data }]]);
    assert.ok(before.equals(readFileSync(path).subarray(-bits.byteLength)), dtype);
  }
});

safetensors('data given as functions is asked for one at a time', async () => {
  let alive = 0;
  const source = (value: number) => ({
    dtype: 'F32' as const,
    shape: [1],
    data: async () => {
      assert.is(++alive, 1);
      await null;
      alive--;
      return Float32Array.of(value);
    },
  });
  await writeSafetensors(file('lazy.safetensors'), new Map([1, 2, 3].map((v) => [`t${v}`, source(v)])));
  const read = await readSafetensors(file('lazy.safetensors'));
  assert.equal(
    [...read].map(([, { data }]) => data[0]),
    [1, 2, 3],
  );
});

safetensors('wrong headers are named', async () => {
  const f32 = (begin: number, end: number, shape = [(end - begin) / 4]) => ({
    dtype: 'F32',
    shape,
    data_offsets: [begin, end],
  });
  const cases: [header: unknown, dataBytes: number, expected: RegExp][] = [
    ['{"a":', 0, /header is not JSON/],
    ['[]', 0, /header is \[\], expected a JSON object/],
    [{ a: f32(0, 8) }, 4, /tensor "a" ends at byte 8 of the data but the file at 4; it was cut short/],
    [{ a: f32(0, 8) }, 12, /4 bytes behind the last tensor belong to no tensor/],
    [
      { a: f32(0, 8), b: f32(4, 12) },
      12,
      /tensor "b" begins at byte 4 of the data, inside tensor "a", which ends at 8/,
    ],
    [{ a: f32(0, 8), b: f32(12, 16) }, 16, /bytes 8 to 12 of the data, before tensor "b", belong to no tensor/],
    [{ a: f32(0, 8, [3]) }, 8, /tensor "a" takes 8 bytes, but F32 of shape \[3\] takes 12/],
    [{ a: f32(8, 0, []) }, 8, /data_offsets \[8,0\]/],
    [{ a: { ...f32(0, 8), dtype: 'F8_E4M3' } }, 8, /tensor "a" takes 8 bytes, but F8_E4M3 of shape \[2\] takes 2/],
    [{ a: { ...f32(0, 8), dtype: 'toString' } }, 8, /tensor "a" has dtype "toString"/],
    [{ a: { ...f32(0, 8), shape: [-2] } }, 8, /tensor "a" has shape \[-2\]/],
    [{ a: { ...f32(0, 8), shape: 2 } }, 8, /tensor "a" has shape 2/],
    [{ a: { dtype: 'F32', shape: [2] } }, 8, /tensor "a" has data_offsets undefined/],
    [{ a: null }, 8, /tensor "a" has the header entry null/],
    [{ __metadata__: { step: 3 } }, 0, /__metadata__ must be/],
  ];
  for (const [header, dataBytes, expected] of cases) {
    const path = tamper('bad.safetensors', header, dataBytes);
    assert.match(await messageOf(readSafetensors(path)), expected);
    assert.match(await messageOf(readSafetensorsHeader(path)), 'bad.safetensors is not a valid safetensors file');
  }
  writeFileSync(file('short'), 'abc');
  assert.match(await messageOf(readSafetensors(file('short'))), /it has 3 bytes, expected at least the 8/);
  writeFileSync(file('text'), 'this is a text file and no other');
  assert.match(
    await messageOf(readSafetensors(file('text'))),
    /header of \d+ bytes, expected at most 100000000; is it in another format/,
  );
  assert.match(await messageOf(readSafetensors(file('missing'))), /cannot open safetensors file .*missing/);
});

safetensors('a pipe that nobody writes to is refused, not waited for', async () => {
  if (process.platform === 'win32') return;
  execFileSync('mkfifo', [file('fifo')]);
  // A thread that hangs in open() would keep the process alive: end it whatever comes.
  const late = setTimeout(() => process.exit(1), 20_000);
  assert.match(await messageOf(openNpy(file('fifo'))), /cannot open npy file .*fifo: it is not a regular file/);
  assert.match(await messageOf(openSafetensors(file('fifo'))), /it is not a regular file/);
  assert.match(await messageOf(openNpy(folder)), /it is not a regular file/);
  clearTimeout(late);
});

safetensors('tensors of dtypes that are not read leave the others readable', async () => {
  const opened = await openSafetensors(goldenPath('unread.safetensors'));
  assert.equal([...opened.tensors.keys()], ['a']);
  assert.equal([...(await opened.read('a')).data], [1, 2]);
  assert.equal([...opened.unreadable.keys()].sort(), ['c', 'f8']);
  assert.match(
    await messageOf(opened.read('f8')),
    /tensor "f8" is of dtype F8_E4M3, which is not read; expected one of/,
  );
  await opened.close();
  assert.equal([...(await readSafetensorsHeader(goldenPath('unread.safetensors'))).unreadable.keys()].sort(), [
    'c',
    'f8',
  ]);
  assert.match(
    await messageOf(readSafetensors(goldenPath('unread.safetensors'))),
    /is of dtype .*open the file to read/,
  );
  const later = tamper('later.safetensors', { a: { dtype: 'F5_X', shape: [3], data_offsets: [0, 2] } }, 2);
  const file = await openSafetensors(later);
  assert.equal([file.tensors.size, file.unreadable.size], [0, 1]);
  await file.close();
});

safetensors('a file cut anywhere is never accepted', async () => {
  const path = file('cut.safetensors');
  await writeSafetensors(path, [['a', { dtype: 'I32', shape: [3], data: Int32Array.of(1, 2, 3) }]]);
  const whole = readFileSync(path);
  for (let length = 0; length < whole.length; length++) {
    writeFileSync(path, whole.subarray(0, length));
    assert.match(await messageOf(readSafetensors(path)), /is not a valid safetensors file/);
  }
});

safetensors('what does not fit is refused before the old file is touched', async () => {
  const path = file('kept.safetensors');
  writeFileSync(path, 'old');
  const ok = { dtype: 'F32' as const, shape: [1], data: Float32Array.of(1) };
  const wrong: [list: [string, unknown][], expected: RegExp][] = [
    [
      [
        ['a', ok],
        ['a', ok],
      ],
      /tensor "a" occurs twice/,
    ],
    [[['__metadata__', ok]], /"__metadata__" has the name that the format keeps/],
    [[['a', { ...ok, shape: [2] }]], /tensor "a" has 1 elements, but its shape \[2\] takes 2/],
    [[['a', { ...ok, shape: [1.5] }]], /tensor "a" has shape \[1.5\]/],
    [[['a', { ...ok, dtype: 'I32' }]], /tensor "a" is I32, so its data must be a Int32Array, got Float32Array/],
    [[['a', { ...ok, dtype: 'F8' }]], /tensor "a" has dtype "F8"/],
    [[['a', { ...ok, dtype: 'BOOL', data: Uint8Array.of(2) }]], /tensor "a" is BOOL/],
    [[['a', { ...ok, data: () => Float32Array.of(1, 2) }]], /tensor "a" has 2 elements/],
  ];
  for (const [list, expected] of wrong) {
    assert.match(await messageOf(writeSafetensors(path, list as Parameters<typeof writeSafetensors>[1])), expected);
    assert.is(readFileSync(path, 'utf8'), 'old');
  }
});

const npy = suite('npy');

npy('what is written is read', async () => {
  const path = file('round.npy');
  const arrays = shapes.chain((shape) => {
    const size = { minLength: count(shape), maxLength: count(shape) };
    return fc.oneof(
      fc.array(fc.float(), size).map((values) => ({ shape, dtype: '<f4', data: Float32Array.from(values) })),
      fc.array(fc.integer(), size).map((values) => ({ shape, dtype: '<i4', data: Int32Array.from(values) })),
    );
  });
  await fc.assert(
    fc.asyncProperty(arrays, async (array) => {
      await writeNpy(path, array.data, array.shape);
      const { dtype, shape, data } = await readNpy(path);
      assert.equal({ dtype, shape }, { dtype: array.dtype, shape: array.shape });
      assert.is(data.constructor, array.data.constructor);
      assert.is(hex(data), hex(array.data));
      assert.is((readFileSync(path).length - array.data.byteLength) % 64, 0);
    }),
    { numRuns: 100 },
  );
});

npy('has the bytes that the format prescribes', async () => {
  await writeNpy(file('bytes.npy'), Int32Array.of(7, -1, 5).subarray(1), [2]);
  const dictionary = "{'descr': '<i4', 'fortran_order': False, 'shape': (2,), }".padEnd(117, ' ');
  const expected = Buffer.concat([Buffer.from('\x93NUMPY\x01\x00\x76\x00', 'latin1'), Buffer.from(`${dictionary}\n`)]);
  assert.is(readFileSync(file('bytes.npy')).toString('latin1', 0, 128), expected.toString('latin1'));
  assert.is(readFileSync(file('bytes.npy')).toString('hex', 128), 'ffffffff05000000');
});

npy('wrong files are named', async () => {
  const npyFile = (dictionary: string, dataBytes: number, version = 1): string => {
    const length = Buffer.alloc(version === 1 ? 2 : 4);
    length.writeUInt16LE(dictionary.length);
    const parts = [
      Buffer.from(`\x93NUMPY${String.fromCharCode(version)}\x00`, 'latin1'),
      length,
      Buffer.from(dictionary),
    ];
    writeFileSync(file('bad.npy'), Buffer.concat([...parts, Buffer.alloc(dataBytes)]));
    return file('bad.npy');
  };
  const header = (descr: string, order = 'False', shape = '(2,)'): string =>
    `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}}\n`;
  writeFileSync(file('text.npy'), 'hello, I am text');
  const cases: [path: () => string, expected: RegExp][] = [
    [() => npyFile(header("'<f4'"), 4), /<f4 of shape \[2\] takes 8 bytes, but 4 follow the header/],
    [() => npyFile(header("'<f4'"), 12), /takes 8 bytes, but 12 follow/],
    [() => npyFile(header("'<f3'"), 8), /its elements are "<f3".*, expected one of <f8, <f4, .*convert it with astype/],
    [() => npyFile(header("'<f4'", 'Maybe'), 8), /expected a dictionary of descr/],
    [() => npyFile(header("[('x', '<f4')]"), 8), /its elements are records of several fields/],
    [() => npyFile(header("'<f4'", 'False', 'None'), 8), /expected a dictionary of descr/],
    [() => npyFile(header("'<f4'"), 8, 9), /version 9\.0, expected 1\.0, 2\.0 or 3\.0/],
    [() => file('text.npy'), /does not begin with/],
    [() => file('missing.npy'), /cannot open npy file .*missing.npy/],
  ];
  for (const [path, expected] of cases) {
    assert.match(await messageOf(readNpy(path())), expected);
  }
  assert.equal((await readNpy(npyFile(header("'<i8'", 'False', '(1, 1)'), 8, 2))).data, BigInt64Array.of(0n));
  assert.match(await messageOf(writeNpy(file('x.npy'), Float32Array.of(1), [2])), /1 elements do not fill shape \[2\]/);
});

const atomic = suite('atomic');

/** Nothing but the named files may be in the folder afterwards. */
function emptyFolder(name: string): string {
  mkdirSync(file(name));
  return file(name);
}

atomic('a failure at any point leaves the old file and no temporary', async () => {
  const inside = emptyFolder('failing');
  const path = join(inside, 'model');
  await writeAtomically(path, [text('old')]);
  for (let fine = 0; fine < 3; fine++) {
    const broken = function* (): Generator<Uint8Array> {
      for (let i = 0; i < fine; i++) {
        yield text('new');
      }
      throw Object.assign(new Error('write'), { code: 'ENOSPC' });
    };
    const message = await messageOf(writeAtomically(path, broken(), { what: 'checkpoint', bytes: 12345 }));
    assert.match(
      message,
      /cannot write checkpoint .*model: the disk or quota of .* is full \(ENOSPC\); free some space/,
    );
    assert.match(message, /12345 bytes are needed, \d+ are free\); the previous file, if any, is untouched/);
    assert.is(readFileSync(path, 'utf8'), 'old');
    assert.equal(readdirSync(inside), ['model']);
  }
  await writeAtomically(path, [text('n'), text(''), text('ew')]);
  assert.is(readFileSync(path, 'utf8'), 'new');
  assert.equal(readdirSync(inside), ['model']);
});

atomic('a full disk leaves the old checkpoint', async () => {
  const disk = emptyFolder('disk');
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=256k', 'tmpfs', disk], { stdio: 'ignore' });
  } catch {
    return; // Only root may mount; the failure is simulated above.
  }
  try {
    const path = join(disk, 'model.safetensors');
    const tensor = (elements: number) => ({
      dtype: 'F32' as const,
      shape: [elements],
      data: new Float32Array(elements).fill(1),
    });
    await writeSafetensors(path, [['w', tensor(40_000)]]);
    const message = await messageOf(writeSafetensors(path, [['w', tensor(41_000)]]));
    assert.match(
      message,
      /cannot write safetensors file .*model.safetensors: the disk or quota of .* is full \(ENOSPC\)/,
    );
    assert.match(message, /\(1640\d\d bytes are needed, \d+ are free\)/);
    assert.equal(readdirSync(disk), ['model.safetensors']);
    assert.equal((await readSafetensors(path)).get('w'), tensor(40_000));

    // The log grows until the disk is full; what had been written stays readable.
    const log = openMetricsLog(join(disk, 'metrics.jsonl'));
    let appended = 0;
    assert.throws(() => {
      for (; ; appended++) {
        log.append({ step: appended, note: 'x'.repeat(1000) });
      }
    }, /cannot append step \d+ \(10\d\d bytes\) .* is full \(ENOSPC\)/);
    log.close();
    const lines = readFileSync(join(disk, 'metrics.jsonl'), 'utf8').trimEnd().split('\n');
    assert.is(lines.length, appended);
    assert.is(JSON.parse(lines.at(-1)!).step, appended - 1);
  } finally {
    execFileSync('umount', [disk]);
  }
});

atomic('wrong targets are named', async () => {
  assert.match(await messageOf(writeJson(join(folder, 'no', 'x.json'), 1)), /there is no folder .*no; make it first/);
  assert.match(await messageOf(writeJson(folder, 1)), /it is a folder, expected a regular file/);
  assert.match(await messageOf(writeJson('/dev/null', 1)), /it is a device, pipe or socket/);
  assert.match(
    await messageOf(writeJson(file('x.json'), { loss: Number.NaN })),
    /"loss" is NaN, which JSON cannot hold/,
  );
  assert.match(
    await messageOf(writeJson(file('x.json'), undefined)),
    /expected a value that JSON can hold, got undefined/,
  );
});

atomic('follows a link to the file it names', async () => {
  const inside = emptyFolder('links');
  writeFileSync(join(inside, 'step-2.json'), 'old');
  symlinkSync('step-2.json', join(inside, 'last.json'));
  await writeJson(join(inside, 'last.json'), { a: [1] });
  assert.is(readFileSync(join(inside, 'step-2.json'), 'utf8'), '{\n  "a": [\n    1\n  ]\n}\n');
});

atomic('follows links to a file that is not there yet, and refuses those that lead nowhere', async () => {
  const inside = emptyFolder('dangling');
  mkdirSync(join(inside, 'runs'));
  symlinkSync('runs/next.json', join(inside, 'last.json'));
  symlinkSync(join(inside, 'last.json'), join(inside, 'alias.json'));
  await writeJson(join(inside, 'alias.json'), 1);
  assert.is(readFileSync(join(inside, 'runs/next.json'), 'utf8'), '1\n');
  assert.ok(lstatSync(join(inside, 'last.json')).isSymbolicLink());
  symlinkSync('b.json', join(inside, 'a.json'));
  symlinkSync('a.json', join(inside, 'b.json'));
  assert.match(await messageOf(writeJson(join(inside, 'a.json'), 1)), /a symbolic link that leads back to itself/);
  symlinkSync('gone/x.json', join(inside, 'lost.json'));
  assert.match(await messageOf(writeJson(join(inside, 'lost.json'), 1)), /there is no folder .*gone; make it first/);
});

atomic('keeps the permissions of the file that it replaces', async () => {
  const path = join(emptyFolder('permissions'), 'secret.json');
  for (const mode of [0o600, 0o664]) {
    writeFileSync(path, 'old');
    chmodSync(path, mode);
    await writeJson(path, mode);
    assert.is(statSync(path).mode & 0o777, mode);
  }
});

const metrics = suite('metrics log');

metrics('appends lines, goes on with an old log, drops a half line', () => {
  const path = file('metrics.jsonl');
  let log = openMetricsLog(path);
  log.append({ step: 0, loss: 5.5 });
  log.append({ step: 1, loss: Number.NaN, note: 'a\nb' });
  log.close();
  appendFileSync(path, '{"step":2,"lo');
  log = openMetricsLog(path);
  log.append({ step: 2 });
  log.close();
  const expected = '{"step":0,"loss":5.5}\n{"step":1,"loss":null,"note":"a\\nb"}\n{"step":2}\n';
  assert.is(readFileSync(path, 'utf8'), expected);
  appendFileSync(path, 'x'.repeat(200_000));
  openMetricsLog(path).close();
  assert.is(readFileSync(path, 'utf8'), expected);
  assert.throws(() => openMetricsLog(join(folder, 'no', 'm.jsonl')), /there is no folder/);
});

metrics('says so when the disk is full or a record has no step', () => {
  const full = openMetricsLog('/dev/full');
  assert.throws(
    () => full.append({ step: 7 }),
    /cannot append step 7 \(11 bytes\) to metrics log \/dev\/full: .*full \(ENOSPC\); free/,
  );
  full.close();
  const log = openMetricsLog(file('steps.jsonl'));
  assert.throws(() => log.append({ step: 1.5 }), /expected a record with a step >= 0 that is an integer, got 1.5/);
  assert.throws(() => log.append({} as { step: number }), /got undefined/);
  log.close();
});

metrics('truncation keeps exactly the complete lines up to the step', async () => {
  const path = file('resume.jsonl');
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(20)), fc.nat(20), fc.nat(12), async (steps, last, cut) => {
      const lines = steps.map((step) => `${JSON.stringify({ step, loss: 1 })}\n`);
      const whole = lines.join('');
      writeFileSync(path, whole.slice(0, Math.max(0, whole.length - cut)));
      const complete = cut === 0 ? steps : steps.slice(0, -1);
      const kept = complete.filter((step) => step <= last);
      const result = await truncateMetricsLog(path, last);
      assert.is(result.kept, kept.length);
      assert.is(readFileSync(path, 'utf8'), kept.map((step) => `${JSON.stringify({ step, loss: 1 })}\n`).join(''));
    }),
  );
  assert.equal(await truncateMetricsLog(file('none.jsonl'), 3), { kept: 0, dropped: 0 });
  writeFileSync(path, '{"step":1}\nhello\n{"step":2}\n');
  assert.match(
    await messageOf(truncateMetricsLog(path, 1)),
    /resume.jsonl:2: expected a JSON object with a number "step", got "hello"/,
  );
  assert.is(readFileSync(path, 'utf8'), '{"step":1}\nhello\n{"step":2}\n');
});

for (const tests of [safetensors, npy, atomic, metrics]) {
  tests.run();
}
